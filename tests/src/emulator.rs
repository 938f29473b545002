//! A machine with two CUDA devices where there is none: a driver and an NVRTC that run the generated text, as it is, on
//! this processor. Each thread of a kernel is a fiber, in an order that a seed decides: threads, CTAs and whole ranks
//! are late, and the copy engine moves rows when it likes. ThreadSanitizer may watch: to it each of them is a thread of
//! its own, which knows what fences, signals and barriers have told it. The sources are in `tests/emulator`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const SOURCES: [(&str, &str); 6] = [
    ("machine.h", include_str!("../emulator/machine.h")),
    ("machine.hpp", include_str!("../emulator/machine.hpp")),
    ("machine.cpp", include_str!("../emulator/machine.cpp")),
    ("driver.cpp", include_str!("../emulator/driver.cpp")),
    ("nvrtc.cpp", include_str!("../emulator/nvrtc.cpp")),
    ("device.h", include_str!("../emulator/device.h")),
];

/// What ThreadSanitizer ends a process with that raced, and the machine one whose kernel did what no device allows.
const RACED: i32 = 66;
const ILLEGAL: i32 = 70;

/// The driver and the NVRTC, built.
pub struct Emulator {
    root: PathBuf,
}

/// How a process on the machine ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Passed,
    /// Two threads met at one place, and neither knew of the other.
    Raced,
    /// A wait that nothing ends, an address outside, lanes at different calls.
    Illegal,
    Failed,
}

impl Emulator {
    /// Built below `scratch`, once for these sources; `None`, with a line that says so, where it cannot be.
    pub fn new(scratch: &Path) -> Option<Emulator> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            println!("skipped: the emulated machine is for Linux on x86-64");
            return None;
        }
        if Command::new("g++").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("skipped: no g++ to build the emulated machine with");
            return None;
        }
        let text: Vec<u8> = SOURCES.iter().flat_map(|(_, text)| text.bytes()).collect();
        let root = scratch.join(format!("emulator-{:016x}", fnv(&text)));
        if !root.exists() {
            let fresh = scratch.join(format!("emulator-{}", std::process::id()));
            build(&fresh.join("lib"));
            // Another process may have been quicker.
            if fs::rename(&fresh, &root).is_err() {
                fs::remove_dir_all(&fresh).expect("what was made here goes");
            }
        }
        Some(Emulator { root })
    }

    /// A command whose CUDA is this machine.
    pub fn command(&self, program: impl AsRef<Path>, seed: u64) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env("LD_LIBRARY_PATH", self.root.join("lib"))
            .env("FUSCO_CUDA_PATH", &self.root)
            .env("FUSCO_CACHE_DIR", self.root.join("cache"))
            .env("FUSCO_EMULATED_SEED", seed.to_string())
            .env("FUSCO_EMULATED_SMS", "4");
        command
    }

    /// As [`command`](Self::command), watched by ThreadSanitizer: the first race ends it. `None`, with a line that says
    /// so, where there is none.
    pub fn watched(&self, program: impl AsRef<Path>, seed: u64) -> Option<Command> {
        let mut command = self.command(program, seed);
        let found = Command::new("g++").arg("-print-file-name=libtsan.so").output();
        let library = String::from_utf8(found.expect("g++ runs").stdout).expect("a path");
        // Of a library that it does not have g++ gives the bare name.
        if !Path::new(library.trim()).exists() {
            println!("skipped: g++ has no libtsan");
            return None;
        }
        command
            .env("LD_PRELOAD", library.trim())
            .env("FUSCO_EMULATED_WATCH", "1")
            // It knows 8128 threads.
            .env("FUSCO_EMULATED_SMS", "2")
            .env(
                "TSAN_OPTIONS",
                "exitcode=66 halt_on_error=1 history_size=3 ignore_interceptors_accesses=1 ignore_noninstrumented_modules=1",
            );
        Some(command)
    }
}

/// Runs it to its end; what it printed is there to be read.
pub fn end(command: &mut Command) -> (End, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let said = [stdout, stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
    let end = match status.code() {
        Some(0) => End::Passed,
        Some(RACED) => End::Raced,
        Some(ILLEGAL) => End::Illegal,
        _ => End::Failed,
    };
    (end, said)
}

fn build(lib: &Path) {
    fs::create_dir_all(lib).expect("a folder");
    for (name, text) in SOURCES {
        fs::write(lib.join(name), text).expect("written");
    }
    let library = |name: &str, sources: &[&str]| {
        let flags = ["-std=c++20", "-O2", "-g1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"];
        let mut command = Command::new("g++");
        command.current_dir(lib).args(flags).args(sources).args(["-o", name, "-ldl"]);
        let built = command.output().expect("g++ runs");
        let log = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{name} is not built:\n{log}");
    };
    library("libcuda.so.1", &["machine.cpp", "driver.cpp"]);
    library("libnvrtc.so.13", &["nvrtc.cpp"]);
    // NVRTC has it beside it.
    fs::copy(lib.join("libnvrtc.so.13"), lib.join("libnvrtc-builtins.so.13")).expect("copied");
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}
