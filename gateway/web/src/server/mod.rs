//! Listeners and connections: bounded, timed, drained.
//!
//! ```text
//!   listener ─ place ──► connection task ─┬───────────────── hyper http1 ─► door
//!                                         └─ TLS handshake ─┴ hyper http2 ─┘
//!        └── stops on shutdown; open connections finish their request, then close; after `drain_timeout` they are cut
//! ```
//!
//! Invariants: never more connection tasks, streams of HTTP/2 beyond each connection's first included, than the configured
//! bound (the next client waits in the listen queue, the next stream in its connection); no connection lives without progress
//! longer than its timeouts; every wait is on the injected clock; a panic costs the connection it happened on.

mod connection;
mod io;
mod refusal;
mod standing;
mod streams;
mod timer;
mod tls;

pub(crate) use refusal::Refused;
pub(crate) use standing::{Gone, Standing};
pub use tls::Identity;
pub(crate) use tls::Tls;

use crate::config::Config;
use crate::state::State;
use crate::{admin, front, s3};
use bytes::Bytes;
use engine::clock::Clock;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use std::convert::Infallible;
use std::future::Future;
use std::io as std_io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Connections that the kernel keeps for a door that is busy.
const BACKLOG: u32 = 1024;

#[cfg(panic = "abort")]
compile_error!("the doors contain a panic by unwinding: build with panic = \"unwind\"");

/// The addresses of both doors, bound and not listened to: who listens there already is found out now, and whoever connects is
/// refused until a [`Server`] listens. Who binds one in between, with `SO_REUSEADDR` as we do, is found out then.
#[derive(Debug)]
pub struct Places {
    http: Place,
    admin: Place,
}

/// One address.
#[derive(Debug)]
struct Place {
    /// As it was asked for, for errors.
    wanted: SocketAddr,
    socket: TcpSocket,
}

impl Places {
    /// Takes both. Port 0 takes a free one; see [`Places::http_addr`].
    pub fn take(http: SocketAddr, admin: SocketAddr) -> std_io::Result<Self> {
        Ok(Self { http: Place::take(http)?, admin: Place::take(admin)? })
    }

    /// The address of the S3 door.
    pub fn http_addr(&self) -> std_io::Result<SocketAddr> {
        self.http.socket.local_addr()
    }

    /// The address of the admin door.
    pub fn admin_addr(&self) -> std_io::Result<SocketAddr> {
        self.admin.socket.local_addr()
    }
}

impl Place {
    fn take(wanted: SocketAddr) -> std_io::Result<Self> {
        let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.and_then(|socket| {
            // A door that was closed a moment ago may be opened again; one that is open is never shared.
            socket.set_reuseaddr(true)?;
            socket.bind(wanted)?;
            Ok(socket)
        });
        Ok(Self { wanted, socket: socket.map_err(|error| failed(wanted, &error))? })
    }

    fn listen(self, identity: Option<Arc<Identity>>) -> std_io::Result<Bound> {
        let Self { wanted, socket } = self;
        let tls = identity.map(tls::acceptor).transpose().map_err(std_io::Error::other);
        let tls = tls.map_err(|error| failed(wanted, &error))?;
        let listener = socket.listen(BACKLOG).map_err(|error| failed(wanted, &error))?;
        Ok(Bound { listener, tls })
    }
}

fn failed(wanted: SocketAddr, error: &std_io::Error) -> std_io::Error {
    std_io::Error::new(error.kind(), format!("listen on {wanted}: {error}"))
}

/// How long a door waits after a connection could not be accepted.
const ACCEPT_AGAIN: std::time::Duration = std::time::Duration::from_millis(500);

/// Both doors, listening and not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    state: Arc<State>,
    http: Bound,
    admin: Bound,
}

/// A listener, and the TLS in front of it.
struct Bound {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("listener", &self.listener).field("tls", &self.tls.is_some()).finish()
    }
}

impl Server {
    /// Listens in these places, whatever addresses the configuration names. Within a runtime.
    pub fn open(config: Config, state: Arc<State>, places: Places) -> std_io::Result<Self> {
        let http = places.http.listen(config.http_tls.clone())?;
        let admin = places.admin.listen(config.admin_tls.clone())?;
        Ok(Self { config: Arc::new(config), state, http, admin })
    }

    /// The address of the S3 door as bound.
    pub fn http_addr(&self) -> std_io::Result<SocketAddr> {
        self.http.listener.local_addr()
    }

    /// The address of the admin door as bound.
    pub fn admin_addr(&self) -> std_io::Result<SocketAddr> {
        self.admin.listener.local_addr()
    }

