//! What commands return, and the one renderer that prints it: for people, or as JSON.
//!
//! Results go to stdout; narration goes to stderr and is not part of them. JSON is `snake_case`: one document; of `ls` and `top`, one
//! a line.

pub(crate) mod finding;
pub(crate) mod rows;
pub(crate) mod status;
pub(crate) mod time;

use crate::exit::Exit;
use crate::session::Used;
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

/// An error of writing a result, which says so.
#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(crate) fn to_stdout(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("write to stdout: {error}"))
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
        render(report, self.json, &mut out).and_then(|()| out.flush()).map_err(to_stdout)
    }

    /// Says something on stderr that is no result.
    pub(crate) fn note(self, text: &str) {
        if self.narrates() {
            // Nobody may be reading stderr any more; the work goes on all the same.
            let _unheard = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Whether notes are heard.
    pub(crate) fn narrates(self) -> bool {
        !self.quiet && !self.json
    }

    /// Whether progress may be drawn.
    pub(crate) fn draws_progress(self) -> bool {
        self.narrates() && io::stderr().is_terminal()
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
    /// The S3 endpoint that was asked, and what named it.
    pub(crate) endpoint: Option<String>,
}

impl ErrorReport {
    /// `used` is the S3 endpoint of the run, if it had one.
    pub(crate) fn of(error: &anyhow::Error, used: Option<&Used>) -> Self {
        let asked = error.chain().find_map(|cause| cause.downcast_ref::<client::Error>());
        let used = used.filter(|_| asked.is_some());
        Self {
            error: crate::text::printable(&crate::text::chain(error)),
            exit: crate::exit::of(error) as u8,
            hint: crate::exit::hint(error),
            endpoint: used.map(|used| format!("{} ({})", used.url, used.from)),
        }
    }

    /// What the command line's parser says.
    pub(crate) fn of_usage(refused: &clap::Error) -> Self {
        let text = refused.render().to_string();
        let text = text.trim().strip_prefix("error: ").unwrap_or_else(|| text.trim());
        let (error, hint) = text.split_once("\n\n").unwrap_or((text, ""));
        // Where a verb lacks, what is rendered is the help, which begins with what it is for.
        let lacks = refused.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        let (error, hint) = if lacks { ("know what to do: no verb is named", text) } else { (error, hint) };
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Self { error: error.to_owned(), exit: Exit::Usage as u8, hint, endpoint: None }
    }

    /// Prints it to stderr.
    pub(crate) fn print(&self, json: bool) {
        let mut out = io::stderr().lock();
        // There is nowhere left to report that stderr is closed.
        let _unheard = if json {
            serde_json::to_writer(&mut out, self).map_err(io::Error::from).and_then(|()| writeln!(out))
        } else {
            self.people(&mut out)
        };
    }

    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "firn: failed to {}", self.error)?;
        if let Some(endpoint) = &self.endpoint {
            writeln!(out, "  endpoint: {endpoint}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(out, "  {hint}"),
            None => Ok(()),
        }
    }
}
