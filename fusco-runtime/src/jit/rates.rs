//! What this machine's devices were measured to reach, in the cache folder: a file for each kind of device, a line for
//! each rate, `store 362.1`. A line that is not one is as good as absent.

use super::cache;
use crate::Error;
use fusco_dsl::cuda::{Architecture, Rate, RateSource, Rates};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// No machine moves more bytes a nanosecond, and none takes as many nanoseconds for a launch.
const MOST: f64 = 1e9;

/// The rates of a kind of device: those that were measured here, others as the architecture is known.
pub fn rates(architecture: &'static Architecture, sms: u32) -> Rates {
    let file = path(architecture, sms).and_then(|path| fs::read_to_string(path).ok());
    with(architecture.rates(), &file.unwrap_or_default())
}

/// Keeps what was measured, by name: `copy`, `store` and `load` in bytes a nanosecond, `launch` and `barrier` in
/// nanoseconds. What was kept before of other names stays. Gives the file.
///
/// # Errors
/// F0911 if there is no cache folder, or nothing can be written there.
pub fn keep(
    architecture: &'static Architecture,
    sms: u32,
    measured: &[(&str, f64)],
) -> Result<PathBuf, Error> {
    let path = path(architecture, sms).ok_or_else(|| {
        Error::Install("there is no cache folder: set FUSCO_CACHE_DIR to a path".to_string())
    })?;
    let text = kept(&fs::read_to_string(&path).unwrap_or_default(), measured);
    let fail = |e| Error::Install(format!("{} cannot be written: {e}", path.display()));
    write(&path, &text).map_err(fail)?;
    Ok(path)
}

fn path(architecture: &Architecture, sms: u32) -> Option<PathBuf> {
    Some(cache::folder()?.join("rates").join(format!("{}-{sms}", architecture.name)))
}

/// The lines of a file with these instead of those of the same names.
fn kept(before: &str, measured: &[(&str, f64)]) -> String {
    let is_new = |line: &str| measured.iter().any(|(name, _)| line.split(' ').next() == Some(name));
    let mut text: String =
        before.lines().filter(|l| !is_new(l)).map(|l| format!("{l}\n")).collect();
    for (name, number) in measured {
        _ = writeln!(text, "{name} {number}");
    }
    text
}

/// Appears whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

fn with(mut rates: Rates, text: &str) -> Rates {
    for line in text.lines() {
        let Some((name, number)) = line.split_once(' ') else { continue };
        let Ok(number) = number.parse::<f64>() else { continue };
        let Some(rate) = named(&mut rates, name) else { continue };
        if number > 0.0 && number < MOST {
            *rate = Rate { number, source: RateSource::Here };
        }
    }
    rates
}

fn named<'r>(rates: &'r mut Rates, name: &str) -> Option<&'r mut Rate> {
    match name {
        "copy" => Some(&mut rates.copy),
        "store" => Some(&mut rates.link),
        "load" => Some(&mut rates.pull),
        "launch" => Some(&mut rates.launch),
        "barrier" => Some(&mut rates.barrier),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_rates_count_and_others_do_not() {
        let known = Architecture::find("sm_90a").expect("it is known").rates();
        let text = "store 300.5\ncopy nan\nload -3\nlaunch 1e12\nbarrier\nspeed 3\n\nload inf\n";
        let found = with(known, text);
        assert_eq!(found.link, Rate { number: 300.5, source: RateSource::Here });
        let before = Rates { link: found.link, ..known };
        assert_eq!(found, before);
    }

    #[test]
    fn what_is_measured_again_replaces_itself_alone() {
        let first = kept("", &[("copy", 3000.0), ("store", 300.0)]);
        assert_eq!(kept(&first, &[("copy", 3100.0)]), "store 300\ncopy 3100\n");
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rates").join("sm_90a-132");
        write(&path, "copy 4000\nbarrier 900.25\n").expect("written");
        let known = Architecture::find("sm_90a").expect("it is known").rates();
        let found = with(known, &fs::read_to_string(&path).expect("read"));
        assert_eq!((found.copy.number, found.barrier.number), (4000.0, 900.25));
        assert_eq!(found.launch, known.launch);
    }
}
