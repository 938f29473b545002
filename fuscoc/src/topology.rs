//! Files that describe machines: nodes of devices, and what memory, links and network reach.
//!
//! Rates are gigabytes a second, times microseconds. What a file leaves out is what the architecture is known to reach.

use crate::failure::Failure;
use crate::text::Source;
use fusco_dsl::cuda::{Architecture, Rate, RateSource, Rates, Topology};
use fusco_dsl::diag::{Diagnostic, Diagnostics, hint};
use fusco_dsl::source::Span;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    arch: Option<Spanned<String>>,
    nodes: Spanned<i64>,
    /// Of a node.
    devices: Spanned<i64>,
    #[serde(default)]
    memory: Memory,
    #[serde(default)]
    link: Link,
    network: Option<Network>,
    #[serde(default)]
    latency: Latency,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    copy: Option<Spanned<f64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    store: Option<Spanned<f64>>,
    load: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    rate: Spanned<f64>,
    latency: Option<Spanned<f64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    launch: Option<Spanned<f64>>,
    barrier: Option<Spanned<f64>>,
    fetch: Option<Spanned<f64>>,
}

/// The devices that a file describes.
///
/// # Errors
/// F0912, at its place: what no topology file has, and numbers that no machine has.
pub fn parse(source: &Source) -> Result<Topology, Failure> {
    let file: File = toml::from_str(&source.text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        wrong(source, vec![located(span, error.message())])
    })?;
    topology(&file).map_err(|found| wrong(source, found))
}

fn wrong(source: &Source, found: Vec<Diagnostic>) -> Failure {
    Failure::diagnostics(&Diagnostics(found), source)
}

fn located(span: std::ops::Range<usize>, message: impl Into<String>) -> Diagnostic {
    let span = Span::new(span.start as u32, span.end as u32);
    Diagnostic::error("F0912", span, message)
        .help("`fuscoc explain F0912` says what a topology file has")
}

/// Bytes a nanosecond, or gigabytes a second: at least a byte a millisecond.
const RATES: (f64, f64) = (1e-6, 1e9);
/// Microseconds: up to a minute.
const TIMES: (f64, f64) = (0.0, 6e7);
/// Nodes, and devices of one.
const MOST: i64 = 1 << 16;

fn topology(file: &File) -> Result<Topology, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let architecture = architecture(file.arch.as_ref()).map_err(|wrong| vec![*wrong])?;
    let mut rates = architecture.rates();
    let mut set =
        |rate: &mut Rate, stated: &Option<Spanned<f64>>, (least, most): (f64, f64), scale: f64| {
            let Some(stated) = stated else { return };
            let number = *stated.get_ref();
            if !(least..=most).contains(&number) {
                found.push(located(
                    stated.span(),
                    format!("{number} is not between {least} and {most}"),
                ));
            }
            *rate = Rate { number: number * scale, source: RateSource::Stated };
        };
    let Rates { copy, link, pull, launch, barrier, fetch, network } = &mut rates;
    set(copy, &file.memory.copy, RATES, 1.0);
    set(link, &file.link.store, RATES, 1.0);
    set(pull, &file.link.load, RATES, 1.0);
    set(launch, &file.latency.launch, TIMES, 1e3);
    set(barrier, &file.latency.barrier, TIMES, 1e3);
    set(fetch, &file.latency.fetch, TIMES, 1e3);
    if let Some(stated) = &file.network {
        set(&mut network.rate, &Some(stated.rate.clone()), RATES, 1.0);
        set(&mut network.latency, &stated.latency, TIMES, 1e3);
    }
    for number in [&file.nodes, &file.devices] {
        if !(1..=MOST).contains(number.get_ref()) {
            let message = format!("{} is not between 1 and {MOST}", number.get_ref());
            found.push(located(number.span(), message));
        }
    }
    let (nodes, devices) = (*file.nodes.get_ref(), *file.devices.get_ref());
    if nodes > 1 && file.network.is_none() {
        let message = "several nodes without a network between them";
        let help = "add `[network]` with `rate = 50`, the gigabytes a second of each device";
        found.push(located(file.nodes.span(), message).help(help));
    }
    if !found.is_empty() {
        return Err(found);
    }
    let name =
        file.name.clone().unwrap_or_else(|| format!("{nodes} x {devices} {}", architecture.name));
    Ok(Topology { name, nodes: nodes as u32, devices: devices as u32, architecture, rates })
}

fn architecture(
    stated: Option<&Spanned<String>>,
) -> Result<&'static Architecture, Box<Diagnostic>> {
    let name = stated.map_or("sm_90a", |s| s.get_ref().as_str());
    Architecture::find(name).ok_or_else(|| {
        let known: Vec<&str> = Architecture::names().collect();
        let span = stated.map_or(0..0, Spanned::span);
        let found = located(span, format!("no architecture `{name}`{}", hint(name, &known)));
        Box::new(found.help(format!("take one of {}", known.join(", "))))
    })
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::text::Source;

    fn source(text: &str) -> Source {
        Source { name: "t.toml".to_string(), text: text.to_string() }
    }

    #[test]
    fn what_a_file_states_is_taken_and_the_rest_is_the_architecture_s() {
        let text =
            "nodes = 2\ndevices = 4\n[network]\nrate = 25.0\nlatency = 7\n[latency]\nlaunch = 3\n";
        let Ok(found) = parse(&source(text)) else { panic!("refused") };
        assert_eq!((found.nodes, found.devices, found.architecture.name), (2, 4, "sm_90a"));
        let numbers = [found.rates.network.rate, found.rates.network.latency, found.rates.launch];
        assert_eq!(numbers.map(|r| r.number), [25.0, 7000.0, 3000.0]);
        assert_eq!(found.rates.copy, found.architecture.rates().copy);
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        for (text, place, part) in [
            ("nodes = 1\n", "t.toml:1", "missing field `devices`"),
            ("nodes = 1\ndevices = 0\n", "t.toml:2:11", "0 is not between 1 and"),
            ("nodes = 2\ndevices = 8\n", "t.toml:1:9", "without a network"),
            ("nodes = 1\ndevices = 8\narch = \"sm_91\"\n", "t.toml:3:8", "did you mean"),
            (
                "nodes = 1\ndevices = 8\n[link]\nstores = 3\n",
                "t.toml:4:1",
                "unknown field `stores`",
            ),
            ("nodes = 1\ndevices = 8\n[memory]\ncopy = -1\n", "t.toml:4:8", "-1 is not between"),
            ("nodes = 1\ndevices = 8\n[memory]\ncopy = nan\n", "t.toml:4:8", "NaN is not between"),
            ("nodes = one\n", "t.toml:1:9", ""),
        ] {
            let Err(failure) = parse(&source(text)) else { panic!("{text} is taken") };
            let told = failure.text();
            assert!(
                told.contains("F0912") && told.contains(place) && told.contains(part),
                "{told}"
            );
            assert!(told.contains("help"), "{told}");
        }
    }
}
