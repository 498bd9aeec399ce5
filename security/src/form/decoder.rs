//! multipart/form-data as S3 takes it, piece by piece.
//!
//! ```text
//!   Preamble ─► Delimited ─► Head ─► Field ─► Delimited …      before the file: at most FORM_BYTES_MAX
//!                   │          └───► File ─► Delimited …       its bytes are handed on as they come
//!                   └─ "--" ─► Done
//! ```

use super::error::FormError;
use super::head::{FileHead, part};
use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// Bytes of a form besides its file.
pub const FORM_BYTES_MAX: usize = 20 << 10;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Push more of the body, or [`Decoder::finish`] where there is none.
    NeedMore,
    /// A field before the file.
    Field {
        /// Its name as it was sent.
        name: String,
        /// Its value.
        value: String,
    },
    /// The file begins.
    File(FileHead),
    /// Some of the file; never empty.
    Data(Bytes),
    /// The form is whole. What follows is ignored.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    Delimited,
    Head,
    Field(String),
    File,
    Done,
}

/// Reads one form.
#[derive(Debug)]
pub struct Decoder {
    /// Finds CR LF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    buffer: BytesMut,
    state: State,
    /// Bytes besides the file that are done with.
    overhead: usize,
    file_seen: bool,
}

impl Decoder {
    /// For the boundary of the request's content type.
    pub fn new(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            delimiter: Finder::new(&delimiter).into_owned(),
            // The first delimiter stands at the start of the body, as if a line had ended there.
            buffer: BytesMut::from("\r\n"),
            state: State::Preamble,
            overhead: 0,
            file_seen: false,
        }
    }

    /// Takes the next piece of the body. After the end it is dropped.
    pub fn push(&mut self, input: &[u8]) {
        if self.state != State::Done {
            self.buffer.extend_from_slice(input);
        }
    }

    /// The body is over: is the form?
    pub fn finish(&self) -> Result<(), FormError> {
        if self.state == State::Done { Ok(()) } else { Err(FormError::Malformed("it ends early")) }
    }

    /// What the bytes so far come to.
    pub fn event(&mut self) -> Result<Event, FormError> {
        loop {
            let event = match &self.state {
                State::Done => Some(Event::End),
                State::Preamble => self.preamble()?,
                State::Delimited => self.delimited()?,
                State::Head => self.head()?,
                State::Field(_) => self.field()?,
                State::File => self.file()?,
            };
            if let Some(event) = event {
                if event == Event::NeedMore && self.state != State::File {
                    self.check_room(self.buffer.len())?;
                }
                return Ok(event);
            }
        }
    }

    fn check_room(&self, pending: usize) -> Result<(), FormError> {
        if self.overhead + pending <= FORM_BYTES_MAX {
            return Ok(());
        }
        let behind = FormError::Malformed("too much follows the file");
        Err(if self.file_seen { behind } else { FormError::TooLong })
    }

    /// Takes bytes that are no file off the buffer.
    fn take(&mut self, count: usize) -> Result<BytesMut, FormError> {
        let taken = self.buffer.split_to(count);
        self.overhead += count;
        self.check_room(0)?;
        Ok(taken)
    }

    fn find_delimiter(&self) -> Option<usize> {
        self.delimiter.find(&self.buffer)
    }

    fn length(&self) -> usize {
        self.delimiter.needle().len()
    }

    fn preamble(&mut self) -> Result<Option<Event>, FormError> {
        let Some(at) = self.find_delimiter() else { return Ok(Some(Event::NeedMore)) };
        self.take(at + self.length())?;
        self.state = State::Delimited;
        Ok(None)
    }

    /// Behind a delimiter: the end, or the rest of its line.
    fn delimited(&mut self) -> Result<Option<Event>, FormError> {
        if self.buffer.starts_with(b"--") {
            if !self.file_seen {
                return Err(FormError::Files);
            }
            self.buffer.clear();
            self.state = State::Done;
            return Ok(None);
        }
        let blanks = self.buffer.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match &self.buffer[blanks..] {
            [b'\r', b'\n', ..] => {
                self.take(blanks + 2)?;
                self.state = State::Head;
                Ok(None)
            }
            [] | [b'\r'] => Ok(Some(Event::NeedMore)),
            [b'-'] if blanks == 0 => Ok(Some(Event::NeedMore)),
            _ => Err(FormError::Malformed("a boundary is followed by something else than a line's end")),
        }
    }

    fn head(&mut self) -> Result<Option<Event>, FormError> {
        if self.buffer.starts_with(b"\r\n") {
            return Err(FormError::Malformed("a part has no head"));
        }
        let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") else {
            return Ok(Some(Event::NeedMore));
        };
        let head = self.take(end + 4)?;
        let (name, file) = part(&head[..end])?;
        if !name.eq_ignore_ascii_case("file") {
            self.state = State::Field(name);
            return Ok(None);
        }
        if self.file_seen {
            return Err(FormError::Files);
        }
        self.file_seen = true;
        self.overhead = 0;
        self.state = State::File;
        Ok(Some(Event::File(file)))
    }

    fn field(&mut self) -> Result<Option<Event>, FormError> {
        let Some(at) = self.find_delimiter() else { return Ok(Some(Event::NeedMore)) };
        let value = self.take(at)?;
        self.take(self.length())?;
        let State::Field(name) = std::mem::replace(&mut self.state, State::Delimited) else {
            return Ok(None);
        };
        if self.file_seen {
            return Ok(None);
        }
        let value =
            String::from_utf8(value.to_vec()).map_err(|_| FormError::Malformed("a field is not UTF-8"))?;
        Ok(Some(Event::Field { name, value }))
    }

    /// What surely belongs to the file: all but what a delimiter could begin with.
    fn file(&mut self) -> Result<Option<Event>, FormError> {
        let sure = match self.find_delimiter() {
            Some(0) => {
                self.take(self.length())?;
                self.state = State::Delimited;
                return Ok(None);
            }
            Some(at) => at,
            None => self.buffer.len().saturating_sub(self.length() - 1),
        };
        Ok(Some(if sure == 0 { Event::NeedMore } else { Event::Data(self.buffer.split_to(sure).freeze()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Event, FORM_BYTES_MAX};
    use crate::form::FormError;

    /// What a body comes to in pieces of this size; the file's data in one.
    fn decode(body: &[u8], piece: usize) -> Result<Vec<Event>, FormError> {
        let mut decoder = Decoder::new("xy");
        let (mut events, mut data) = (Vec::new(), Vec::new());
        for input in body.chunks(piece) {
            decoder.push(input);
            loop {
                match decoder.event()? {
                    Event::NeedMore | Event::End => break,
                    Event::Data(bytes) => data.extend_from_slice(&bytes),
                    event => events.push(event),
                }
            }
        }
        decoder.finish()?;
        events.push(Event::Data(data.into()));
        Ok(events)
    }

    fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in parts {
            let head =
                format!("--xy\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--xy--\r\n");
        body
    }

    #[test]
    fn a_form_is_the_same_however_it_comes_in() {
        let file = b"\r\n--x\r\n--\r\n-xy--\r\r\n\0\xff";
        let mut form = b"ignored\r\n".to_vec();
        form.extend(body(&[("key", b"a\r\nb"), ("empty", b""), ("File", file), ("late", b"ignored")]));
        form.extend_from_slice(b"epilogue\r\n--xy\r\n");
        let whole = decode(&form, form.len()).unwrap();
        let field = |name: &str, value: &str| Event::Field { name: name.into(), value: value.into() };
        assert_eq!(whole[..2], [field("key", "a\r\nb"), field("empty", "")]);
        assert!(matches!(&whole[2], Event::File(head) if head.name == "f"));
        assert_eq!(whole[3], Event::Data(file.to_vec().into()));
        for piece in 1..40 {
            assert_eq!(decode(&form, piece).unwrap(), whole, "{piece}");
        }
    }

    #[test]
    fn what_is_no_form_with_one_file_is_refused() {
        for (form, expected) in [
            (body(&[("key", b"a")]), FormError::Files),
            (body(&[("file", b"a"), ("file", b"b")]), FormError::Files),
            (body(&[("key", &vec![b'a'; FORM_BYTES_MAX]), ("file", b"b")]), FormError::TooLong),
        ] {
            for piece in [7, form.len()] {
                assert_eq!(decode(&form, piece), Err(expected.clone()));
            }
        }
        let late = body(&[("file", b"a"), ("late", &vec![b'a'; FORM_BYTES_MAX])]);
        assert!(matches!(decode(&late, 100), Err(FormError::Malformed(_))));
        let whole = body(&[("key", b"a"), ("file", b"b")]);
        for cut in 0..whole.len() - 4 {
            let refused = decode(&whole[..cut], 10);
            assert!(matches!(refused, Err(FormError::Malformed("it ends early"))), "{cut}: {refused:?}");
        }
        for bad in [&b"--xyz\r\n"[..], b"--xy\r\n\r\n", b"--xy\r\nnothing\r\n\r\n"] {
            assert!(matches!(decode(bad, 5), Err(FormError::Malformed(_))), "{bad:?}");
        }
        let endless = vec![b'a'; FORM_BYTES_MAX + 10];
        assert_eq!(decode(&endless, 1000), Err(FormError::TooLong));
    }
}
