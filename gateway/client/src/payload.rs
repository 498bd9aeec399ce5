//! What a request sends: bytes in memory, or a file that is read as it goes out.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// A body.
pub(crate) enum Payload {
    /// In memory.
    Whole(Full<Bytes>),
    /// Read as it is sent.
    File(FileBody),
}

/// A file's bytes from the beginning to what was its end. It is read at offsets, so that each attempt begins anew.
pub(crate) struct FileBody {
    file: Arc<File>,
    at: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    pub(crate) const fn new(file: Arc<File>, size: u64) -> Self {
        Self { file, at: 0, left: size, reading: None }
    }

    fn read(&self) -> JoinHandle<io::Result<Bytes>> {
        let (file, at) = (Arc::clone(&self.file), self.at);
        let length = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, at)?;
            Ok(piece.into())
        })
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            self.reading = Some(self.read());
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let piece = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
        self.reading = None;
        if let Ok(piece) = &piece {
            self.at += piece.len() as u64;
            self.left -= piece.len() as u64;
        }
        Poll::Ready(Some(piece))
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::File(body) => body.poll_piece(cx).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::File(body) => body.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::File(body) => SizeHint::with_exact(body.left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FileBody, PIECE, Payload};
    use http_body::Body as _;
    use http_body_util::BodyExt as _;
    use std::fs::File;
    use std::io::{ErrorKind, Write as _};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_file_that_changes_length_while_it_is_sent_is_sent_as_it_was_or_not_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes: Vec<u8> = (0..PIECE + 1_000).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let send = || Payload::File(FileBody::new(Arc::new(File::open(&path).unwrap()), bytes.len() as u64));

        std::fs::write(&path, &bytes).unwrap();
        let mut body = send();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), bytes[..PIECE]);
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), bytes[PIECE..]);
        assert!(body.is_end_stream() && body.frame().await.is_none());

        std::fs::write(&path, &bytes).unwrap();
        let mut body = send();
        body.frame().await.unwrap().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(PIECE as u64 + 999).unwrap();
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(!body.is_end_stream(), "whoever waits for the rest gets no whole body");
    }
}
