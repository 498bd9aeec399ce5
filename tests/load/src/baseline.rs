//! A bare hyper server: what the same machine does without an appliance around it.
//!
//! | request | does |
//! |---|---|
//! | `GET /memory` | 4 KiB from memory |
//! | `GET /pread/N` | 16 MiB of a file, by pread, 64 KiB at a time |
//! | `GET /gcm/N` | the same, decrypting each 64 KiB by AES-256-GCM |
//! | `PUT /discard` | reads the body and forgets it |
//!
//! It reads in the connection's own task, which is the best case: the file lies in the page cache.

use anyhow::{Context, Result};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use tokio::net::TcpListener;

/// Plaintext bytes of a chunk.
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
/// Chunks of an object.
const CHUNKS: u64 = 256;
/// Objects in the file.
pub(crate) const OBJECTS: u64 = 8;
const KEY: [u8; 32] = [7; 32];

struct Baseline {
    memory: Bytes,
    file: File,
    key: LessSafeKey,
}

/// Serves until killed; prints its address first.
pub(crate) async fn serve(scratch: &Path) -> Result<()> {
    let key = UnboundKey::new(&AES_256_GCM, &KEY).ok().context("make a key")?;
    let state = Arc::new(Baseline {
        memory: Bytes::from(vec![5; 4096]),
        file: File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(scratch.join("baseline"))?,
        key: LessSafeKey::new(key),
    });
    state.fill()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that goes away in the middle is the end of its connection, and no news.
            let _ended = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = Response<Either<Full<Bytes>, Chunks>>;

async fn answer(state: Arc<Baseline>, mut request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let path = request.uri().path().to_owned();
    let number = || path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0_u64) % OBJECTS;
    let chunks =
        |decrypts| Either::Right(Chunks { next: 0, object: number(), decrypts, state: Arc::clone(&state) });
    let mut status = StatusCode::OK;
    let body = match (request.method(), path.as_str()) {
        (&Method::GET, "/memory") => Either::Left(Full::new(state.memory.clone())),
        (&Method::GET, path) if path.starts_with("/pread/") => chunks(false),
        (&Method::GET, path) if path.starts_with("/gcm/") => chunks(true),
        (&Method::PUT, "/discard") => {
            while let Some(frame) = request.body_mut().frame().await {
                drop(frame?);
            }
            Either::Left(Full::default())
        }
        _ => {
            status = StatusCode::NOT_FOUND;
            Either::Left(Full::default())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    Ok(response)
}

impl Baseline {
    fn fill(&self) -> Result<()> {
        for object in 0..OBJECTS {
            for chunk in 0..CHUNKS {
                let mut bytes = vec![u8::try_from(chunk & 0xff)?; CHUNK];
                self.key
                    .seal_in_place_append_tag(nonce(chunk), Aad::empty(), &mut bytes)
                    .ok()
                    .context("encrypt a chunk")?;
                self.file.write_all_at(&bytes, offset(object, chunk))?;
            }
        }
        Ok(())
    }

    fn chunk(&self, object: u64, chunk: u64, decrypts: bool) -> io::Result<Bytes> {
        let mut bytes = vec![0; CHUNK + if decrypts { TAG } else { 0 }];
        self.file.read_exact_at(&mut bytes, offset(object, chunk))?;
        if decrypts {
            self.key
                .open_in_place(nonce(chunk), Aad::empty(), &mut bytes)
                .map_err(|_| io::Error::other("a chunk does not decrypt"))?;
            bytes.truncate(CHUNK);
        }
        Ok(Bytes::from(bytes))
    }
}

fn nonce(chunk: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&chunk.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn offset(object: u64, chunk: u64) -> u64 {
    (object * CHUNKS + chunk) * (CHUNK + TAG) as u64
}

/// A body of 16 MiB, a chunk a frame.
struct Chunks {
    state: Arc<Baseline>,
    object: u64,
    next: u64,
    decrypts: bool,
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut TaskContext<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.next == CHUNKS {
            return Poll::Ready(None);
        }
        let chunk = self.state.chunk(self.object, self.next, self.decrypts);
        self.next += 1;
        Poll::Ready(Some(chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((CHUNKS - self.next) * CHUNK as u64)
    }
}
