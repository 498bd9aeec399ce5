//! The document itself, piece by piece.

use super::select::{Marker, Place, Selected, Selection};
use super::{Description, InvalidParameter, date};
use crate::tree_hash::TreeHash;
use engine::clock::Timestamp;
use engine::unit::ByteCount;
use serde::Serialize;
use std::fmt::Write;
use std::str::FromStr;

/// JSON or CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `JSON`, also where nothing is said.
    #[default]
    Json,
    /// `CSV`.
    Csv,
}

impl Format {
    /// By Glacier's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "CSV",
        }
    }

    /// Of the output.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
        }
    }
}

impl FromStr for Format {
    type Err = InvalidParameter;

    fn from_str(text: &str) -> Result<Self, InvalidParameter> {
        [Self::Json, Self::Csv]
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| InvalidParameter::new("Format", format!("{text:?} is neither JSON nor CSV")))
    }
}

/// An archive, as a list has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id and creation.
    pub place: Place,
    /// What it was described as.
    pub description: Description,
    /// Its length.
    pub size: ByteCount,
    /// Over all of it.
    pub tree_hash: TreeHash,
}

/// As JSON has it; serde writes fields in this order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct JsonEntry<'a> {
    archive_id: &'a str,
    archive_description: &'a str,
    creation_date: String,
    size: u64,
    #[serde(rename = "SHA256TreeHash")]
    tree_hash: String,
}

/// Writes an inventory, an archive at a time.
#[derive(Debug)]
pub struct Writer {
    format: Format,
    selection: Selection,
    listed: u64,
    last: Option<Place>,
    next: Option<Marker>,
    ended: bool,
}

impl Writer {
    /// Begins a document and writes its head.
    pub fn begin(
        format: Format,
        selection: Selection,
        vault_arn: &str,
        at: Timestamp,
        out: &mut String,
    ) -> Self {
        match format {
            Format::Json => {
                let [arn, date] = [vault_arn, &date(at)].map(json_text);
                let _ = write!(out, "{{\"VaultARN\":{arn},\"InventoryDate\":{date},\"ArchiveList\":[");
            }
            Format::Csv => out.push_str("ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n"),
        }
        Self { format, selection, listed: 0, last: None, next: None, ended: false }
    }

    /// Offers the next archive, in the vault's order. False when no other need be offered: the list has ended.
    pub fn push(&mut self, entry: &Entry, out: &mut String) -> bool {
        if self.ended {
            return false;
        }
        match self.selection.judge(&entry.place, self.listed, self.last.as_ref()) {
            Selected::No => {}
            Selected::End(next) => {
                (self.ended, self.next) = (true, next);
            }
            Selected::Yes => {
                self.write(entry, out);
                self.listed += 1;
                self.last = Some(entry.place.clone());
            }
        }
        !self.ended
    }

    /// Ends the document. The marker goes on where a limit ended it.
    pub fn finish(self, out: &mut String) -> Option<Marker> {
        if self.format == Format::Json {
            out.push_str("]}");
        }
        self.next
    }

    /// How many archives it lists so far.
    pub const fn listed(&self) -> u64 {
        self.listed
    }

    fn write(&self, entry: &Entry, out: &mut String) {
        let creation_date = date(entry.place.created);
        match self.format {
            Format::Json => {
                if self.listed > 0 {
                    out.push(',');
                }
                out.push_str(&json_text(JsonEntry {
                    archive_id: &entry.place.archive,
                    archive_description: entry.description.as_str(),
                    creation_date,
                    size: entry.size.get(),
                    tree_hash: entry.tree_hash.to_string(),
                }));
            }
            Format::Csv => {
                let description = entry.description.as_str().replace('\\', "\\\\").replace('"', "\\\"");
                let (id, size, hash) = (&entry.place.archive, entry.size.get(), entry.tree_hash);
                let _ = writeln!(out, "{id},\"{description}\",{creation_date},{size},{hash}");
            }
        }
    }
}

/// Text and plain structs of it always serialize.
fn json_text(value: impl Serialize) -> String {
    serde_json::to_string(&value).unwrap_or_default()
}
