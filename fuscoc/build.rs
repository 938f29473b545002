//! The commit that is built, for `fuscoc --version`; nothing where the sources are in no repository.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Grows with every commit and checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    // A copy of the sources in another repository is not that repository's commit.
    let own = git(&["ls-files", "--error-unmatch", "build.rs"]);
    let commit = own.and_then(|_| git(&["log", "-1", "--format=%h, %cs"])).unwrap_or_default();
    println!("cargo:rustc-env=FUSCOC_COMMIT={commit}");
}

fn git(args: &[&str]) -> Option<String> {
    let done = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    let said = String::from_utf8(done.stdout).ok()?;
    Some(said.trim().to_string()).filter(|s| !s.is_empty())
}
