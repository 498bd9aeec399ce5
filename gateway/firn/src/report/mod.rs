//! What commands return, and the one renderer that prints it: for people, or as JSON.
//!
//! Results go to stdout; narration goes to stderr and is not part of them. JSON is `snake_case`, one document, or one a line
//! where there is a list.

use crate::exit::Exit;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// A command's result.
pub(crate) trait Report: Serialize {
    /// Writes it for people; lines end with a newline.
    fn people(&self, out: &mut dyn Write) -> io::Result<()>;

    /// How the process ends after it.
    fn exit(&self) -> Exit {
        Exit::Ok
    }
}

/// Where results and narration go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints a result and returns how the process ends.
    pub(crate) fn print(self, report: &impl Report) -> anyhow::Result<Exit> {
        self.item(report)?;
        Ok(report.exit())
    }

    /// Prints one result of several.
    pub(crate) fn item(self, report: &impl Report) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        render(report, self.json, &mut out)?;
        out.flush()
    }

    /// Says something on stderr that is no result.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet && !self.json {
            // Nobody may be reading stderr any more; the work goes on all the same.
            let _unheard = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Whether progress may be drawn.
    pub(crate) fn draws_progress(self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }
}

/// Renders one report.
pub(crate) fn render(report: &impl Report, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, report)?;
        return out.write_all(b"\n");
    }
    report.people(out)
}

/// An error, as `--json` prints it on stderr.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorReport {
    pub(crate) error: String,
    pub(crate) exit: u8,
    pub(crate) hint: Option<String>,
}

impl ErrorReport {
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        Self {
            error: crate::text::printable(&format!("{error:#}")),
            exit: crate::exit::of(error) as u8,
            hint: crate::exit::hint(error),
        }
    }

    /// Prints it to stderr.
    pub(crate) fn print(&self, json: bool) {
        let mut out = io::stderr().lock();
        // There is nowhere left to report that stderr is closed.
        let _unheard = if json {
            serde_json::to_writer(&mut out, self).map_err(io::Error::from).and_then(|()| writeln!(out))
        } else {
            writeln!(out, "firn: failed to {}", self.error).and_then(|()| match &self.hint {
                Some(hint) => writeln!(out, "  {hint}"),
                None => Ok(()),
            })
        };
    }
}
