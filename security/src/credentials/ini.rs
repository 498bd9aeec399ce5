//! The INI dialect of AWS credentials files, as botocore reads it: `[profile]`, `name = value`, whole-line comments.

use crate::{Error, Result};

/// One `[profile]` with its settings, in the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Section<'a> {
    pub(super) name: &'a str,
    pub(super) settings: Vec<(&'a str, &'a str)>,
}

impl<'a> Section<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.settings.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

fn refused(line: usize, detail: &str) -> Error {
    Error::Parse { what: "credentials", detail: format!("line {line}: {detail}") }
}

/// Reads a file's text. Errors name the line and never quote it: it may hold a secret.
pub(super) fn parse(text: &str) -> Result<Vec<Section<'_>>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name =
                rest.strip_suffix(']').ok_or_else(|| refused(number, "a [profile] is not closed"))?.trim();
            if name.is_empty() {
                return Err(refused(number, "a profile has no name"));
            }
            if sections.iter().any(|section| section.name == name) {
                return Err(refused(number, "a profile stands there twice"));
            }
            sections.push(Section { name, settings: Vec::new() });
            continue;
        }
        let (name, value) = line.split_once('=').ok_or_else(|| refused(number, "it is not NAME = VALUE"))?;
        let section =
            sections.last_mut().ok_or_else(|| refused(number, "a setting before the first [profile]"))?;
        let name = name.trim();
        if name.is_empty() || section.get(name).is_some() {
            return Err(refused(number, "a setting has no name or stands there twice"));
        }
        section.settings.push((name, value.trim()));
    }
    Ok(sections)
}
