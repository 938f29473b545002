//! Libraries and the cache come from where the user said, and a library that is not whole is an error.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// `fuscoc` in a folder, with nothing set that says where libraries are.
fn fuscoc(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuscoc"));
    command.args(args).current_dir(folder).env("HOME", folder);
    for name in ["FUSCO_CUDA_PATH", "FUSCO_CACHE_DIR", "CUDA_HOME", "CUDA_PATH"] {
        command.env_remove(name);
    }
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CACHE_HOME", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("fuscoc runs");
    let text = [stdout, stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
    assert!(!text.contains("panicked"), "{text}");
    (status.code(), text)
}

/// Libraries of these names in a folder, from C; `None` without a compiler.
fn libraries(folder: &Path, names: &[&str], text: &str) -> Option<()> {
    fs::create_dir_all(folder).expect("made");
    let source = folder.join("library.c");
    fs::write(&source, text).expect("written");
    for name in names {
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(folder.join(name)).arg(&source);
        match cc.status() {
            Ok(status) => assert!(status.success()),
            Err(e) => {
                println!("skipped: no C compiler: {e}");
                return None;
            }
        }
    }
    Some(())
}

/// Says that it was loaded by making a file.
fn tell_tale(mark: &Path) -> String {
    format!(
        "#include <fcntl.h>\n__attribute__((constructor)) static void loaded(void) {{ \
         open(\"{}\", O_CREAT | O_WRONLY, 0600); }}\n",
        mark.display()
    )
}

const NVRTC: [&str; 2] = ["libnvrtc-builtins.so.13.0", "libnvrtc.so.13"];

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn an_empty_or_relative_path_is_not_the_current_folder() {
    let folder = folder();
    let (here, mark) = (folder.path(), folder.path().join("loaded"));
    for place in ["lib", "nvrtc/lib"] {
        let Some(()) = libraries(&here.join(place), &NVRTC, &tell_tale(&mark)) else { return };
    }
    let before = names(here);
    for name in ["FUSCO_CUDA_PATH", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "FUSCO_CACHE_DIR"] {
        for value in ["", ".", "./lib/..", "nvrtc/.."] {
            let mut command = fuscoc(here, &["doctor"]);
            command.env(name, value).env("XDG_CACHE_HOME", here.join("user"));
            let (_, said) = run(&mut command);
            assert!(!mark.exists(), "{name}={value:?} loads what lies here");
            assert!(said.contains(&format!("{name} is ignored")), "{name}={value:?}\n{said}");
        }
    }
    let (_, said) = run(fuscoc(here, &["doctor"]).env("HOME", ".").env("XDG_CACHE_HOME", ""));
    assert!(!mark.exists() && said.contains("HOME is ignored"), "{said}");
    assert!(names(here).iter().all(|n| before.contains(n) || n == "user"), "{:?}", names(here));

    // The same folder by its whole path is what the user said.
    _ = run(fuscoc(here, &["doctor"]).env("FUSCO_CUDA_PATH", here));
    assert!(mark.exists(), "the test sees what is loaded");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect()
}

/// What `doctor` says of a folder; exit 3, since nothing there compiles.
fn refused(root: &Path) -> String {
    let folder = folder();
    let (code, said) = run(fuscoc(folder.path(), &["doctor"]).env("FUSCO_CUDA_PATH", root));
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("FUSCO_CUDA_PATH is") && said.contains("missing  NVRTC"), "{said}");
    said
}

