//! Style as a test: what a reviewer would otherwise repeat.
//!
//! Checked: the size of files (at most 800 lines, nine in ten at most 600) and functions (80 lines of code), tests
//! apart; a module header in every file; names of files; marks of unfinished work; the top level; the documents that
//! must be there; the crate graph (`layers`) and the binary's modules (`modules`); the promises of docs/semantics.md (`promises`); the catalog's tables (`tables`).

mod layers;
mod modules;
mod promises;
mod source;
mod tables;

use crate::error::{Error, Result};
use crate::say;
use crate::workspace::{Workspace, read};
use std::collections::BTreeSet;
use std::path::Path;

const FILE_LINES_MAX: usize = 800;
const FILE_LINES_P90: usize = 600;
const FUNCTION_LINES_MAX: usize = 80;
/// Files whose names say nothing about what is in them.
const VAGUE_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];
/// Marks of unfinished work, put together here so that this file does not bear them.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// What may stand at the top level: the layers, tests/, docs/ and what tools require.
const TOP_LEVEL: [&str; 22] = [
    ".cargo",
    ".ci",
    ".gitattributes",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "archive",
    "blockvol",
    "clippy.toml",
    "deny.toml",
    "docs",
    "engine",
    "gateway",
    "objectstore",
    "rustfmt.toml",
    "security",
    "tests",
    "transfer",
];
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "ARCHITECTURE.md", "docs/semantics.md"];

/// Something that breaks a rule, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    place: String,
    text: String,
}

impl Fault {
    fn new(place: &str, text: impl Into<String>) -> Self {
        Self { place: place.to_owned(), text: text.into() }
    }
}

/// A tracked file with its text.
struct Text {
    path: String,
    text: String,
}

impl Text {
    fn has_extension(&self, wanted: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == wanted)
    }
}

/// Checks everything; an error when anything breaks a rule.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tracked = workspace.tracked_files()?;
    let mut faults = top_level(&tracked);
    for document in DOCUMENTS {
        if !workspace.root.join(document).is_file() {
            faults.push(Fault::new(document, "is missing"));
        }
    }
    let mut texts = Vec::new();
    for path in &tracked {
        let bytes =
            std::fs::read(workspace.root.join(path)).map_err(|source| Error::at("read", path, source))?;
        // Golden files are bytes.
        if let Ok(text) = String::from_utf8(bytes) {
            texts.push(Text { path: path.to_string_lossy().into_owned(), text });
        }
    }
    faults.extend(texts.iter().flat_map(names_and_marks));
    let sizes = rust_files(&texts, &mut faults);
    faults.extend(layers::check(&workspace.metadata(false)?, &workspace.root));
    faults.extend(modules::check(&texts));
    faults.extend(tables::check(&texts));
    faults.extend(semantics(workspace, &texts)?);
    report(&sizes, &faults)
}

fn report(sizes: &[usize], faults: &[Fault]) -> Result<()> {
    for fault in faults {
        say::line(format!("{}: {}", fault.place, fault.text));
    }
    say::line(format!(
        "{} Rust files, lines without tests: median {}, p90 {}, largest {}",
        sizes.len(),
        percentile(sizes, 50),
        percentile(sizes, 90),
        percentile(sizes, 100),
    ));
    match faults.len() {
        0 => Ok(()),
        count => Err(Error::failed(format!("{count} rule(s) of tidy are broken"))),
    }
}

fn percentile(sorted: &[usize], percent: usize) -> usize {
    let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(0)
}

fn top_level(tracked: &[impl AsRef<Path>]) -> Vec<Fault> {
    let names: BTreeSet<String> = tracked
        .iter()
        .filter_map(|path| path.as_ref().components().next())
        .map(|first| first.as_os_str().to_string_lossy().into_owned())
        .collect();
    let unknown = names.into_iter().filter(|name| !TOP_LEVEL.contains(&name.as_str()));
    unknown.map(|name| Fault::new(&name, "does not belong to the top level")).collect()
}

