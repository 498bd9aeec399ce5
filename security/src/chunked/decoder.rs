//! The receiving side of aws-chunked.

use super::{Chain, ChunkError, MIN_CHUNK_BYTES, TRAILER_SIGNATURE};
use crate::sigv4::{ChunkSeed, Payload};
use aws_lc_rs::digest;
use bytes::Bytes;
use engine::unit::ByteCount;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Longest chunk header, in bytes, line end included.
const MAX_HEAD_BYTES: usize = 1024;
/// Longest trailers, in bytes, line ends included.
const MAX_TRAILER_BYTES: usize = 16 << 10;
/// Most trailers that may be declared.
const MAX_TRAILERS: usize = 16;

/// What came out of a push.
#[derive(Debug)]
pub enum Event {
    /// Data of the body, a part of the input. Not to be trusted before the end.
    Data(Bytes),
    /// The input is used up; push more, or [`Decoder::finish`] when there is none.
    NeedMore,
    /// The body is whole, and every signature in it matched.
    End {
        /// Those that were declared.
        trailers: HeaderMap,
    },
}

#[derive(Debug)]
enum State {
    /// In a chunk's header line.
    Head,
    /// In a chunk's data: so many bytes are missing.
    Data { left: u64 },
    /// Before the line end behind a chunk's data.
    AfterData,
    /// Before the line end behind the last chunk, where no trailers are due.
    AfterLast,
    /// In the trailers.
    Trailers {
        /// Bytes of them so far.
        read: usize,
        /// The last line ended in LF alone: an empty line may complete its end.
        bare: bool,
    },
    /// Behind the end.
    Done,
    /// Refused; whatever follows is refused for the same reason.
    Failed(ChunkError),
}

/// Signature state of a signed body.
struct Verifier {
    chain: Chain,
    /// Over the current chunk's data.
    hash: digest::Context,
    /// As the current chunk's header claims it.
    claimed: [u8; 64],
    /// As the trailers claim it.
    trailer_claimed: Option<[u8; 64]>,
}

/// Takes an aws-chunked body apart, as it comes.
pub struct Decoder {
    state: State,
    verifier: Option<Verifier>,
    trailer: bool,
    declared: Vec<HeaderName>,
    trailers: HeaderMap,
    /// As their signature covers them: `name:value\n` each, in the order of the wire.
    canonical_trailers: Vec<u8>,
    /// Of the declared decoded length, so many bytes are still to come.
    left: u64,
    /// A chunk shorter than the minimum has been: it must have been the last.
    short: bool,
    line: Vec<u8>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("state", &self.state)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// The decoder that a request's body wants; `None` when the body is not aws-chunked. Reads
    /// `x-amz-decoded-content-length` and `x-amz-trailer`.
    pub fn for_request(payload: &Payload, headers: &HeaderMap) -> Result<Option<Self>, ChunkError> {
        let seed = match payload {
            Payload::Unsigned | Payload::Sha256(_) => return Ok(None),
            Payload::Streaming(seed) => Some(seed.clone()),
            Payload::StreamingUnsignedTrailer => None,
        };
        let length = headers
            .get("x-amz-decoded-content-length")
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(ChunkError::NoDecodedLength)?;
        let wants_trailer = seed.as_ref().is_none_or(|seed| seed.trailer);
        let declared = if wants_trailer { declared_trailers(headers)? } else { Vec::new() };
        Ok(Some(Self::new(seed, ByteCount::new(length), declared)))
    }

    /// A decoder for `decoded_length` bytes of data, signed if there is a seed, followed by the `declared` trailers.
    pub fn new(seed: Option<ChunkSeed>, decoded_length: ByteCount, declared: Vec<HeaderName>) -> Self {
        Self {
            state: State::Head,
            trailer: seed.as_ref().is_none_or(|seed| seed.trailer),
            verifier: seed.map(|seed| Verifier {
                chain: Chain::new(seed),
                hash: digest::Context::new(&digest::SHA256),
                claimed: [0; 64],
                trailer_claimed: None,
            }),
            declared,
            trailers: HeaderMap::new(),
            canonical_trailers: Vec::new(),
            left: decoded_length.get(),
            short: false,
            line: Vec::new(),
        }
    }