    /// Serves until `shutdown` completes, then lets open requests finish for at most `drain_timeout`.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { config, state, http, admin } = self;
        let (stop, stop_seen) = watch::channel(false);
        let limits = config.limits.clone();
        let s3_door = serve_door(
            http.listener,
            Door {
                name: "s3",
                tls: http.tls,
                places: Arc::new(Semaphore::new(limits.connections_max)),
                refuse: Some(s3::refuse),
                config: config.clone(),
                state: state.clone(),
            },
            stop_seen.clone(),
            |peer: Peer| move |told, standing, request| front::handle(told, (peer, standing), request),
        );
        let admin_door = serve_door(
            admin.listener,
            Door {
                name: "admin",
                tls: admin.tls,
                places: Arc::new(Semaphore::new(limits.admin_connections_max)),
                refuse: None,
                config,
                state,
            },
            stop_seen,
            |peer: Peer| move |(_, state), standing, request| admin::handle(state, (peer, standing), request),
        );
        let stopping = async {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(s3_door, admin_door, stopping);
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) ip: IpAddr,
    /// What was agreed on with it, where the connection is secured.
    pub(crate) tls: Option<Tls>,
}

/// What one door's accept loop and its connections share.
struct Door {
    name: &'static str,
    tls: Option<TlsAcceptor>,
    /// One for each connection, and for each stream of HTTP/2 beyond a connection's first.
    places: Arc<Semaphore>,
    /// The door's words for what hyper refuses by itself, and for a panic; without them there are none.
    refuse: Option<fn(&State, Refused) -> Response<Bytes>>,
    config: Arc<Config>,
    state: Arc<State>,
}

/// What a door does with a request: a function of what the door was told and serves, of what the request takes up, and of what was asked.
trait Handler: Clone + Send + Sync + 'static {
    /// What an answer sends.
    type Body: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static;
    /// The answer, when it is there.
    type Answering: Future<Output = Response<Self::Body>> + Send + 'static;

    /// Begins to answer.
    fn handle(
        &self,
        told: (Arc<Config>, Arc<State>),
        standing: Standing,
        request: Request<Incoming>,
    ) -> Self::Answering;
}

impl<H, F, B> Handler for H
where
    H: Fn((Arc<Config>, Arc<State>), Standing, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    type Body = B;
    type Answering = F;

    fn handle(&self, told: (Arc<Config>, Arc<State>), standing: Standing, request: Request<Incoming>) -> F {
        self(told, standing, request)
    }
}

/// `handler` makes what answers the requests of a connection, for who is at its other end.
async fn serve_door<H: Handler>(
    listener: TcpListener,
    door: Door,
    mut stopped: watch::Receiver<bool>,
    handler: impl Fn(Peer) -> H + Clone + Send + 'static,
) {
    let door = Arc::new(door);
    let mut open = JoinSet::new();
    let (unfinished, finished) = mpsc::channel::<Infallible>(1);
    let mut refused = false;
    loop {
        let next = async {
            let place = door.places.clone().acquire_owned().await;
            (place, listener.accept().await)
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
            (place, Ok((stream, peer))) => {
                if std::mem::take(&mut refused) {
                    tracing::info!(door = door.name, "connections are accepted again");
                }
                let (peer, handler) = (peer.ip().to_canonical(), handler.clone());
                let standing = Standing::of(place.ok(), unfinished.clone());
                let standing = (standing, stopped.clone());
                let connection = connection::serve(Arc::clone(&door), (stream, peer), standing, handler);
                let gauge = door.state.metrics.connections(door.name);
                open.spawn(async move {
                    let _open = gauge;
                    connection.await;
                });
            }
            // The client left between SYN and accept.
            (_, Err(error)) if error.kind() == std_io::ErrorKind::ConnectionAborted => {}
            (_, Err(error)) => {
                // Out of descriptors, most likely: the door waits, and says so once.
                if !std::mem::replace(&mut refused, true) {
                    tracing::warn!(door = door.name, %error, "failed to accept a connection: the next ones wait");
                }
                tokio::select! {
                    () = raised(&mut stopped) => break,
                    () = door.state.clock.sleep(ACCEPT_AGAIN) => {}
                }
            }
        }
    }
    drop((listener, unfinished));
    let patience = (&*door.state.clock, door.config.limits.drain_timeout);
    drain(open, patience, door.name).await;
    finish(finished, patience, door.name).await;
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

async fn drain(
    mut open: JoinSet<()>,
    (clock, patience): (&dyn Clock, std::time::Duration),
    door: &'static str,
) {
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

/// Waits for what goes on though its connection is gone: what it does is to be recorded. It waits for nobody's bytes any more.
async fn finish(
    mut finished: mpsc::Receiver<Infallible>,
    (clock, patience): (&dyn Clock, std::time::Duration),
    door: &'static str,
) {
    tokio::select! {
        biased;
        _none = finished.recv() => {}
        () = clock.sleep(patience) => {
            tracing::warn!(door, "requests whose clients were gone were not done after the drain timeout: they may have no record");
        }
    }
}
