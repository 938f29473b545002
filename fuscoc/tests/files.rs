//! Files that commands write are whole or as they were; pipes that close end a command quietly.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MOE: &str = "examples/programs/moe.fusco";
const SETS: [&str; 4] = ["--set", "G=2,E=4,K=2,H=8,TMAX=8", "--dyn", "T=8"];

fn fuscoc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuscoc"));
    command.args(args).current_dir(ROOT);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("fuscoc runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The command may write no file longer than this: what a full disk does, without one.
fn short_of_space(command: &mut Command, bytes: u64) -> &mut Command {
    let most = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: between fork and exec only two calls that POSIX allows there.
    unsafe {
        command.pre_exec(move || {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            match libc::setrlimit(libc::RLIMIT_FSIZE, &most) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        })
    }
}

/// A program that `fmt` changes.
fn ugly() -> String {
    let text = fs::read_to_string(Path::new(ROOT).join(MOE)).expect("the example is there");
    text.replace(" <- ", "   <-  ")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Every command line that writes the file at the end of it.
fn writers(out: &str) -> Vec<Vec<String>> {
    let common = |args: &[&str]| -> Vec<String> {
        args.iter().chain(&SETS).map(|a| a.to_string()).collect()
    };
    let dispatch = ["--entry", "dispatch", "--random", "1"];
    let set = &SETS[..2];
    let strings = |args: &[&str]| args.iter().map(|a| a.to_string()).collect::<Vec<_>>();
    vec![
        common(&[&["run", MOE, "--out", out], &dispatch[..]].concat()),
        strings(&[&["emit", MOE, "--stage", "schedule", "-o", out], set].concat()),
        strings(&[&["explain", MOE, "--svg", out], set].concat()),
        common(&[&["bench", MOE, "--repeat", "1", "--json", out], &dispatch[..]].concat()),
        common(&[&["bench", MOE, "--repeat", "1", "--svg", out], &dispatch[..]].concat()),
    ]
}

#[test]
fn a_full_disk_leaves_the_older_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("p.fusco");
    fs::write(&source, ugly()).expect("written");
    let path = source.display().to_string();
    let output = run(short_of_space(&mut fuscoc(&["fmt", &path]), 100));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&source).expect("there"), ugly());
    assert_eq!(names(folder.path()), ["p.fusco"], "nothing is left beside it");

    let old = folder.path().join("old");
    for args in writers(&old.display().to_string()) {
        fs::write(&old, "what was there").expect("written");
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = run(short_of_space(&mut fuscoc(&args), 32));
        assert_eq!(output.status.code(), Some(1), "{args:?}\n{}", stderr(&output));
        assert_eq!(fs::read_to_string(&old).expect("there"), "what was there", "{args:?}");
        assert_eq!(names(folder.path()), ["old", "p.fusco"]);
        let output = run(&mut fuscoc(&args));
        assert!(output.status.success(), "{args:?}\n{}", stderr(&output));
        assert_ne!(fs::read(&old).expect("there"), b"what was there", "{args:?}");
    }
}

#[test]
fn links_and_permissions_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let (real, link) = (folder.path().join("real.fusco"), folder.path().join("link.fusco"));
    fs::write(&real, ugly()).expect("written");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).expect("set");
    symlink("real.fusco", &link).expect("linked");
    let output = run(&mut fuscoc(&["fmt", &link.display().to_string()]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    let found = fs::symlink_metadata(&real).expect("there");
    assert!(found.is_file() && found.mode() & 0o777 == 0o640, "{:o}", found.mode());
    assert_ne!(fs::read_to_string(&real).expect("there"), ugly());

    // A link to what is not there yet: the file appears behind it, with the permissions of a new file.
    let (late, new) = (folder.path().join("late"), folder.path().join("new"));
    symlink("new", &late).expect("linked");
    let emit = ["emit", MOE, "--stage", "ast", "-o"];
    let late_name = late.display().to_string();
    let mut command = fuscoc(&[&emit[..], &[&late_name]].concat());
    // SAFETY: one call that POSIX allows between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o027);
            Ok(())
        })
    };
    assert!(run(&mut command).status.success());
    assert_eq!(fs::symlink_metadata(&new).expect("there").mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&late).expect("there").is_symlink());

    // A loop of links, a folder: said, not followed for ever.
    let turn = folder.path().join("loop");
    symlink("loop", &turn).expect("linked");
    for wrong in [&turn, &folder.path().to_path_buf()] {
        let output = run(&mut fuscoc(&[&emit[..], &[&wrong.display().to_string()]].concat()));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    }
}

