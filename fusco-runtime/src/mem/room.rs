//! Whether the machine has the memory that something is about to ask for. The system grants more than it
//! has and ends whoever uses it, so the question comes first.

use crate::Error;

/// Smaller requests are not worth the question.
const SMALL: u128 = 64 << 20;

/// `bytes` for `what`, as `tensor x on 8 ranks`.
///
/// # Errors
/// F0911 if the machine has not so many bytes available.
pub fn room(what: &str, bytes: u128) -> Result<(), Error> {
    if bytes < SMALL {
        return Ok(());
    }
    within(what, bytes, available())
}

fn within(what: &str, bytes: u128, available: Option<u128>) -> Result<(), Error> {
    // Without an answer there is still the allocator's.
    let most = available.unwrap_or(isize::MAX as u128);
    if bytes <= most {
        return Ok(());
    }
    Err(Error::NoMemory(format!(
        "no memory for {what}: {} are needed, {} are available; take smaller sizes or fewer ranks",
        shown(bytes),
        shown(most)
    )))
}

fn shown(bytes: u128) -> String {
    match bytes {
        0..0x10_0000 => format!("{bytes} bytes"),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// Bytes that the machine could give now, swap included, within the limit of the process's group.
fn available() -> Option<u128> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = |name: &str| {
        let rest = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u128>().ok()
    };
    let machine = (line("MemAvailable")? + line("SwapFree").unwrap_or(0)) * 1024;
    let number = |file: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?;
        text.trim().parse::<u128>().ok()
    };
    let group =
        number("memory.max").map(|most| most.saturating_sub(number("memory.current").unwrap_or(0)));
    Some(group.map_or(machine, |group| group.min(machine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_said_with_its_size() {
        room("tensor `x`", 1 << 20).expect("a little is always there");
        let error = room("tensor `x` on 8 ranks", 1 << 60).expect_err("nobody has so much");
        assert_eq!(error.code(), "F0911");
        let error = error.to_string();
        assert!(
            error.contains("tensor `x` on 8 ranks") && error.contains("1073741824.0 GiB"),
            "{error}"
        );
        assert!(within("it", 100, Some(100)).is_ok() && within("it", 101, Some(100)).is_err());
        assert!(within("it", 1 << 62, None).is_ok() && within("it", u128::MAX, None).is_err());
        #[cfg(target_os = "linux")]
        assert!(available().is_some_and(|n| n > 1 << 20));
    }
}
