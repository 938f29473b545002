//! The files of one member and the arrows between them. Enters: each file's path under `src` and its
//! text. Leaves: who names an item of whom, through every re-export to the file that defines it.

use super::source::{Import, Source, read};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::slice;

/// From file, to file, and the names that the first takes.
pub type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

pub struct Tree {
    /// By module: the path under `src`, and what it says.
    modules: BTreeMap<Vec<String>, (String, Source)>,
}

impl Tree {
    /// The sources under a folder.
    pub fn of(folder: &Path) -> Tree {
        Tree::new(&texts(folder, &["rs"]))
    }

    pub fn new(files: &BTreeMap<String, String>) -> Tree {
        let modules = files.iter().map(|(file, text)| (module(file), (file.clone(), read(text))));
        let mut tree = Tree { modules: modules.collect() };
        let tests = tree.modules.iter().flat_map(|(at, (_, source))| {
            source.test_modules.iter().map(move |name| [&at[..], slice::from_ref(name)].concat())
        });
        for test in tests.collect::<Vec<_>>() {
            tree.modules.retain(|at, _| !at.starts_with(&test));
        }
        tree
    }

    pub fn arrows(&self) -> Arrows {
        let mut out = Arrows::new();
        for (module, (file, source)) in &self.modules {
            let globs = source.imports.iter().filter(|i| i.name == "*");
            let globs = globs.map(|i| [&i.path[..], &["*".to_string()]].concat());
            let named = source.imports.iter().filter(|i| i.name != "*" && !self.is_face(i, module));
            let named = named.map(|i| i.path.clone());
            for path in named.chain(globs).chain(source.paths.iter().cloned()) {
                let item = path.last().cloned().unwrap_or_default();
                let to = self.absolute(module, &path, 0).and_then(|p| self.file(&p, 0));
                if let Some(to) = to.filter(|to| to != file) {
                    out.entry((file.clone(), to)).or_default().insert(item);
                }
            }
        }
        out
    }

    /// Whether a `use` only hands on what stands below it.
    fn is_face(&self, import: &Import, module: &[String]) -> bool {
        let below = self.absolute(module, &import.path, 0);
        import.handed_on && below.is_some_and(|p| p.len() > module.len() && p.starts_with(module))
    }

    /// A path of a module, from the root of the member.
    fn absolute(&self, module: &[String], path: &[String], deep: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut at = module.to_vec();
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
                let ups = rest.iter().take_while(|w| *w == "super").count();
                at.truncate(at.len().saturating_sub(ups));
                return Some([&at, &rest[ups..]].concat());
            }
            name => {
                at.push(name.to_string());
                if !self.modules.contains_key(&at) {
                    let (_, source) = &self.modules[module];
                    let import = source.imports.iter().find(|i| i.name == name)?;
                    if deep > 8 || import.path == path {
                        return None;
                    }
                    at = self.absolute(module, &import.path, deep + 1)?;
                }
            }
        }
        Some([&at, rest].concat())
    }

    /// The file that defines an item, if the path does not end at a module.
    fn file(&self, path: &[String], deep: usize) -> Option<String> {
        for at in (0..path.len()).rev() {
            let Some((file, source)) = self.modules.get(&path[..at]) else { continue };
            if self.modules.contains_key(&path[..=at]) || deep > 8 {
                return None;
            }
            let import = source.imports.iter().find(|i| i.name == path[at]);
            let Some(import) = import else { return Some(file.clone()) };
            let target = self.absolute(&path[..at], &import.path, 0)?;
            return self.file(&[&target, &path[at + 1..]].concat(), deep + 1);
        }
        None
    }

    /// Every public item that can be named from outside, by its public path.
    pub fn contract(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        self.public(&[], &mut out);
        out
    }

    fn public(&self, module: &[String], out: &mut BTreeSet<String>) {
        let (_, source) = &self.modules[module];
        let handed_on = source.imports.iter().filter(|i| i.public).map(|i| &i.name);
        for name in source.items.iter().chain(handed_on) {
            out.insert([module, slice::from_ref(name)].concat().join("::"));
        }
        for name in &source.public_modules {
            self.public(&[module, slice::from_ref(name)].concat(), out);
        }
    }
}

/// The texts under a folder whose names end in one of `ends`, by their paths under it.
pub fn texts(folder: &Path, ends: &[&str]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for item in fs::read_dir(folder).expect("a folder of sources").map(|i| i.expect("readable")) {
        let (path, name) = (item.path(), item.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            let below = texts(&path, ends);
            out.extend(below.into_iter().map(|(file, text)| (format!("{name}/{file}"), text)));
        } else if ends.iter().any(|end| path.extension().is_some_and(|e| e == *end)) {
            out.insert(name, fs::read_to_string(&path).expect("readable"));
        }
    }
    out
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`.
fn module(file: &str) -> Vec<String> {
    let mut at: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_string).collect();
    if at.len() == 1 && ["lib", "main"].contains(&at[0].as_str()) || at.ends_with(&["mod".into()]) {
        at.pop();
    }
    at
}

/// The first folder of a file, or the file.
pub fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Files that reach each other inside one room, the largest groups that there are.
pub fn circles(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let within = || arrows.keys().filter(|(from, to)| room(from) == room(to));
    let mut reach: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in within() {
        reach.entry(from).or_default().insert(to);
    }
    loop {
        let before: usize = reach.values().map(BTreeSet::len).sum();
        for (from, to) in within() {
            let more = reach.get(to.as_str()).cloned().unwrap_or_default();
            reach.entry(from).or_default().extend(more);
        }
        if reach.values().map(BTreeSet::len).sum::<usize>() == before {
            break;
        }
    }
    let mut out = BTreeSet::new();
    for (file, reached) in reach.iter().filter(|(file, reached)| reached.contains(*file)) {
        let back = |other: &&&str| reach.get(**other).is_some_and(|r| r.contains(file));
        out.insert(reached.iter().filter(back).map(ToString::to_string).collect());
    }
    out.into_iter().collect()
}
