//! Text to schedule on mutants of all programs, right and wrong ones: any answer is fine, a panic is not.
//!
//! A mutant is a program with words removed, repeated, exchanged or taken from another program, numbers
//! changed, or lines spliced in. One that is accepted is bound to small params and lowered to CUDA text.
//! `FUSCO_FUZZ_SECONDS` says how long (2 by default), `FUSCO_FUZZ_SEED` where to begin.

use fusco_dsl::cuda::{Target, generate};
use fusco_dsl::sema::hir::{Bindings, ParamKind, Program};
use fusco_dsl::{check, explain, lower};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// A compilation that takes longer is a defect too.
const SLOW: Duration = Duration::from_secs(10);
const NUMBERS: [&str; 24] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "7",
    "8",
    "9",
    "15",
    "16",
    "17",
    "32",
    "63",
    "64",
    "65",
    "128",
    "255",
    "257",
    "1000",
    "65536",
    "2147483647",
    "4294967296",
    "9223372036854775807",
];
const PARAMS: [i64; 16] = [1, 2, 3, 4, 5, 7, 8, 12, 16, 24, 32, 64, 128, 256, 512, 0];

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (self.0 ^ (self.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (word >> 24) as usize % n.max(1)
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// All programs as words; each line ends with `\n`.
fn corpus() -> Vec<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["../examples/programs", "tests/errors"] {
        let list = std::fs::read_dir(root.join(folder)).expect("the folder is in the repository");
        files.extend(list.map(|f| f.expect("readable").path()));
    }
    files.retain(|f| f.extension().is_some_and(|e| e == "fusco"));
    files.sort();
    files.iter().map(|f| words(&std::fs::read_to_string(f).expect("readable"))).collect()
}

fn words(source: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in source.lines() {
        let mut rest = line.split("//").next().unwrap_or_default().trim_start();
        while let Some(first) = rest.chars().next() {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let double = ["<-", "->", "<=", ">=", "==", ".."].iter().any(|p| rest.starts_with(*p));
            let len = match first {
                c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
                _ if double => 2,
                c => c.len_utf8(),
            };
            out.push(rest[..len].to_string());
            rest = rest[len..].trim_start();
        }
        out.push("\n".to_string());
    }
    out
}

fn mutant(random: &mut Random, corpus: &[Vec<String>]) -> String {
    // Most are made of the programs that lower, which come first.
    let source = if random.below(4) > 0 { random.below(12) } else { random.below(corpus.len()) };
    let mut words = corpus[source].clone();
    for _ in 0..1 + random.below(3) {
        let (i, j) = (random.below(words.len()), random.below(words.len()));
        let other = random.pick(corpus);
        match random.below(10) {
            0 => _ = words.remove(i),
            1 => words.insert(j, words[i].clone()),
            2 => words.swap(i, j),
            3 => words[i] = words[j].clone(),
            4 => words[i] = random.pick(other).clone(),
            5 => splice(random, &mut words, other),
            _ => number(random, &mut words),
        }
        if words.is_empty() {
            words.push("program".to_string());
        }
    }
    let mut text = words.join(" ");
    if random.below(50) == 0 {
        let at = random.below(text.len() + 1);
        if text.is_char_boundary(at) {
            text.truncate(at);
        }
    }
    text
}

/// Another number, or a number where a name was.
fn number(random: &mut Random, words: &mut [String]) {
    let numeric = |w: &String| w.starts_with(|c: char| c.is_ascii_digit());
    let numbers: Vec<usize> = (0..words.len()).filter(|i| numeric(&words[*i])).collect();
    let small = random.below(5) > 0;
    let value = *random.pick(if small { &NUMBERS[..17] } else { &NUMBERS });
    match numbers.is_empty() {
        true => *random_mut(random, words) = value.to_string(),
        false => words[*random.pick(&numbers)] = value.to_string(),
    }
}

fn random_mut<'a>(random: &mut Random, words: &'a mut [String]) -> &'a mut String {
    let i = random.below(words.len());
    &mut words[i]
}

/// A line of another program takes the place of a line, or comes before it.
fn splice(random: &mut Random, words: &mut Vec<String>, other: &[String]) {
    let (from, to) = (line(random, other), line(random, words));
    let start = if random.below(2) == 0 { to.end } else { to.start };
    words.splice(start..to.end, other[from].iter().cloned());
}

fn line(random: &mut Random, words: &[String]) -> std::ops::Range<usize> {
    let at = random.below(words.len());
    let start = words[..at].iter().rposition(|w| w == "\n").map_or(0, |i| i + 1);
    let end = words[at..].iter().position(|w| w == "\n").map_or(words.len(), |i| at + i + 1);
    start..end
}

fn params(random: &mut Random, program: &Program) -> Bindings {
    let mut out = Bindings::new();
    for (_, param) in program.params.iter() {
        match param.kind {
            ParamKind::Int => _ = out.insert(param.name.clone(), *random.pick(&PARAMS)),
            ParamKind::Ints => out.extend(
                (0..random.below(9)).map(|i| (format!("{}[{i}]", param.name), (i % 4) as i64)),
            ),
        }
    }
    out
}

/// How far a mutant came.
#[derive(Default)]
struct Reached {
    mutants: u64,
    checked: u64,
    lowered: u64,
    generated: u64,
}

fn compile(random: &mut Random, text: &str, reached: &mut Reached) {
    reached.mutants += 1;
    let Ok((programs, _)) = check(text) else { return };
    for program in programs {
        reached.checked += 1;
        for _ in 0..4 {
            let Ok(compiled) = lower(program.clone(), &params(random, &program)) else { continue };
            reached.lowered += 1;
            for stage in ["layout", "plan", "schedule"] {
                assert!(compiled.stage(stage).is_some());
            }
            _ = explain::text(&compiled, None);
            assert!(explain::svg(&compiled, None).contains("<svg"));
            let ranks = u32::try_from(compiled.schedule.ranks).unwrap_or(1);
            reached.generated +=
                u64::from(generate(&compiled.schedule, &Target::hopper(ranks)).is_ok());
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn text_to_schedule_never_panics() {
    let (corpus, mut reached) = (corpus(), Reached::default());
    let (seed, until) = (setting("FUSCO_FUZZ_SEED", 1), setting("FUSCO_FUZZ_SECONDS", 2));
    let until = Instant::now() + Duration::from_secs(until);
    let mut failed = Vec::new();
    // What runs out of memory, or never ends, is found here.
    let trace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz.fusco");
    for number in seed.. {
        let mut random = Random(number);
        let text = mutant(&mut random, &corpus);
        _ = std::fs::write(&trace, format!("// seed {number}\n{text}"));
        let started = Instant::now();
        let run = AssertUnwindSafe(|| compile(&mut random, &text, &mut reached));
        let panicked = catch_unwind(run).is_err();
        if panicked || started.elapsed() > SLOW {
            let what = if panicked { "panics" } else { "is slow" };
            failed.push(number);
            println!("seed {number} {what}:\n{text}\n");
        }
        if Instant::now() > until || failed.len() > 20 {
            break;
        }
    }
    println!(
        "{} mutants, {} programs checked, {} lowered, {} generated",
        reached.mutants, reached.checked, reached.lowered, reached.generated
    );
    assert!(failed.is_empty(), "seeds {failed:?}");
    assert!(reached.generated > 0, "no mutant was lowered");
}