    /// Takes from the front of `input` up to the next event. After [`Event::End`] nothing may follow: bytes pushed then are
    /// refused.
    pub fn push(&mut self, input: &mut Bytes) -> Result<Event, ChunkError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        self.step(input).inspect_err(|error| self.state = State::Failed(*error))
    }

    /// The input has ended: fails unless [`Event::End`] has been.
    pub fn finish(&self) -> Result<(), ChunkError> {
        match self.state {
            State::Done => Ok(()),
            State::Failed(error) => Err(error),
            _ => Err(ChunkError::Incomplete),
        }
    }

    fn step(&mut self, input: &mut Bytes) -> Result<Event, ChunkError> {
        loop {
            match self.state {
                State::Head => {
                    let Some(line) = self.take_line(input, MAX_HEAD_BYTES)? else {
                        return Ok(Event::NeedMore);
                    };
                    self.state = self.on_head(&line)?;
                }
                State::Data { left } => {
                    if input.is_empty() {
                        return Ok(Event::NeedMore);
                    }
                    return self.on_data(left, input).map(Event::Data);
                }
                State::AfterData => {
                    let Some(line) = self.take_line(input, 2)? else { return Ok(Event::NeedMore) };
                    expect_empty(&line)?;
                    self.state = State::Head;
                }
                State::AfterLast => {
                    let Some(line) = self.take_line(input, 2)? else { return Ok(Event::NeedMore) };
                    expect_empty(&line)?;
                    return Ok(self.end());
                }
                State::Trailers { read, bare } => {
                    let room = MAX_TRAILER_BYTES.saturating_sub(read);
                    let line =
                        self.take_any_line(input, room).map_err(|_| ChunkError::Trailer("too long"))?;
                    let Some((line, ends_bare)) = line else { return Ok(Event::NeedMore) };
                    if !line.is_empty() {
                        self.on_trailer(&line)?;
                    } else if ends_bare {
                        return Err(ChunkError::Trailer("an empty line does not end in CR LF"));
                    } else if !bare {
                        self.check_trailers()?;
                        return Ok(self.end());
                    }
                    self.state = State::Trailers { read: read + line.len() + 2, bare: ends_bare };
                }
                State::Done if input.is_empty() => return Ok(Event::NeedMore),
                State::Done => return Err(ChunkError::Malformed("bytes follow its end")),
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// A line that ends in CR LF, without them; `None` when the input ends before it does.
    fn take_line(&mut self, input: &mut Bytes, limit: usize) -> Result<Option<Vec<u8>>, ChunkError> {
        match self.take_any_line(input, limit)? {
            Some((_, true)) => Err(ChunkError::Malformed("a line does not end in CR LF")),
            line => Ok(line.map(|(line, _)| line)),
        }
    }

    /// A line without its end, and whether that was LF alone.
    fn take_any_line(
        &mut self,
        input: &mut Bytes,
        limit: usize,
    ) -> Result<Option<(Vec<u8>, bool)>, ChunkError> {
        let room = limit.saturating_sub(self.line.len());
        let end = input.iter().take(room).position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len().min(room), |at| at + 1);
        self.line.extend_from_slice(&input.split_to(taken));
        if end.is_none() {
            if self.line.len() >= limit {
                return Err(ChunkError::Malformed("a line is too long"));
            }
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        let bare = line.last() != Some(&b'\r');
        if !bare {
            line.pop();
        }
        Ok(Some((line, bare)))
    }

    fn on_head(&mut self, line: &[u8]) -> Result<State, ChunkError> {
        let (size, extension) = match line.iter().position(|byte| *byte == b';') {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        let size = parse_size(size)?;
        if let Some(verifier) = &mut self.verifier {
            verifier.claimed = extension
                .and_then(|text| text.strip_prefix(b"chunk-signature="))
                .and_then(|text| text.try_into().ok())
                .ok_or(ChunkError::Malformed("a chunk has no signature"))?;
        } else if extension.is_some() {
            return Err(ChunkError::Malformed("a chunk that should not be signed has an extension"));
        }
        if size > self.left {
            return Err(ChunkError::Incomplete);
        }
        if size > 0 {
            if self.short {
                return Err(ChunkError::ShortChunk);
            }
            self.short = size < MIN_CHUNK_BYTES;
            self.left -= size;
            return Ok(State::Data { left: size });
        }
        if self.left > 0 {
            return Err(ChunkError::Incomplete);
        }
        self.verify_chunk()?;
        Ok(if self.trailer { State::Trailers { read: 0, bare: false } } else { State::AfterLast })
    }

    fn on_data(&mut self, left: u64, input: &mut Bytes) -> Result<Bytes, ChunkError> {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let data = input.split_to(taken);
        if let Some(verifier) = &mut self.verifier {
            verifier.hash.update(&data);
        }
        let left = left - taken as u64;
        if left > 0 {
            self.state = State::Data { left };
        } else {
            self.verify_chunk()?;
            self.state = State::AfterData;
        }
        Ok(data)
    }

    /// Compares the current chunk's signature and starts the next one's hash.
    fn verify_chunk(&mut self) -> Result<(), ChunkError> {
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        let hash = std::mem::replace(&mut verifier.hash, digest::Context::new(&digest::SHA256)).finish();
        let signature = verifier.chain.chunk(&hex::encode(hash));
        if signature.matches(&verifier.claimed) { Ok(()) } else { Err(ChunkError::Signature) }
    }

    fn on_trailer(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let at =
            line.iter().position(|byte| *byte == b':').ok_or(ChunkError::Trailer("a line has no colon"))?;
        let (name, value) = (&line[..at], line[at + 1..].trim_ascii());
        // `HeaderName` takes upper case too and makes it lower.
        let name =
            HeaderName::from_bytes(name).map_err(|_| ChunkError::Trailer("a name is no header name"))?;
        if let Some(verifier) = self.verifier.as_mut().filter(|_| name == TRAILER_SIGNATURE) {
            let claimed = value.try_into().map_err(|_| ChunkError::Trailer("its signature is unreadable"))?;
            if verifier.trailer_claimed.replace(claimed).is_some() {
                return Err(ChunkError::Trailer("it is signed twice"));
            }
            return Ok(());
        }
        if self.verifier.as_ref().is_some_and(|verifier| verifier.trailer_claimed.is_some()) {
            return Err(ChunkError::Trailer("a line follows its signature"));
        }
        if !self.declared.contains(&name) {
            return Err(ChunkError::Trailer("a line was not declared in x-amz-trailer"));
        }
        for part in [name.as_str().as_bytes(), b":", value, b"\n"] {
            self.canonical_trailers.extend_from_slice(part);
        }
        let value =
            HeaderValue::from_bytes(value).map_err(|_| ChunkError::Trailer("a value is unreadable"))?;
        match self.trailers.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(ChunkError::Trailer("a name stands there twice")),
        }
    }

    fn check_trailers(&mut self) -> Result<(), ChunkError> {
        if self.declared.iter().any(|name| !self.trailers.contains_key(name)) {
            return Err(ChunkError::Trailer("a declared line is missing"));
        }
        let Some(verifier) = &mut self.verifier else { return Ok(()) };
        let claimed = verifier.trailer_claimed.ok_or(ChunkError::Trailer("it is not signed"))?;
        if verifier.chain.trailers(&self.canonical_trailers).matches(&claimed) {
            Ok(())
        } else {
            Err(ChunkError::Signature)
        }
    }

    fn end(&mut self) -> Event {
        self.state = State::Done;
        Event::End { trailers: std::mem::take(&mut self.trailers) }
    }
}

fn expect_empty(line: &[u8]) -> Result<(), ChunkError> {
    if line.is_empty() { Ok(()) } else { Err(ChunkError::Malformed("no line end follows a chunk's data")) }
}

/// One to sixteen hexadecimal digits.
fn parse_size(text: &[u8]) -> Result<u64, ChunkError> {
    let unreadable = ChunkError::Malformed("a chunk's size is unreadable");
    if text.is_empty() || text.len() > 16 {
        return Err(unreadable);
    }
    text.iter().try_fold(0_u64, |size, byte| {
        let digit = char::from(*byte).to_digit(16).ok_or(unreadable)?;
        Ok(size << 4 | u64::from(digit))
    })
}

/// The names in `x-amz-trailer`: checksums, and nothing else.
fn declared_trailers(headers: &HeaderMap) -> Result<Vec<HeaderName>, ChunkError> {
    let mut declared = Vec::new();
    for value in headers.get_all("x-amz-trailer") {
        let text = value.to_str().map_err(|_| ChunkError::UnsupportedTrailer)?;
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let name: HeaderName = name.parse().map_err(|_| ChunkError::UnsupportedTrailer)?;
            if !name.as_str().starts_with("x-amz-checksum-")
                || declared.contains(&name)
                || declared.len() >= MAX_TRAILERS
            {
                return Err(ChunkError::UnsupportedTrailer);
            }
            declared.push(name);
        }
    }
    Ok(declared)
}