fn names_and_marks(file: &Text) -> Vec<Fault> {
    let mut faults = Vec::new();
    let stem = Path::new(&file.path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if stem.is_some_and(|stem| VAGUE_NAMES.contains(&stem.as_str())) {
        faults.push(Fault::new(&file.path, "has a name that says nothing: name it for what it holds"));
    }
    for (index, line) in file.text.lines().enumerate() {
        if let Some(mark) = MARKS.iter().find(|mark| source::names(line, mark)) {
            faults.push(Fault::new(&format!("{}:{}", file.path, index + 1), format!("says {mark}")));
        }
    }
    faults
}

/// Checks every Rust file; returns their sizes without tests, in order.
fn rust_files(texts: &[Text], faults: &mut Vec<Fault>) -> Vec<usize> {
    let mut sizes = Vec::new();
    for file in texts.iter().filter(|file| file.has_extension("rs")) {
        if !file.text.starts_with("//!") && !file.text.starts_with("#!") {
            faults.push(Fault::new(&file.path, "does not begin with a module header (`//!`)"));
        }
        if is_test_file(&file.path) {
            continue;
        }
        let (code, test_lines) = source::without_tests(&source::blank(&file.text));
        let lines = file.text.lines().count() - test_lines;
        if lines > FILE_LINES_MAX {
            faults.push(Fault::new(&file.path, format!("has {lines} lines, more than {FILE_LINES_MAX}")));
        }
        sizes.push(lines);
        for function in source::functions(&code) {
            if function.code_lines > FUNCTION_LINES_MAX {
                let place = format!("{}:{}", file.path, function.line);
                let text = format!("`{}` has {} lines of code", function.name, function.code_lines);
                faults.push(Fault::new(&place, format!("{text}, more than {FUNCTION_LINES_MAX}")));
            }
        }
    }
    sizes.sort_unstable();
    let p90 = percentile(&sizes, 90);
    if p90 > FILE_LINES_P90 {
        faults.push(Fault::new("all Rust files", format!("p90 is {p90} lines, more than {FILE_LINES_P90}")));
    }
    sizes
}

fn is_test_file(path: &str) -> bool {
    let inside_tests = path.split('/').skip(1).any(|part| part == "tests" || part == "benches");
    inside_tests || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn semantics(workspace: &Workspace, texts: &[Text]) -> Result<Vec<Fault>> {
    let path = workspace.root.join("docs/semantics.md");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let sources = texts.iter().filter(|file| file.has_extension("rs") || file.has_extension("py"));
    let mut proofs = promises::Proofs::default();
    for file in sources {
        proofs.add(&file.path, &file.text);
    }
    Ok(promises::check(&read(&path)?, &proofs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Text {
        Text { path: path.into(), text: text.into() }
    }

    #[test]
    fn a_long_function_is_a_fault() {
        let text = format!("//! Header.\nfn long() {{\n{}}}\n", "    call();\n".repeat(81));
        let mut faults = Vec::new();
        rust_files(&[file("engine/src/a.rs", &text)], &mut faults);
        assert_eq!(faults.len(), 1);
        assert!(faults[0].text.starts_with("`long` has 83 lines"), "{faults:?}");
    }

    #[test]
    fn a_long_file_is_a_fault_and_its_tests_are_not_counted() {
        let text = format!("//! Header.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    y();\n".repeat(900));
        let mut faults = Vec::new();
        assert_eq!(rust_files(&[file("engine/src/a.rs", &text)], &mut faults), [1]);
        assert_eq!(faults, []);
        let text = format!("//! Header.\n{}", "// why\n".repeat(900));
        rust_files(&[file("engine/src/a.rs", &text)], &mut faults);
        assert!(faults[0].text.contains("has 901 lines") && faults.len() == 2, "{faults:?}");
    }

    #[test]
    fn a_missing_header_a_vague_name_and_a_mark_are_faults() {
        let mut faults = Vec::new();
        rust_files(&[file("engine/src/a.rs", "fn a() {}\n")], &mut faults);
        assert_eq!(faults.len(), 1);
        assert_eq!(names_and_marks(&file("engine/src/utils.rs", "//! x\n")).len(), 1);
        assert_eq!(names_and_marks(&file("a.md", &format!("later ({})", MARKS[0]))).len(), 1);
        assert_eq!(names_and_marks(&file("a.md", "a mastodon")), []);
    }

    #[test]
    fn only_known_names_stand_at_the_top() {
        let faults = top_level(&["engine/src/lib.rs", "scratch/x", "README.md"]);
        assert_eq!(faults, [Fault::new("scratch", "does not belong to the top level")]);
    }
}
