//! The modules of the binary: which of them must not name which.
//!
//! ```text
//!   verbs        appliance       a client; the server: neither names the other
//!      └─────┬───────┘
//!        directory               whose the directories are, who has them open
//!         report                 what is printed: findings, times, results
//! ```
//!
//! A module is named by its path from the crate's root (`crate::verbs`), as the sources write it.

use super::{Fault, Text};

const ROOT: &str = "gateway/firn/src";
/// A module, and one that it must not name.
const APART: [(&str, &str); 6] = [
    ("verbs", "appliance"),
    ("appliance", "verbs"),
    ("directory", "verbs"),
    ("directory", "appliance"),
    ("report", "verbs"),
    ("report", "appliance"),
];

/// What names a module that it must not.
pub(super) fn check(texts: &[Text]) -> Vec<Fault> {
    texts.iter().flat_map(judge).collect()
}

fn judge(file: &Text) -> Vec<Fault> {
    let Some(inside) = file.path.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('/')) else {
        return Vec::new();
    };
    let module = inside.split(['/', '.']).next().unwrap_or_default();
    let apart = APART.iter().filter(|(user, _)| *user == module);
    let mut faults = Vec::new();
    for (_, other) in apart {
        let name = format!("crate::{other}");
        let named = |line: &str| line.split(&name).skip(1).any(|rest| rest.starts_with([':', ';']));
        for (index, _) in file.text.lines().enumerate().filter(|(_, line)| named(line)) {
            let place = format!("{}:{}", file.path, index + 1);
            faults.push(Fault::new(&place, format!("names crate::{other}: what both need goes below them")));
        }
    }
    faults
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
    }
}
