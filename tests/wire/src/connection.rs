//! One kept HTTP/1.1 connection: a request out, an answer in.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head of an answer.
const HEAD_MAX: usize = 64 << 10;
/// What is read at once.
const READ: usize = 256 << 10;

/// What becomes of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Kept in [`Answer::body`].
    Keep,
    /// Counted and dropped.
    Count,
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, if it was kept.
    pub body: Vec<u8>,
    /// The body's length.
    pub length: u64,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that carries one exchange after the other. After an error it is of no more use.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects. An error here means that nothing was sent.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; READ], start: 0, end: 0 })
    }

    /// Sends a request and reads its answer. An error means that its outcome is not known.
    pub async fn exchange(&mut self, head: &[u8], body: &[u8], sink: Sink) -> io::Result<Answer> {
        if body.len() <= 16 << 10 {
            self.stream.write_all(&[head, body].concat()).await?;
        } else {
            self.stream.write_all(head).await?;
            self.stream.write_all(body).await?;
        }
        let mut answer = loop {
            let answer = self.read_head().await?;
            // 100 Continue and its kin have no body and are followed by the answer itself.
            if answer.status >= 200 {
                break answer;
            }
        };
        let chunked = answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
        if head.starts_with(b"HEAD ") || matches!(answer.status, 204 | 304) {
            return Ok(answer);
        }
        if chunked {
            self.read_chunks(&mut answer, sink).await?;
        } else {
            let length = answer.header("content-length").and_then(|text| text.parse().ok());
            let length: u64 = length.ok_or_else(|| invalid("an answer without a length"))?;
            self.read_body(&mut answer, length, sink).await?;
        }
        Ok(answer)
    }

    async fn read_head(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut line = self.read_line().await?;
            if head.len() + line.len() > HEAD_MAX {
                return Err(invalid("an answer's head is too long"));
            }
            head.append(&mut line);
        }
        let text = String::from_utf8(head).map_err(io::Error::other)?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let status = status.ok_or_else(|| invalid("an answer without a status"))?;
        Ok(Answer { status, headers, ..Answer::default() })
    }

    async fn read_chunks(&mut self, answer: &mut Answer, sink: Sink) -> io::Result<()> {
        loop {
            let line = self.read_line().await?;
            let text = String::from_utf8_lossy(&line);
            let size = text.trim_end().split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                while self.read_line().await?.len() > 2 {}
                return Ok(());
            }
            self.read_body(answer, size, sink).await?;
            self.read_line().await?;
        }
    }

    async fn read_body(&mut self, answer: &mut Answer, length: u64, sink: Sink) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill().await?;
            }
            let there = self.end - self.start;
            let take = usize::try_from(left).map_or(there, |left| left.min(there));
            if sink == Sink::Keep || answer.status >= 300 {
                answer.body.extend_from_slice(&self.buffer[self.start..self.start + take]);
            }
            self.start += take;
            left -= take as u64;
        }
        answer.length += length;
        Ok(())
    }

    /// Up to and with the next line feed.
    async fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            if self.start == self.end {
                self.fill().await?;
            }
            let there = &self.buffer[self.start..self.end];
            let feed = there.iter().position(|byte| *byte == b'\n');
            let take = feed.map_or(there.len(), |at| at + 1);
            line.extend_from_slice(&there[..take]);
            self.start += take;
            if feed.is_some() {
                return Ok(line);
            }
            if line.len() > HEAD_MAX {
                return Err(invalid("a line of an answer is too long"));
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.start = 0;
        self.end = self.stream.read(&mut self.buffer).await?;
        if self.end == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
