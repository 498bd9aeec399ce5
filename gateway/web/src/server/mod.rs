//! Listeners and connections: bounded, timed, drained.
//!
//! ```text
//!   listener ─ permit ─► connection task ─ hyper http1 ─► door
//!        └── stops on shutdown; open connections finish their request, then close; after `drain_timeout` they are cut
//! ```
//!
//! Invariants: never more connection tasks than the configured bound (the next client waits in the listen queue); no
//! connection lives without progress longer than its timeouts; every wait is on the injected clock; a panic costs the connection
//! it happened on.

mod io;
mod refusal;
mod timer;

use crate::config::Config;
use crate::state::State;
use crate::{admin, s3};
use bytes::Bytes;
use engine::clock::Clock;
use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use refusal::{Ended, Refuse, Tracked, Turn};
use std::convert::Infallible;
use std::future::Future;
use std::io as std_io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use timer::ClockTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

#[cfg(panic = "abort")]
compile_error!("the doors contain a panic by unwinding: build with panic = \"unwind\"");

/// Bytes hyper buffers of one connection at most; also the largest piece of a body it hands on at once.
const READ_BUFFER_MAX: usize = 256 << 10;
/// Where hyper itself cuts a header section off; ours (S3's code) comes first, at `Limits::header_section_max`.
const HEADER_SECTION_HARD_MAX: usize = 64 << 10;
/// Header fields of one request.
const HEADER_FIELDS_MAX: usize = 128;

/// Both doors, bound to their addresses and not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    state: Arc<State>,
    http: TcpListener,
    admin: TcpListener,
}

impl Server {
    /// Binds both doors. Port 0 takes a free one; see [`Server::http_addr`].
    pub async fn bind(config: Config, state: Arc<State>) -> std_io::Result<Self> {
        let http = listen(config.http).await?;
        let admin = listen(config.admin).await?;
        Ok(Self { config: Arc::new(config), state, http, admin })
    }

    /// The address of the S3 door as bound.
    pub fn http_addr(&self) -> std_io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// The address of the admin door as bound.
    pub fn admin_addr(&self) -> std_io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until `shutdown` completes, then lets open requests finish for at most `drain_timeout`.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { config, state, http, admin } = self;
        let (stop, stop_seen) = watch::channel(false);
        let limits = config.limits.clone();
        let s3_door = serve_door(
            http,
            Door {
                name: "s3",
                permits: limits.connections_max,
                refuse: Some(s3::refuse),
                config: config.clone(),
                state: state.clone(),
            },
            stop_seen.clone(),
            s3::handle,
        );
        let admin_door = serve_door(
            admin,
            Door { name: "admin", permits: limits.admin_connections_max, refuse: None, config, state },
            stop_seen,
            move |_, state, request| admin::handle(state, request),
        );
        let stopping = async {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(s3_door, admin_door, stopping);
    }
}

async fn listen(addr: SocketAddr) -> std_io::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|e| std_io::Error::new(e.kind(), format!("listen on {addr}: {e}")))
}

/// What one door's accept loop and its connections share.
struct Door {
    name: &'static str,
    permits: usize,
    /// The door's words for what hyper refuses by itself, and for a panic; without them there are none.
    refuse: Option<fn(&State, StatusCode) -> Response<Bytes>>,
    config: Arc<Config>,
    state: Arc<State>,
}

