//! What a user would run instead: small Python scripts, each of which checks itself and prints one line of
//! JSON for each way it knows. What is not installed is a line too.

use crate::failure::Failure;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The scripts, written beside each other before they run: compilers of Python read them as files.
const SCRIPTS: &[(&str, &str)] = &[
    ("common.py", include_str!("../../benches/peers/common.py")),
    ("dispatch.py", include_str!("../../benches/peers/dispatch.py")),
    ("combine.py", include_str!("../../benches/peers/combine.py")),
    ("plan.py", include_str!("../../benches/peers/plan.py")),
    ("reshard.py", include_str!("../../benches/peers/reshard.py")),
    ("nccl.py", include_str!("../../benches/peers/nccl.py")),
    ("host.py", include_str!("../../benches/peers/host.py")),
];

/// One peer's result on one work.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The script's name of the work; empty where it did not get so far.
    pub work: String,
    pub peer: String,
    /// `None` with the reason if it did not run.
    pub ms: Option<f64>,
    pub gb_s: Option<f64>,
    pub missing: Option<String>,
}

impl Peer {
    fn missing(peer: &str, why: impl std::fmt::Display) -> Peer {
        let (work, peer) = (String::new(), peer.to_string());
        Peer { work, peer, ms: None, gb_s: None, missing: Some(why.to_string()) }
    }

    fn read(line: &Value) -> Option<Peer> {
        let word = |key: &str| line.get(key).and_then(Value::as_str).map(str::to_string);
        let (work, peer) = (word("work").unwrap_or_default(), word("peer")?);
        let number = |key: &str| line.get(key).and_then(Value::as_f64);
        Some(Peer { work, peer, ms: number("ms"), gb_s: number("gb_s"), missing: word("missing") })
    }

    /// Beside our rate in GB/s: a peer that draws its own counts moves a little more or less than we do.
    pub fn text(&self, ours: f64) -> String {
        match (self.ms.zip(self.gb_s), &self.missing) {
            (Some((ms, gb_s)), _) => {
                format!("{}: {ms:.4} ms, ours is {:.2} x as fast a byte", self.peer, ours / gb_s)
            }
            (None, why) => {
                format!("{}: missing: {}", self.peer, why.as_deref().unwrap_or("no time"))
            }
        }
    }

    pub fn json(&self) -> Value {
        json!({ "peer": self.peer, "ms": self.ms, "gb_s": self.gb_s, "missing": self.missing })
    }
}

/// A folder with the scripts; gone when dropped.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Result<Folder, Failure> {
        let folder = tempfile::Builder::new().prefix("fusco-peers-").tempdir();
        let folder =
            Folder(folder.map_err(|e| {
                Failure::input(format!("no folder for the scripts can be made: {e}"))
            })?);
        SCRIPTS
            .iter()
            .try_for_each(|(name, text)| crate::file::write(&folder.0.path().join(name), text))?;
        Ok(folder)
    }

    /// Every way that the script knows to do `work`; told on standard error, too, once it ends.
    pub fn run(&self, work: &str, script: &str, arguments: &str, traces: &Path) -> Vec<Peer> {
        let mut command = Command::new("python3");
        command
            .arg(self.0.path().join(script))
            .arg(work)
            .arg(format!("traces={}", traces.display()));
        lines(command, script, arguments)
    }

    /// The same for several works, by as many processes as there are ranks, each with a device of its own or all
    /// on the host's.
    pub fn run_across(
        &self,
        works: &[&str],
        arguments: &str,
        traces: &Path,
        ranks: usize,
    ) -> Vec<Peer> {
        let mut command = Command::new("python3");
        command.args(["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]);
        command.arg(ranks.to_string()).arg(self.0.path().join("nccl.py")).arg(works.join(","));
        // No multicast: it is not everywhere.
        command.arg(format!("traces={}", traces.display())).env("NCCL_NVLS_ENABLE", "0");
        lines(command, "nccl.py", arguments)
    }
}

fn lines(mut command: Command, script: &str, arguments: &str) -> Vec<Peer> {
    let output = match command.args(arguments.split_whitespace()).output() {
        Ok(output) => output,
        Err(e) => return vec![Peer::missing("python3", e)],
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
    let mut peers: Vec<Peer> = lines.filter_map(|l: Value| Peer::read(&l)).collect();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let told = error.lines().rev().find(|l| l.contains("Error"));
        let last = told.or(error.lines().last()).unwrap_or("it failed").trim().to_string();
        peers.push(Peer::missing(script, last));
    }
    for peer in &peers {
        let ms = peer.ms.map_or("missing".to_string(), |ms| format!("{ms:.4} ms"));
        crate::terminal::tell(&format!("{} by {}: {ms}", peer.work, peer.peer));
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_judged_by_its_bytes_and_a_missing_one_says_why() {
        let half = json!({ "peer": "PyTorch", "ms": 2.0, "gb_s": 500.0 });
        let text = Peer::read(&half).map(|p| p.text(1500.0));
        assert_eq!(text.as_deref(), Some("PyTorch: 2.0000 ms, ours is 3.00 x as fast a byte"));
        let missing = json!({ "peer": "Triton", "missing": "no module" });
        let text = Peer::read(&missing).map(|p| p.text(1500.0));
        assert_eq!(text.as_deref(), Some("Triton: missing: no module"));
    }
}
