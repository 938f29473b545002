//! Every file, function and test that `docs/architecture.md` names exists.

use super::house::root;
use super::house::tree::texts;
use super::language::document;
use std::collections::BTreeMap;

/// The sources, tests and documents of the project, by their paths in it.
fn project() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for member in [
        "docs",
        "examples",
        "fusco-dsl",
        "fusco-macros",
        "fusco-runtime",
        "fuscoc",
        "kernels-templates",
        "tests",
    ] {
        let files = texts(&root().join(member), &["rs", "md", "pest", "cuh", "txt", "fusco"]);
        out.extend(files.into_iter().map(|(file, text)| (format!("{member}/{file}"), text)));
    }
    out
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, (inside, after))) =
        path.split_once('{').and_then(|(b, rest)| Some((b, rest.split_once('}')?)))
    else {
        return vec![path.to_string()];
    };
    inside.split(',').map(|part| format!("{before}{part}{after}")).collect()
}

/// What a name in back-ticks lacks: a path is the end of a file's path or a folder in one, `file: name` and
/// `module::name` are functions, and so is a word of three parts and more.
fn missing(name: &str, project: &BTreeMap<String, String>) -> Vec<String> {
    let defines = |text: &String, function: &str| text.contains(&format!("fn {function}("));
    let anywhere = |function: &str| project.values().any(|text| defines(text, function));
    let at = |path: &str, file: &str| {
        let whole = format!("/{file}");
        if path.ends_with('/') {
            whole.contains(&format!("/{path}"))
        } else {
            whole.ends_with(&format!("/{path}"))
        }
    };
    let is_path = |word: &str| {
        let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-{},*".contains(&b));
        plain
            && !word.contains('*')
            && (word.contains('/') || word.ends_with(".rs") || word.ends_with(".md"))
    };
    if let Some((path, function)) = name.split_once(": ").filter(|(path, _)| is_path(path)) {
        let found = project.iter().any(|(file, text)| at(path, file) && defines(text, function));
        return if found { Vec::new() } else { vec![name.to_string()] };
    }
    if is_path(name) {
        let mut paths = alternatives(name);
        let folder = |path: &str| root().join(path).is_dir();
        paths.retain(|path| {
            !folder(path)
                && !project.keys().any(|file| at(path, file) || at(&format!("{path}/"), file))
        });
        return paths;
    }
    let function = match name.split_once("::") {
        Some((_, function)) => function,
        None if name.matches('_').count() > 1 && !name.ends_with('_') => name,
        None => return Vec::new(),
    };
    let is_function =
        function.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_function && !function.is_empty() && !anywhere(function) {
        vec![name.to_string()]
    } else {
        Vec::new()
    }
}

#[test]
fn what_the_architecture_names_exists() {
    let (text, project) = (document("architecture.md"), project());
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 100, "only {} names", names.len());
    let lacking: Vec<String> = names.iter().flat_map(|name| missing(name, &project)).collect();
    assert!(lacking.is_empty(), "{lacking:#?}");
    for wrong in [
        "sema/nowhere.rs",
        "plan/lower.rs: nothing",
        "house::no_such_test",
        "no_such_test_here",
        "cuda/op/{bulk,no}.rs",
    ] {
        assert_eq!(missing(wrong, &project).len(), 1, "{wrong}");
    }
}
