//! Sizes are checked before memory is asked for, and a large file costs what is wanted of it.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MOST: u64 = 2 << 30;

/// Dispatch of random rows, with so much address space and no more: asking for too much fails at once,
/// on any machine.
fn dispatch(set: &str, tokens: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuscoc"));
    command.args(["run", "examples/programs/moe.fusco", "--entry", "dispatch", "--random", "1"]);
    command.args(["--set", set, "--dyn", &format!("T={tokens}")]).args(more).current_dir(ROOT);
    let most = libc::rlimit { rlim_cur: MOST, rlim_max: MOST };
    // SAFETY: one call that POSIX allows between fork and exec.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_AS, &most) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command.output().expect("fuscoc runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sizes_are_errors_before_they_are_memory() {
    for tokens in ["4294967296", "9", "-1"] {
        let output = dispatch("G=2,E=4,K=2,H=8,TMAX=8", tokens, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let claim = format!("error[F0904]: dyn T[0] = {tokens} ");
        assert!(said(&output).contains(&claim), "{}", said(&output));
    }
    for (set, tokens) in [
        ("G=2,E=4,K=2,H=1048576,TMAX=1048576", "1048576"),
        ("G=2,E=4,K=2,H=137438953472,TMAX=1", "1"),
    ] {
        let output = dispatch(set, tokens, &[]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let text = said(&output);
        assert!(text.contains("no memory for") && text.contains("`x`"), "{text}");
        assert!(text.contains("GiB are needed"), "{text}");
    }
}

/// A file that is longer than the address space: only the tensor that is asked for is read.
#[test]
fn one_tensor_of_a_large_file_is_read_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.safetensors");
    let (topk, rest) = ([[0u32, 1]; 16], 3u64 << 30);
    let header = format!(
        "{{\"topk\":{{\"dtype\":\"I32\",\"shape\":[2,8,2],\"data_offsets\":[0,128]}},\
         \"rest\":{{\"dtype\":\"U8\",\"shape\":[{rest}],\"data_offsets\":[128,{}]}}}}",
        128 + rest
    );
    let write = |len: u64| {
        let mut file = File::create(&path).expect("made");
        file.write_all(&(header.len() as u64).to_le_bytes()).expect("written");
        file.write_all(header.as_bytes()).expect("written");
        topk.iter().flatten().for_each(|v| file.write_all(&v.to_le_bytes()).expect("written"));
        file.set_len(len).expect("a sparse file");
    };
    let whole = 8 + header.len() as u64 + 128 + rest;
    write(whole);
    let read = format!("topk={}", path.display());
    let output = dispatch("G=2,E=4,K=2,H=8,TMAX=8", "8", &["--in", &read]);
    assert!(output.status.success(), "{}", said(&output));
    for len in [whole - 1, whole + 1] {
        write(len);
        let output = dispatch("G=2,E=4,K=2,H=8,TMAX=8", "8", &["--in", &read]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("is not a safetensors file"), "{}", said(&output));
    }
}
