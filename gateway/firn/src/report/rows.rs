//! A list as a result: a line for each for people, an array as JSON.

use super::Report;
use serde::Serialize;
use std::io::{self, Write};

/// One of a list.
pub(crate) trait Row: Serialize {
    /// What people read where there is none.
    const NONE: &'static str;

    /// Writes its line, without the newline.
    fn line(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// The list.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Rows<R>(pub(crate) Vec<R>);

impl<R: Row> Report for Rows<R> {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.0.is_empty() {
            return writeln!(out, "{}", R::NONE);
        }
        for row in &self.0 {
            row.line(out)?;
            writeln!(out)?;
        }
        Ok(())
    }
}