#[test]
fn devices_and_pipes_are_written_in_place() {
    let emit = ["emit", MOE, "--stage", "ast"];
    let plain = run(&mut fuscoc(&emit));
    assert!(plain.status.success() && !plain.stdout.is_empty());
    for device in ["/dev/stdout", "/proc/self/fd/1"] {
        let output = run(&mut fuscoc(&[&emit[..], &["-o", device]].concat()));
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(output.stdout, plain.stdout, "{device}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let caught = folder.path().join("caught");
    let mut command = fuscoc(&[&emit[..], &["-o", "/dev/stdout"]].concat());
    command.stdout(fs::File::create(&caught).expect("made"));
    assert!(command.status().expect("fuscoc runs").success());
    assert_eq!(fs::read(&caught).expect("there"), plain.stdout);
    let null = run(&mut fuscoc(&[&emit[..], &["-o", "/dev/null"]].concat()));
    assert!(null.status.success() && !fs::metadata("/dev/null").expect("there").is_file());
    let full = run(&mut fuscoc(&[&emit[..], &["-o", "/dev/full"]].concat()));
    assert_eq!(full.status.code(), Some(1), "{}", stderr(&full));
}

/// A command line for each command, and whether it is an error that it reports.
fn each_command(folder: &Path) -> Vec<(Vec<String>, bool)> {
    let wrong = folder.join("wrong.fusco").display().to_string();
    fs::write(&wrong, "program p { const A = ; }").expect("written");
    let run = |word: &str, more: &[&str]| {
        let args = [&[word, MOE, "--entry", "dispatch", "--random", "1"], &SETS[..], more].concat();
        args.iter().map(|a| a.to_string()).collect::<Vec<_>>()
    };
    let list = |args: &[&str]| args.iter().map(|a| a.to_string()).collect::<Vec<_>>();
    vec![
        (run("run", &[]), false),
        (run("run", &["--json"]), false),
        (run("run", &["--verify"]), false),
        (run("bench", &["--repeat", "1"]), false),
        (list(&["emit", MOE, "--stage", "ast"]), false),
        (list(&["explain", "F0301"]), false),
        (list(&["explain", MOE, SETS[0], SETS[1]]), false),
        (list(&["check", MOE]), false),
        (list(&["check", &wrong]), true),
        (list(&["check", "--format", "json", &wrong]), true),
        (list(&["fmt", "--check", &wrong]), true),
        (list(&["run", &wrong, "--entry", "e"]), true),
        (list(&["doctor"]), false),
        (list(&["--help"]), false),
        (list(&["--version"]), false),
        (list(&["no-such-command"]), true),
    ]
}

#[test]
fn closed_and_full_outputs_end_quietly() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").expect("linux"));
    let closed = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    for (args, fails) in each_command(folder.path()) {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for (out, name) in [(closed as fn() -> Stdio, "closed"), (full, "full")] {
            let output = fuscoc(&args).stdout(out()).stderr(Stdio::piped()).output();
            let output = output.expect("fuscoc runs");
            let said = stderr(&output);
            let code = output.status.code();
            assert!(!said.contains("panicked") && code.is_some_and(|c| c < 4), "{args:?} {said}");
            if name == "closed" && args[0] != "doctor" {
                assert!(!said.contains("Broken pipe"), "{args:?} {said}");
                assert_eq!(code == Some(0), !fails, "{args:?} {said}");
            }
            let status = fuscoc(&args).stdout(Stdio::null()).stderr(out()).status();
            let code = status.expect("fuscoc runs").code();
            assert!(code.is_some_and(|c| c < 4), "{args:?} with standard error {name}: {code:?}");
            let status = fuscoc(&args).stdout(out()).stderr(out()).status();
            let code = status.expect("fuscoc runs").code();
            assert!(code.is_some_and(|c| c < 4), "{args:?} with both {name}: {code:?}");
        }
    }
    let output = fuscoc(&["explain", "F0301"]).stdout(full()).stderr(Stdio::piped()).output();
    let output = output.expect("fuscoc runs");
    assert!(stderr(&output).contains("cannot write to standard output"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn two_files_write_and_print() {
    let mut sources = Vec::new();
    for name in ["fuscoc", "fusco-dsl", "fusco-runtime", "fusco-macros", "kernels-templates"] {
        rust_files(&Path::new(ROOT).join(name).join("src"), &mut sources);
    }
    assert!(sources.len() > 100, "{}", sources.len());
    let words = ["fs::write", "File::create", "fs::copy", "serialize_to_file", "File::options"];
    let prints = ["println!", "print!(", "stdout()", "stderr()"];
    for path in sources {
        let own = ["fuscoc/src/file.rs", "fuscoc/src/terminal.rs"];
        if own.iter().any(|file| path.ends_with(file)) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        // Modules of tests are at the end.
        let tests = ["#[cfg(test)]", "#[cfg(all(test"];
        let end = tests.iter().filter_map(|t| text.find(t)).min().unwrap_or(text.len());
        let text = &text[..end];
        for word in words.iter().chain(&prints) {
            // `serialize_to_file` writes the file that the helper made; whether a stream is a terminal
            // may be asked.
            let allowed = |line: &str| {
                line.contains("serialize_to_file(views, None, file)")
                    || line.contains("is_terminal()")
                    || line.trim_start().starts_with("//")
            };
            let found = text.lines().find(|l| l.contains(word) && !allowed(l));
            assert!(
                found.is_none(),
                "{}: {found:?}: use fuscoc's `file` or `terminal`",
                path.display()
            );
        }
    }
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}
