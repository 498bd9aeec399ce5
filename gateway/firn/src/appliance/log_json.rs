//! The log's lines as JSON. Access lines, one for each request, are written straight: by way of the library's serializer a line
//! takes a tenth of the CPU of a small GET. They look as the library writes them.

use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes access lines; everything else is for the format inside.
pub(super) struct JsonLines<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for JsonLines<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() == web::ACCESS_LINES {
            write_access(writer, event)
        } else {
            self.0.format_event(context, writer, event)
        }
    }
}

/// Such a line stands in no span.
#[expect(
    clippy::disallowed_methods,
    reason = "the library's own lines, beside which it stands, have the system's time"
)]
fn write_access(mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let (now, meta) = (jiff::Timestamp::now(), event.metadata());
    write!(out, "{{\"timestamp\":\"{now:.6}\",\"level\":\"{}\"", meta.level().as_str())?;
    let mut fields = Fields { out: &mut out, outcome: Ok(()) };
    event.record(&mut fields);
    fields.outcome?;
    out.write_str(",\"target\":\"")?;
    Escaped(&mut out).write_str(meta.target())?;
    out.write_str("\"}\n")
}

/// Writes each field behind a comma.
struct Fields<'o, 'w> {
    out: &'o mut Writer<'w>,
    outcome: fmt::Result,
}

impl Fields<'_, '_> {
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            // A field's name is an identifier of ours.
            let named = [",\"", field.name(), "\":"].iter().try_for_each(|piece| self.out.write_str(piece));
            self.outcome = named.and_then(|()| write(self.out));
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, |out| {
            out.write_char('"')?;
            Escaped(out).write_str(value)?;
            out.write_char('"')
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, |out| write!(out, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, |out| {
            out.write_char('"')?;
            write!(Escaped(out), "{value:?}")?;
            out.write_char('"')
        });
    }
}

/// Text within a JSON string.
struct Escaped<'o, 'w>(&'o mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        // What needs escaping is ASCII, so a byte's place is a character's.
        while let Some(at) = rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
            let (plain, from) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = from.chars();
            match characters.next() {
                Some('\n') => self.0.write_str("\\n")?,
                Some('\r') => self.0.write_str("\\r")?,
                Some('\t') => self.0.write_str("\\t")?,
                Some('\u{8}') => self.0.write_str("\\b")?,
                Some('\u{c}') => self.0.write_str("\\f")?,
                Some(other @ ('"' | '\\')) => write!(self.0, "\\{other}")?,
                other => write!(self.0, "\\u{:04x}", other.map_or(0, u32::from))?,
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::JsonLines;
    use parking_lot::Mutex;
    use std::io::Write;
    use std::sync::Arc;
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Paper {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged, but for the time's digits.
    fn logged(straight: bool, log: impl Fn()) -> String {
        let paper = Paper::default();
        let builder = tracing_subscriber::fmt().with_writer(paper.clone()).json().flatten_event(true);
        if straight {
            tracing::subscriber::with_default(builder.map_event_format(JsonLines).finish(), log);
        } else {
            tracing::subscriber::with_default(builder.finish(), log);
        }
        let text = String::from_utf8(paper.0.lock().clone()).unwrap();
        let digits = |at: usize, c: char| if (14..40).contains(&at) && c.is_ascii_digit() { '0' } else { c };
        text.lines()
            .flat_map(|line| line.chars().enumerate().map(|(at, c)| digits(at, c)).chain(['\n']))
            .collect()
    }

    #[test]
    fn an_access_line_is_as_the_library_writes_it() {
        for path in ["/b/k", "", "/b/a\"b\\c\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}é\u{2028}"] {
            let log = || {
                tracing::info!(
                    target: web::ACCESS_LINES, path, status = 200_u16, method = Some("GET"), nothing = None::<&str>,
                    duration_us = u64::MAX, "re\"quest"
                );
            };
            let (own, theirs) = (logged(true, log), logged(false, log));
            assert_eq!(own, theirs);
            assert!(
                own.starts_with("{\"timestamp\":\"0000-00-00T00:00:00.000000Z\",\"level\":\"INFO\""),
                "{own}"
            );
        }
    }

    #[test]
    fn other_lines_are_the_librarys() {
        let log = || tracing::warn!(number = -3, flag = true, "text");
        assert_eq!(logged(true, log), logged(false, log));
    }
}
