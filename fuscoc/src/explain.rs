//! `fuscoc explain`: what a code means.

use crate::failure::Failure;
use crate::{Format, Outcome};
use fusco_dsl::diag;

#[derive(clap::Args)]
pub struct Args {
    /// A code, as F0501.
    #[arg(value_name = "CODE")]
    subject: String,
}

pub fn run(args: &Args, format: Format) -> Outcome {
    if is_code(&args.subject) {
        return code(&args.subject, format);
    }
    Err(Failure::usage(format!("`{}` is not a code such as F0501", args.subject)))
}

/// F and digits; everything else is a path.
fn is_code(subject: &str) -> bool {
    subject
        .strip_prefix(['F', 'f'])
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn code(code: &str, format: Format) -> Outcome {
    let text = match (format, diag::entry(code)) {
        (Format::Json, Some(entry)) => format!("{:#}\n", diag::explain_json(&entry)),
        _ => diag::explain(code).map_err(Failure::usage)?,
    };
    print!("{text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_code;

    #[test]
    fn codes_and_paths() {
        for code in ["F0501", "f0501", "F501"] {
            assert!(is_code(code), "{code}");
        }
        for path in ["F0501.fusco", "F", "moe.fusco", "Fx"] {
            assert!(!is_code(path), "{path}");
        }
    }
}
