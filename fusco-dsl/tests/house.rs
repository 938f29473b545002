//! The sources against the house that `docs/architecture.md` draws: rooms stand on floors and arrows point
//! down, files of a room form no circle, device code stands in `.cuh` files, and the compiler shows no more
//! than its contract.
//!
//! A room is a folder of a member's `src`, or a file beside them. An arrow is a `use` or a path that names
//! what another file defines, through every re-export; methods are not followed.

mod source;
pub mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tree::{Arrows, Tree, circles, room, texts};

/// The floors of each member, the ground first. Rooms of one floor do not know each other.
const FLOORS: [(&str, &[&[&str]]); 5] = [
    (
        "fusco-dsl",
        &[
            &["arena", "source", "target", "verified"],
            &["diag"],
            &["syntax"],
            &["sema"],
            &["layout", "oracle", "rust"],
            &["plan"],
            &["schedule"],
            &["kernel"],
            &["cuda", "driver"],
            &["explain", "ranks"],
            &["lib"],
        ],
    ),
    ("fusco-macros", &[&["expand", "relay", "report"], &["lib"]]),
    (
        "fusco-runtime",
        &[
            &["error"],
            &["driver", "lease"],
            &["jit", "mem", "transport"],
            &["workspace"],
            &["plan"],
            &["launch"],
            &["backend"],
            &["cuda", "event", "host"],
            &["world"],
            &["stream"],
            &["program"],
            &["arguments", "arrivals"],
            &["logical"],
            &["typed"],
            &["lib"],
        ],
    ),
    (
        "fuscoc",
        &[
            &["table", "terminal", "text"],
            &["failure", "progress"],
            &["device", "file", "source", "topology"],
            &["data"],
            &["run"],
            &["bench", "check", "doctor", "emit", "explain", "fmt", "man"],
            &["main"],
        ],
    ),
    ("kernels-templates", &[&["lib"]]),
];

/// Arrows upward that stand, by member, room and room, and why.
const UPWARD: [(&str, &str, &str, &str); 0] = [];

/// Circles that stand, by member and files, and why.
const CIRCLES: [(&str, &[&str], &str); 2] = [
    (
        "fusco-runtime",
        &["host/access.rs", "host/affine.rs", "host/index.rs"],
        "one recursive type: an index reads elements, whose places are indices",
    ),
    (
        "fusco-runtime",
        &[
            "host/code.rs",
            "host/grid.rs",
            "host/guard.rs",
            "host/moves.rs",
            "host/route.rs",
            "host/run.rs",
            "host/table.rs",
            "host/tile.rs",
            "host/wait.rs",
        ],
        "code is a tree of ops, each kind in its file, which resolves and runs the ops inside it",
    ),
];

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn arrows(member: &str) -> Arrows {
    Tree::of(&root().join(member).join("src")).arrows()
}

fn named(arrows: &Arrows, from: &str, to: &str) -> String {
    arrows[&(from.to_string(), to.to_string())].iter().cloned().collect::<Vec<_>>().join(", ")
}

