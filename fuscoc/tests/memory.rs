//! What a verified run takes of the machine: the first command of the README with shorter rows.

use std::process::{Command, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Pages that the rows of `y` fill: 262,144 pairs of the trace, 128 bf16 each.
const ROWS: i64 = 262_144 * 128 * 2 / 4096;

/// Waits for the command, which must succeed; its page faults and its most kibibytes in memory.
fn usage(command: &mut Command) -> (i64, i64) {
    #[expect(clippy::zombie_processes, reason = "`wait4` below waits for it")]
    let child = command.stdout(Stdio::null()).spawn().expect("fuscoc runs");
    let pid = i32::try_from(child.id()).expect("a process id");
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: the child is ours and nobody else waits for it; both places are valid for writes.
    let waited = unsafe { libc::wait4(pid, &mut status, 0, usage.as_mut_ptr()) };
    assert_eq!((waited, status), (pid, 0), "it succeeds");
    // SAFETY: `wait4` has filled it; all bits zero were a value already.
    let usage = unsafe { usage.assume_init() };
    (usage.ru_minflt, usage.ru_maxrss)
}

/// Rows are held once by the reference interpreter and once by the run, where both are compared. A copy to
/// compare or to feed on, or padding of every group to the longest, is more than this allows.
#[test]
fn a_verified_run_holds_rows_and_no_padding() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fuscoc"));
    let trace = "examples/traces/e256_k8_r8.safetensors";
    command.current_dir(ROOT).args(["run", "examples/programs/moe.fusco", "--verify"]);
    command.args(["--entry", "dispatch,combine", "--feed", "z=y", "--random", "1"]);
    command.args(["--set", "G=8,E=256,K=8,H=128,TMAX=4096", "--dyn", "T=4096"]);
    command.args(["--in", &format!("topk={trace}:topk_idx")]);
    command.args(["--in", &format!("w={trace}:topk_weight")]);
    let (faults, kibibytes) = usage(&mut command);
    println!("{faults} page faults, {kibibytes} KiB; rows fill {ROWS} pages");
    assert!(2 * faults < 7 * ROWS, "{faults} page faults for rows of {ROWS} pages");
    assert!(2 * kibibytes < 7 * ROWS * 4, "{kibibytes} KiB for rows of {} KiB", ROWS * 4);
}
