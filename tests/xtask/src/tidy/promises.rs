//! docs/semantics.md: every paragraph and every list item names a test that proves it, and every test named exists.
//!
//! A test is named in backquotes by its last path segment: `` `web::s3::a_range_is_honoured` `` or
//! `` `test_objects.py::test_a_range` ``; a file or folder that holds tests, by its path or the end of it. What stands before the first `##`, other
//! headings, code blocks and paragraphs that end in a colon promise nothing.

use super::Fault;
use std::collections::HashSet;
use std::path::Path;

/// The names of all tests in a Rust or Python source.
fn tests_in(path: &str, text: &str) -> Vec<String> {
    if is_python(path) {
        let starts = text.lines().filter_map(|line| line.trim_start().strip_prefix("def "));
        return starts.map(identifier).filter(|name| name.starts_with("test_")).collect();
    }
    let mut marked = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if line.starts_with("#[ignore") {
            // What is not run proves nothing.
            marked = false;
        } else if marked && !line.starts_with("#[") && !line.starts_with("//") {
            found.extend(line.find("fn ").map(|at| identifier(&line[at + 3..])));
            marked = false;
        }
    }
    found
}

fn is_python(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "py")
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// What there is to prove promises with.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    /// The names of all tests.
    tests: HashSet<String>,
    /// The paths of the files that hold them.
    files: Vec<String>,
}

impl Proofs {
    /// Adds the tests of one source.
    pub(crate) fn add(&mut self, path: &str, text: &str) {
        let found = tests_in(path, text);
        if !found.is_empty() {
            self.files.push(path.to_owned());
        }
        self.tests.extend(found);
    }

    fn has(&self, name: &str) -> bool {
        self.tests.contains(last_segment(name))
            || self.files.iter().any(|file| match name.strip_suffix('/') {
                Some(folder) => file.starts_with(&format!("{folder}/")),
                None => file == name || file.ends_with(&format!("/{name}")),
            })
    }
}

/// What is wrong with the promises, given all that proves them.
pub(crate) fn check(text: &str, proofs: &Proofs) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (line, promise) in paragraphs(text) {
        let place = format!("docs/semantics.md:{line}");
        let quoted: Vec<&str> = promise.split('`').skip(1).step_by(2).collect();
        let proven = quoted.iter().any(|name| proofs.has(name));
        if !proven && !promise.ends_with(':') {
            let start: String = promise.chars().take(60).collect();
            faults.push(Fault::new(&place, format!("names no test that proves it: {start}…")));
        }
        for name in quoted.iter().filter(|name| looks_like_a_test(name)) {
            if !proofs.has(name) {
                faults.push(Fault::new(&place, format!("names the test `{name}`, which does not exist")));
            }
        }
    }
    faults
}

fn last_segment(name: &str) -> &str {
    name.rsplit([':', ' ']).next().unwrap_or(name)
}

/// A path whose last segment has at least three words in lower case, as tests have and nothing else in that document.
fn looks_like_a_test(name: &str) -> bool {
    let last = last_segment(name);
    let snake = last.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    snake && last.matches('_').count() >= 2
}

/// Paragraphs and list items with the line they start at.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    let mut code = false;
    let mut introduced = false;
    for (index, line) in text.lines().enumerate() {
        let words = line.trim();
        introduced |= words.starts_with("## ");
        if words.starts_with("```") {
            code = !code;
            open = false;
            continue;
        }
        if !introduced || code || words.is_empty() || words.starts_with('#') {
            open = false;
            continue;
        }
        let item = words.strip_prefix("- ").or_else(|| words.strip_prefix("* "));
        match found.last_mut().filter(|_| open && item.is_none()) {
            Some((_, paragraph)) => {
                paragraph.push(' ');
                paragraph.push_str(words);
            }
            None => found.push((index + 1, item.unwrap_or(words).to_owned())),
        }
        open = true;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Proofs {
        let mut proofs = Proofs::default();
        proofs.add("engine/tests/x.rs", "#[test]\nfn a_put_is_durable() {}\n");
        proofs.add("tests/e2e/test_objects.py", "def test_ranges():\n");
        proofs
    }

    #[test]
    fn rust_and_python_tests_are_found() {
        let rust = "#[test]\nfn one_is_one() {}\nfn maker() {}\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn two() {}\n";
        assert_eq!(tests_in("a.rs", rust), ["one_is_one"], "what is ignored proves nothing");
        assert_eq!(tests_in("a.py", "def test_ranges(s3):\n    pass\ndef maker():\n"), ["test_ranges"]);
    }

    #[test]
    fn a_promise_with_an_existing_test_is_accepted() {
        let text = "# Words\nAn introduction.\n\n## Part\nA put is durable\n(`engine::a_put_is_durable`).\n\n- Ranges: `test_objects.py::test_ranges`\n- `engine/tests/x.rs`\n- `x.rs`\n- Tests are in `engine/tests/`\n\nAs follows:\n";
        assert_eq!(check(text, &known()), []);
    }

    #[test]
    fn a_promise_without_a_test_or_with_a_missing_one_is_a_fault() {
        let faults =
            check("## P\nNothing is ever lost.\n\n- Kept (`a_put_is_durable`).\n- Never.\n", &known());
        assert_eq!(faults.len(), 2, "{faults:?}");
        for missing in ["x::never_written_down_anywhere", "never_written_down_anywhere"] {
            let faults = check(&format!("## P\nKept (`a_put_is_durable`, `{missing}`).\n"), &known());
            assert_eq!(faults.len(), 1, "{faults:?}");
        }
    }

    #[test]
    fn code_blocks_promise_nothing() {
        assert_eq!(check("## P\n```sh\nfirn ls\n```\n", &known()), []);
    }
}