#[test]
fn a_library_that_cannot_be_used_is_said_and_no_other_taken() {
    let folder = folder();
    assert!(refused(Path::new("/nope")).contains("no NVRTC is in lib"));
    let root = folder.path().join("some");
    let lib = root.join("lib");
    let Some(()) = libraries(&lib, &NVRTC, "int nvrtcVersion(int *a, int *b) { return 0; }") else {
        return;
    };
    let said = refused(&root);
    assert!(said.contains("libnvrtc.so.13 has no `nvrtcCreateProgram`"), "{said}");

    // Every shorter library is said, not run into.
    let whole = fs::read(lib.join(NVRTC[1])).expect("there");
    for name in NVRTC {
        let path = lib.join(name);
        let text = fs::read(&path).expect("there");
        for bytes in [0, 40, 1000, text.len() / 2, text.len() - 8] {
            fs::write(&path, &text[..bytes]).expect("written");
            let said = refused(&root);
            assert!(said.contains("cut off") || said.contains("no 64-bit ELF"), "{bytes}: {said}");
        }
        fs::write(&path, &text).expect("written");
    }
    fs::remove_file(lib.join(NVRTC[0])).expect("there");
    assert!(refused(&root).contains("lacks libnvrtc-builtins"));
    fs::write(lib.join(NVRTC[1]), whole).expect("written");

    // A status that nobody knows, and a version that is none.
    let wild = "int nvrtcVersion(int *a, int *b) { return 999; }";
    let others = ["CreateProgram", "DestroyProgram", "CompileProgram", "GetProgramLogSize"];
    let more = ["GetProgramLog", "GetCUBINSize", "GetCUBIN", "GetPTXSize", "GetPTX"];
    let text = others.iter().chain(&more).fold(wild.to_string(), |text, name| {
        format!("{text}\nint nvrtc{name}(void) {{ return 999; }}")
    });
    let Some(()) = libraries(&lib, &NVRTC, &text) else { return };
    let (code, said) = run(fuscoc(folder.path(), &["doctor"]).env("FUSCO_CUDA_PATH", &root));
    assert!(code == Some(3) && said.contains("status 999"), "{said}");
}

#[test]
fn a_driver_without_a_function_is_an_error() {
    let folder = folder();
    let lib = folder.path().join("driver");
    let names = ["libcuda.so", "libcuda.so.1"];
    let Some(()) = libraries(&lib, &names, "int cuInit(unsigned f) { return 0; }") else { return };
    let (_, said) = run(fuscoc(folder.path(), &["doctor"]).env("LD_LIBRARY_PATH", &lib));
    assert!(said.contains("missing  GPU     libcuda has no `cu"), "{said}");
}

#[test]
fn doctor_tries_the_cache() {
    let folder = folder();
    let doctor = |cache: &Path| {
        let mut command = fuscoc(folder.path(), &["doctor"]);
        run(command.env("FUSCO_CACHE_DIR", cache)).1
    };
    let good = folder.path().join("good");
    let said = doctor(&good);
    assert!(said.contains("ok       cache") && !said.contains("every user"), "{said}");
    assert!(names(&good.join("cubin")).is_empty(), "the trial is gone");
    for none in ["/proc/none", "/dev/null"] {
        let said = doctor(Path::new(none));
        assert!(said.contains("missing  cache") && said.contains(none), "{said}");
    }
    fs::set_permissions(&good, fs::Permissions::from_mode(0o777)).expect("set");
    let said = doctor(&good);
    assert!(said.contains("every user may write"), "{said}");
}

#[test]
fn the_end_of_a_fetch_is_the_end_of_pip() {
    let folder = folder();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).expect("made");
    let (python, pid) = (bin.join("python3"), folder.path().join("pid"));
    let script =
        format!("#!/bin/sh\necho $$ > {0}.new\nmv {0}.new {0}\nexec sleep 60\n", pid.display());
    fs::write(&python, script).expect("written");
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).expect("set");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = fuscoc(folder.path(), &["doctor", "--fetch"]);
    command.env("PATH", format!("{}:{path}", bin.display()));
    command.env("FUSCO_CACHE_DIR", folder.path().join("cache"));
    let mut fetch =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("fuscoc runs");
    until("pip begins", || pid.exists());
    let child = fs::read_to_string(&pid).expect("there").trim().to_string();
    let stat = PathBuf::from(format!("/proc/{child}/stat"));
    assert!(stat.exists());
    fetch.kill().expect("it runs");
    fetch.wait().expect("it ends");
    // Ended, or waiting for somebody to ask how.
    until("pip ends", || fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z ")));
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
