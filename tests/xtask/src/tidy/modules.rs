//! The modules of the binary and of the engine: which of them must not name which.
//!
//! ```text
//!   verbs        appliance       a client; the server: neither names the other         blob     rows that locate records
//!      └─────┬───────┘                                                                    │
//!        directory               whose the directories are, who has them open           pool     the files that hold them
//!         report                 what is printed: findings, times, results
//! ```
//!
//! A module is named by its path from the crate's root (`crate::verbs`), as the sources write it.

use super::{Fault, Text};

const FIRN: &str = "gateway/firn/src/";
const ENGINE: &str = "engine/src/";
/// Where a crate's sources are, a module of it, and one that it must not name.
const APART: [(&str, &str, &str); 7] = [
    (FIRN, "verbs", "appliance"),
    (FIRN, "appliance", "verbs"),
    (FIRN, "directory", "verbs"),
    (FIRN, "directory", "appliance"),
    (FIRN, "report", "verbs"),
    (FIRN, "report", "appliance"),
    (ENGINE, "pool", "blob"),
];

/// What names a module that it must not.
pub(super) fn check(texts: &[Text]) -> Vec<Fault> {
    texts.iter().flat_map(judge).collect()
}

fn judge(file: &Text) -> Vec<Fault> {
    let lies_in = |root: &str, module: &str| {
        file.path.strip_prefix(root).and_then(|inside| inside.split(['/', '.']).next()) == Some(module)
    };
    let apart = APART.iter().filter(|(root, user, _)| lies_in(root, user));
    let mut faults = Vec::new();
    for (.., other) in apart {
        let name = format!("crate::{other}");
        let named = |line: &str| line.split(&name).skip(1).any(|rest| rest.starts_with([':', ';']));
        let lines = file.text.lines().enumerate().filter(|(_, line)| named(line)).map(|(index, _)| index);
        for index in lines.chain(grouped(&file.text, other)) {
            let place = format!("{}:{}", file.path, index + 1);
            faults.push(Fault::new(&place, format!("names crate::{other}: what both need goes below them")));
        }
    }
    faults
}

/// Lines on which `use crate::{ … }` begins that names this module.
fn grouped<'a>(text: &'a str, module: &'a str) -> impl Iterator<Item = usize> + 'a {
    const GROUP: &str = "use crate::{";
    text.match_indices(GROUP).filter_map(move |(at, _)| {
        let group = text[at + GROUP.len()..].split(';').next()?;
        let mut depth = 0_i32;
        let outer: String = group
            .chars()
            .filter(|c| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0
            })
            .collect();
        let names = outer.split(',').any(|item| item.trim().split([':', ' ', '}']).next() == Some(module));
        names.then(|| text[..at].lines().count())
    })
}

#[cfg(test)]
mod tests {
    use super::{Text, judge};

    fn faults(path: &str, text: &str) -> usize {
        judge(&Text { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn modules_that_are_apart_do_not_name_one_another() {
        let line = "use crate::appliance::Lock;\n";
        assert_eq!(faults("gateway/firn/src/verbs/zone.rs", line), 1);
        assert_eq!(faults("gateway/firn/src/directory/mod.rs", line), 1);
        assert_eq!(faults("gateway/firn/src/main.rs", line), 0);
        assert_eq!(faults("gateway/firn/src/appliance/open.rs", line), 0);
        assert_eq!(faults("gateway/firn/src/appliance/open.rs", "use crate::verbs;"), 1);
        assert_eq!(faults("gateway/firn/src/verbs/zone.rs", "use crate::appliances::X;"), 0);
        assert_eq!(faults("engine/src/verbs/zone.rs", line), 0);
        let group = "//! Text.\nuse crate::{\n    exit::{Exit, appliance},\n    appliance::Lock,\n};\n";
        assert_eq!(faults("gateway/firn/src/verbs/zone.rs", group), 1);
        assert_eq!(faults("gateway/firn/src/verbs/zone.rs", "use crate::{exit, appliance};"), 1);
        assert_eq!(faults("gateway/firn/src/verbs/zone.rs", "use crate::{exit::{appliance}, exit};"), 0);
    }

    #[test]
    fn the_pool_does_not_name_the_blobs_that_stand_on_it() {
        let line = "use crate::blob::row::RecordAt;\n";
        assert_eq!(faults("engine/src/pool/lane.rs", line), 1);
        assert_eq!(faults("engine/src/pool.rs", line), 1);
        assert_eq!(faults("engine/src/blob/mend.rs", "use crate::pool::Pool;\n"), 0);
        assert_eq!(faults("engine/src/pool/lane.rs", "use crate::blobs::X;\n"), 0);
    }
}
