//! No two tables of the catalog share a family and a tag, whichever crates they are of.
//!
//! A table is a constant, `const NAME: Table = Table { family: Family::X, tag: N };` or a call with the same two words in it,
//! so that its place in every partition can be read here. Tables of tests lie in catalogs of their own and don't count.

use super::{Fault, Text, is_test_file, source};
use std::collections::BTreeMap;

/// How every declaration of a table reads.
const DECLARED: &str = ": Table =";

/// Two tables with one place, and tables whose place can't be read.
pub(super) fn check(texts: &[Text]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut owners: BTreeMap<(String, u8), String> = BTreeMap::new();
    for file in texts.iter().filter(|file| is_shipped(file)) {
        let (code, _) = source::without_tests(&source::blank(&file.text));
        for (at, _) in code.match_indices(DECLARED) {
            let place = format!("{}:{}", file.path, code[..at].matches('\n').count() + 1);
            let said = code[at + DECLARED.len()..].split(';').next().unwrap_or_default();
            match read(said) {
                Some(key) => {
                    if let Some(other) = owners.get(&key) {
                        let text = format!("table {} {:#04x} is that of {other}, too", key.0, key.1);
                        faults.push(Fault::new(&place, text));
                    } else {
                        owners.insert(key, place);
                    }
                }
                None if is_other_name(said) => {}
                None => faults.push(Fault::new(&place, "a table names its family and its tag, as a number")),
            }
        }
    }
    faults
}

fn is_shipped(file: &Text) -> bool {
    let tests = file.path.starts_with("tests/") || file.path.split('/').any(|part| part == "examples");
    file.has_extension("rs") && !tests && !is_test_file(&file.path)
}

/// Family and tag of what stands behind the equals sign.
fn read(said: &str) -> Option<(String, u8)> {
    let (_, behind) = said.split_once("Family::")?;
    let family: String = behind.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let tag = match number.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => number.parse(),
    };
    Some((family, tag.ok()?))
}

/// Another path to a table that is declared elsewhere.
fn is_other_name(said: &str) -> bool {
    let path = said.trim();
    path.contains("::") && path.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(files: &[(&str, &str)]) -> Vec<Fault> {
        let texts = files.iter().map(|(path, text)| Text { path: (*path).into(), text: (*text).into() });
        check(&texts.collect::<Vec<_>>())
    }

    const ONE: &str = "pub const ROWS: Table = Table { family: Family::Record, tag: 0x1F };\n";

    #[test]
    fn two_tables_with_one_place_are_a_fault_however_they_are_written() {
        for other in [
            "const OTHERS: Table = Table { tag: 31, family: Family::Record };",
            "//! x\npub(crate) const OTHERS: Table = table(Family::Record, 0x1f);",
            "const OTHERS: Table =\n    Table { family: Family::Record, tag: 31 };",
        ] {
            let faults = check_all(&[("engine/src/a.rs", ONE), ("archive/src/b.rs", other)]);
            assert_eq!(faults.len(), 1, "{other}");
            assert!(faults[0].text.ends_with("is that of engine/src/a.rs:1, too"), "{faults:?}");
        }
    }

    #[test]
    fn another_family_another_tag_another_name_and_tests_are_none() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n    {ONE}}}\n");
        let faults = check_all(&[
            ("engine/src/a.rs", ONE),
            ("engine/src/b.rs", "const INDEX: Table = table(Family::Index, 0x1F);"),
            ("engine/src/c.rs", "const ROWS: Table = table(Family::Record, 0x2F);"),
            ("engine/src/d.rs", "pub const SEEN: Table = crate::a::ROWS;"),
            ("engine/src/e.rs", &tests),
            ("engine/src/f/tests.rs", ONE),
            ("engine/examples/g.rs", ONE),
            ("tests/oracle/src/h.rs", ONE),
        ]);
        assert_eq!(faults, []);
    }

    #[test]
    fn a_place_that_cannot_be_read_is_a_fault() {
        for said in [
            "table(Family::Record, NEXT)",
            "make()",
            "Table { family: FAMILY, tag: 3 }",
            "table(Family::Record, 256)",
        ] {
            assert_eq!(
                check_all(&[("engine/src/a.rs", &format!("const A: Table = {said};"))]).len(),
                1,
                "{said}"
            );
        }
    }
}
