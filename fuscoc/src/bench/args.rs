//! What `fuscoc bench` is asked for.

use crate::run::{Backend, Work};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// A program; without one the suite runs.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Entries in the order of their launches; each is timed alone.
    #[arg(long, value_delimiter = ',')]
    pub entry: Vec<String>,
    #[command(flatten)]
    pub work: Work,
    /// Where to run; the suite's works have their own.
    #[arg(long, value_enum)]
    pub backend: Option<Backend>,
    /// Times of each, of which the median counts.
    #[arg(long, default_value_t = 30)]
    pub repeat: usize,
    /// Times without comparing with the reference interpreter.
    #[arg(long)]
    pub no_verify: bool,
    /// Times dispatch and combine over one size at a time: tokens, experts, topk, hidden, ranks, ctas.
    #[arg(long, conflicts_with = "file")]
    pub curves: bool,
    /// The device of each rank. Without a file dispatch, combine and reshards are timed, beside what all devices
    /// copy to their neighbours at once; one device for all ranks is a dry run.
    #[arg(long, value_name = "N[,N..]", value_delimiter = ',', conflicts_with = "curves")]
    pub devices: Vec<i32>,
    /// Measures what memory and links of the devices reach and what a launch and a handshake take, and keeps it for this
    /// machine: what the compiler expects there is then expected at these rates.
    #[arg(long, conflicts_with_all = ["file", "curves", "peers", "only"])]
    pub links: bool,
    /// Only these works of the suite, or these curves.
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub only: Vec<String>,
    /// The suite's smaller shapes, to see that all of it works.
    #[arg(long)]
    pub small: bool,
    /// Runs what others offer for the same work, too: Python with PyTorch and Triton.
    #[arg(long)]
    pub peers: bool,
    /// Where the router traces are.
    #[arg(long, value_name = "DIR", default_value = "examples/traces")]
    pub traces: PathBuf,
    /// Writes the rows as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draws the ratios.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}