#[test]
fn no_circle_of_files_inside_a_room() {
    let mut wrong = Vec::new();
    for (member, _) in FLOORS {
        let arrows = arrows(member);
        let known = CIRCLES.iter().filter(|(of, ..)| *of == member);
        let known: Vec<BTreeSet<String>> =
            known.map(|(_, files, _)| files.iter().map(ToString::to_string).collect()).collect();
        let found = circles(&arrows);
        for circle in found.iter().filter(|c| !known.contains(c)) {
            wrong.push(format!("{member}: a circle"));
            for (from, to) in
                arrows.keys().filter(|(f, t)| circle.contains(f) && circle.contains(t))
            {
                wrong.push(format!("    {from} -> {to}: {}", named(&arrows, from, to)));
            }
        }
        let gone = known.iter().filter(|c| !found.contains(c));
        wrong.extend(gone.map(|c| format!("{member}: no circle any more, strike it: {c:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Arrows between rooms that do not point to a lower floor, as `(room, room)`.
fn upward(arrows: &Arrows, floors: &[&[&str]]) -> BTreeMap<(String, String), Vec<String>> {
    let floor = |room: &str| floors.iter().position(|f| f.contains(&room));
    let mut out: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (from, to) in arrows.keys().filter(|(from, to)| room(from) != room(to)) {
        if floor(room(from)).is_none_or(|from| floor(room(to)).is_none_or(|to| to >= from)) {
            let shown = format!("{from} -> {to}: {}", named(arrows, from, to));
            out.entry((room(from).to_string(), room(to).to_string())).or_default().push(shown);
        }
    }
    out
}

#[test]
fn arrows_between_rooms_point_down() {
    let mut wrong = Vec::new();
    for (member, floors) in FLOORS {
        let mut found = upward(&arrows(member), floors);
        for (_, from, to, _) in UPWARD.iter().filter(|(of, ..)| *of == member) {
            if found.remove(&(from.to_string(), to.to_string())).is_none() {
                wrong.push(format!("{member}: {from} -> {to} is gone, strike it"));
            }
        }
        wrong.extend(found.into_values().flatten().map(|shown| format!("{member}: {shown}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_floor() {
    for (member, floors) in FLOORS {
        let files = texts(&root().join(member).join("src"), &["rs"]);
        let rooms: BTreeSet<&str> = files.keys().map(|file| room(file)).collect();
        let placed: BTreeSet<&str> = floors.iter().copied().flatten().copied().collect();
        assert_eq!(rooms, placed, "{member}");
    }
}

/// Inline assembly of the device: `asm(..)` and `asm volatile(..)`.
fn writes_ptx(text: &str) -> bool {
    text.split("asm").skip(1).any(|after| {
        let after = after.trim_start();
        after.starts_with('(')
            || after.strip_prefix("volatile").is_some_and(|a| a.trim_start().starts_with('('))
    })
}

#[test]
fn device_assembly_stands_in_cuh_files() {
    for (member, _) in FLOORS {
        for (file, text) in texts(&root().join(member).join("src"), &["rs", "pest", "md", "cu"]) {
            assert!(!writes_ptx(&text), "{member}/src/{file}");
        }
    }
    let device = texts(&root().join("kernels-templates/src"), &["cuh"]);
    assert!(
        device.values().any(|text| writes_ptx(text)),
        "the scan finds none where there is some"
    );
}

#[test]
fn only_three_files_know_pest() {
    let files = texts(&root().join("fusco-dsl/src"), &["rs"]);
    let know = files.iter().filter(|(_, text)| {
        let text = source::blank(text);
        text.contains("pest::") || text.contains("pest_derive::")
    });
    let know: Vec<&str> = know.map(|(file, _)| file.as_str()).collect();
    assert_eq!(know, ["syntax/build.rs", "syntax/expect.rs", "syntax/grammar.rs"]);
}

#[test]
fn the_compiler_has_no_unsafe_no_clock_and_no_hash_order() {
    for member in ["fusco-dsl", "kernels-templates"] {
        for (file, text) in texts(&root().join(member).join("src"), &["rs"]) {
            let text = source::blank(&text);
            for word in [
                "HashMap",
                "HashSet",
                "RandomState",
                "SystemTime",
                "Instant::",
                "unsafe {",
                "std::env::",
            ] {
                assert!(!text.contains(word), "{member}/src/{file} has {word}");
            }
        }
    }
}

#[test]
fn only_the_runtime_links_cuda() {
    for (member, _) in FLOORS {
        let manifest =
            fs::read_to_string(root().join(member).join("Cargo.toml")).expect("readable");
        assert_eq!(manifest.contains("cudarc"), member == "fusco-runtime", "{member}");
    }
}

/// Each public item by its public path; fields and methods go with their type.
#[test]
fn the_compiler_shows_no_more_than_its_contract() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/house/contract.txt");
    let found = Tree::of(&root().join("fusco-dsl/src")).contract();
    if std::env::var_os("FUSCO_BLESS").is_some() {
        let lines: String = found.into_iter().map(|item| item + "\n").collect();
        return fs::write(&at, lines).expect("writable");
    }
    let listed = fs::read_to_string(&at).expect("readable");
    let listed: BTreeSet<String> = listed.lines().map(str::to_string).collect();
    let more: Vec<&String> = found.difference(&listed).collect();
    let gone: Vec<&String> = listed.difference(&found).collect();
    assert!(
        more.is_empty() && gone.is_empty(),
        "beyond the contract: {more:#?}; gone: {gone:#?}; run with FUSCO_BLESS=1 if that is meant"
    );
}

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::new(&files.iter().map(|(file, text)| (file.to_string(), text.to_string())).collect())
}

fn shown(arrows: &Arrows) -> Vec<String> {
    arrows.keys().map(|(from, to)| format!("{from} -> {to}: {}", named(arrows, from, to))).collect()
}

#[test]
fn arrows_are_read_through_re_exports_aliases_and_paths() {
    let arrows = tree(&[
        ("lib.rs", "pub mod a; mod b; pub(crate) use a::Deep;"),
        ("a/mod.rs", "mod deep; mod other; pub use deep::{Deep, make as made};\npub struct Own;"),
        ("a/deep.rs", "use super::Own; // use crate::b::Nothing;\npub struct Deep; pub fn make() {}"),
        ("a/other.rs", "use super::{self as up, deep}; fn f() -> up::Own { deep::make(); \"crate::b::No\"; '\"'; up::Own }"),
        ("b.rs", "fn f<'a>(d: &'a crate::Deep) { use crate::a as x; x::made() }\n#[cfg(test)]\nmod tests { use crate::a::Own; }"),
    ])
    .arrows();
    let expected = [
        "a/deep.rs -> a/mod.rs: Own",
        "a/other.rs -> a/deep.rs: make",
        "a/other.rs -> a/mod.rs: Own",
        "b.rs -> a/deep.rs: Deep, made",
    ];
    assert_eq!(shown(&arrows), expected);
    assert_eq!(circles(&arrows), []);
}

#[test]
fn a_circle_and_an_arrow_upward_are_found() {
    let arrows = tree(&[
        ("lib.rs", "mod high; mod low;"),
        ("low/mod.rs", "mod x; mod y; mod z; pub struct Here;"),
        ("low/x.rs", "use super::y::Y; pub struct X;"),
        ("low/y.rs", "pub struct Y; pub fn f() { super::z::g() }"),
        ("low/z.rs", "use crate::low::x::*; use crate::high::High; pub fn g() {}"),
        ("high.rs", "use crate::low::Here; pub struct High;"),
    ])
    .arrows();
    let circle = ["low/x.rs", "low/y.rs", "low/z.rs"].map(str::to_string);
    assert_eq!(circles(&arrows), [BTreeSet::from(circle)]);
    let found = upward(&arrows, &[&["low"], &["high"]]);
    assert_eq!(found.into_values().flatten().collect::<Vec<_>>(), ["low/z.rs -> high.rs: High"]);
}

#[test]
fn public_items_are_those_that_can_be_named() {
    let contract = tree(&[
        ("lib.rs", "pub mod a; mod b; pub use b::{B, c as d}; pub(crate) use b::E;"),
        ("a.rs", "pub struct A { pub field: u8 } impl A { pub fn method() {} } pub(crate) fn hidden() {} pub const fn f() {} pub const C: u8 = 0; fn own() -> impl Sized + use<> {}"),
        ("b.rs", "pub struct B; pub struct E; pub fn c() {}"),
    ])
    .contract();
    assert_eq!(contract.into_iter().collect::<Vec<_>>(), ["B", "a::A", "a::C", "a::f", "d"]);
}

#[test]
fn device_assembly_is_told_from_a_word() {
    assert!(writes_ptx("asm volatile(\"ld.acquire\")") && writes_ptx("x = asm (\"\")"));
    assert!(!writes_ptx("[\"asm\", \"auto\"]") && !writes_ptx("an asm volatile block"));
}
