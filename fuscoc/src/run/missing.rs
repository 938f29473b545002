//! What a command line does not say yet: told all at once, with the line to type.

use super::feed;
use super::work::{Work, pairs};
use crate::failure::Failure;
use crate::table::blanks;
use fusco_dsl::Compiled;
use fusco_dsl::sema::hir::{Bindings, Extent, Io, ParamKind, Program};

/// Flags to add, each with what it is for.
#[derive(Default)]
pub struct Missing(Vec<(String, String)>);

impl Missing {
    fn add(&mut self, flag: String, why: String) {
        self.0.push((flag, why));
    }

    fn told(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        let width = self.0.iter().map(|(flag, _)| flag.chars().count()).max().unwrap_or(0);
        let line =
            |(flag, why): &(String, String)| format!("\n  {flag}{}   {why}", blanks(flag, width));
        let lines = self.0.iter().map(line);
        let list: String = lines.collect();
        let flags: Vec<&str> = self.0.iter().map(|(flag, _)| flag.as_str()).collect();
        let typed: Vec<String> = std::env::args().skip(1).map(|a| quoted(&a)).collect();
        let line = format!("fuscoc {} {}", typed.join(" "), flags.join(" "));
        Err(Failure::usage(format!("the command line lacks{list}\ntype: {line}")))
    }
}

/// As a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,./:@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Before params are bound: the entries and the params; and if some lack, what else any entry may ask for.
/// A sole entry need not be named.
pub fn before_bind(work: &mut Work, program: &Program, params: &Bindings) -> Result<(), Failure> {
    let mut missing = Missing::default();
    if work.entries.is_empty() {
        match &program.entries[..] {
            [] => return Err(Failure::input(format!("`{}` has no entry", program.name))),
            [only] => work.entries.push(only.name.clone()),
            [first, ..] => {
                let names: Vec<&str> = program.entries.iter().map(|e| e.name.as_str()).collect();
                let why =
                    format!("or others, in the order of their launches: {}", names.join(", "));
                missing.add(format!("--entry {}", first.name), why);
            }
        }
    }
    let unbound = program.params.iter().filter(|(h, p)| match p.kind {
        ParamKind::Int => !params.contains_key(&p.name),
        ParamKind::Ints => program.array(*h, params).is_empty(),
    });
    let set: Vec<String> = unbound
        .map(|(_, p)| match p.kind {
            ParamKind::Int => format!("{}=..", p.name),
            ParamKind::Ints => format!("{}=[..]", p.name),
        })
        .collect();
    if !set.is_empty() {
        missing.add(format!("--set {}", set.join(",")), "a number for each param".to_string());
    }
    if missing.0.is_empty() {
        return Ok(());
    }
    let given = pairs(&work.dyns, "--dyn")?;
    for (_, info) in program.dyns.iter().filter(|(_, d)| !given.contains_key(&d.name)) {
        dynamic(&mut missing, &info.name, !info.axes.is_empty());
    }
    let (files, feeds) = (pairs(&work.inputs, "--in")?, pairs(&work.feed, "--feed")?);
    let open = |name: &String| !files.contains_key(name) && !feeds.contains_key(name);
    let ins = program.tensors.iter().filter(|(_, t)| matches!(t.io, Io::In | Io::InOut));
    let ins: Vec<&str> = ins.filter(|(_, t)| open(&t.name)).map(|(_, t)| t.name.as_str()).collect();
    if work.random.is_none() && !ins.is_empty() {
        random(&mut missing, &ins);
    }
    missing.told()
}

fn dynamic(missing: &mut Missing, name: &str, per_rank: bool) {
    let why =
        if per_rank { "one size, or one for each rank: N,N,.." } else { "a launch-time size" };
    missing.add(format!("--dyn {name}=N"), why.to_string());
}

fn random(missing: &mut Missing, ins: &[&str]) {
    let names = ins.join(", ");
    let why = format!("--random SEED fills {names}; or --in NAME=FILE[:KEY] each");
    missing.add("--random 1".to_string(), why);
}

/// What the chosen entries ask for: launch-time sizes, and a source for each `in`.
pub fn before_launch(
    work: &Work,
    compiled: &Compiled,
    params: &Bindings,
    used: &[String],
) -> Result<(), Failure> {
    let mut missing = Missing::default();
    let given = pairs(&work.dyns, "--dyn")?;
    let chosen = compiled.schedule.entries.iter().filter(|e| work.entries.contains(&e.name));
    let asked: Vec<_> = chosen.flat_map(|e| &e.dyns).collect();
    for (handle, info) in compiled.schedule.dyns.iter() {
        if asked.contains(&&handle) && !given.contains_key(&info.name) {
            dynamic(&mut missing, &info.name, info.per_rank);
        }
    }
    let (files, feeds) = (pairs(&work.inputs, "--in")?, pairs(&work.feed, "--feed")?);
    let mut empty = Vec::new();
    for name in used {
        let Some(handle) = compiled.hir.tensor(name) else { continue };
        let tensor = &compiled.hir.tensors[handle];
        let given = files.contains_key(name) || feeds.contains_key(name);
        if given || !matches!(tensor.io, Io::In | Io::InOut) {
            continue;
        }
        if !tensor.axes.iter().any(|a| matches!(a.extent, Extent::Ragged { .. })) {
            empty.push(name.as_str());
            continue;
        }
        let outs = compiled.hir.tensors.iter().filter(|(_, t)| t.io == Io::Out);
        let from = outs
            .filter(|(out, _)| feed::fits(compiled, params, handle, *out).is_ok())
            .map(|(_, t)| t.name.as_str())
            .next();
        let from = from.unwrap_or("OUT");
        let why = format!("`{name}` is ragged: only an earlier entry makes it");
        missing.add(format!("--feed {name}={from}"), why);
    }
    if work.random.is_none() && !empty.is_empty() {
        random(&mut missing, &empty);
    }
    missing.told()
}