async fn serve_door<H, F, B>(
    listener: TcpListener,
    door: Door,
    mut stopped: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Arc<Config>, Arc<State>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let door = Arc::new(door);
    let permits = Arc::new(Semaphore::new(door.permits));
    let mut open = JoinSet::new();
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let accepted = tokio::select! {
            biased;
            () = raised(&mut stopped) => break,
            Some(ended) = open.join_next(), if !open.is_empty() => {
                report(ended, door.name);
                continue;
            }
            accepted = next => accepted,
        };
        match accepted {
            (permit, Ok((stream, _peer))) => {
                let connection =
                    serve_connection(Arc::clone(&door), stream, stopped.clone(), handler.clone());
                let gauge = door.state.metrics.connections(door.name);
                open.spawn(async move {
                    let _open = gauge;
                    connection.await;
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                // Out of descriptors, or the client left between SYN and accept: neither may stop the door.
                tracing::warn!(door = door.name, %error, "failed to accept a connection");
                door.state.clock.sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    drain(open, &*door.state.clock, door.config.limits.drain_timeout, door.name).await;
}

/// A connection that panicked outside its handler (in the body of an answer, say) was cut off; its client knows, the log too.
fn report(ended: Result<(), JoinError>, door: &'static str) {
    if let Err(error) = ended {
        tracing::error!(door, %error, "a connection panicked and was cut off");
    }
}

/// Completes once shutdown is asked for, or the server that could ask is gone.
async fn raised(stopped: &mut watch::Receiver<bool>) {
    let _seen_or_gone = stopped.wait_for(|stop| *stop).await.is_ok();
}

async fn drain(mut open: JoinSet<()>, clock: &dyn Clock, patience: std::time::Duration, door: &'static str) {
    let all_closed = async {
        while let Some(ended) = open.join_next().await {
            report(ended, door);
        }
    };
    let cut = tokio::select! {
        () = all_closed => false,
        () = clock.sleep(patience) => true,
    };
    if cut {
        tracing::warn!(door, connections = open.len(), "connections were still open after the drain timeout");
    }
    open.shutdown().await;
}

/// The handler's answer. A panic on the way costs this request (500) and its connection, not the other clients: what a handler
/// shares with others it may leave at any await, for every client may go at any time.
async fn contained<B: Body>(
    door: &Door,
    answer: impl Future<Output = Response<B>>,
    ended: Ended,
) -> Result<Response<Tracked<Either<B, Full<Bytes>>>>, Infallible> {
    let answer = if let Ok(answer) = AssertUnwindSafe(answer).catch_unwind().await {
        answer.map(Either::Left)
    } else {
        tracing::error!(
            door = door.name,
            "a request panicked: it is answered 500; its message is on standard error"
        );
        let mut failed = match door.refuse {
            Some(refuse) => refuse(&door.state, StatusCode::INTERNAL_SERVER_ERROR),
            None => Response::new(Bytes::new()),
        };
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        failed.map(|document| Either::Right(Full::new(document)))
    };
    Ok(answer.map(|body| Tracked { body, _ended: ended }))
}

async fn serve_connection<H, F, B>(
    door: Arc<Door>,
    stream: TcpStream,
    mut stopped: watch::Receiver<bool>,
    handler: H,
) where
    H: Fn(Arc<Config>, Arc<State>, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let clock = door.state.clock.clone();
    let limits = &door.config.limits;
    let (turn, refusing) = (Turn::default(), Arc::clone(&door));
    let refuse = door.refuse.map(|refuse| Box::new(move |status| refuse(&refusing.state, status)) as Refuse);
    let timed = io::TimedIo::new(stream, clock.clone(), limits.write_idle_timeout, turn.clone(), refuse);
    let mut http1 = hyper::server::conn::http1::Builder::new();
    http1
        .timer(ClockTimer::new(clock))
        .header_read_timeout(limits.header_read_timeout)
        .max_buf_size(READ_BUFFER_MAX)
        .max_header_size(HEADER_SECTION_HARD_MAX)
        .max_headers(HEADER_FIELDS_MAX)
        .half_close(true)
        .auto_date_header(true);
    let service = service_fn(|request| {
        let answer = handler(door.config.clone(), door.state.clone(), request);
        contained(&door, answer, turn.begin())
    });
    let mut connection = pin!(http1.serve_connection(TokioIo::new(timed), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = raised(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // The client's doing (reset, timeout, bad head); what concerns the store was logged where it happened.
        tracing::debug!(%error, "connection ended early");
    }
}
