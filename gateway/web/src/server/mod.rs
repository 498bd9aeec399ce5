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
mod streams;
mod timer;
mod tls;

pub use tls::Identity;

use crate::config::Config;
use crate::state::State;
use crate::{admin, s3};
use bytes::Bytes;
use engine::clock::Clock;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use std::future::Future;
use std::io as std_io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;

#[cfg(panic = "abort")]
compile_error!("the doors contain a panic by unwinding: build with panic = \"unwind\"");

/// Both doors, bound to their addresses and not yet serving.
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
    /// Binds both doors. Port 0 takes a free one; see [`Server::http_addr`].
    pub async fn bind(config: Config, state: Arc<State>) -> std_io::Result<Self> {
        let http = listen(config.http, config.http_tls.clone()).await?;
        let admin = listen(config.admin, config.admin_tls.clone()).await?;
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
            s3::handle,
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
            move |_, state, request| admin::handle(state, request),
        );
        let stopping = async {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(s3_door, admin_door, stopping);
    }
}

async fn listen(addr: SocketAddr, identity: Option<Arc<Identity>>) -> std_io::Result<Bound> {
    let failed = |e: std_io::Error| std_io::Error::new(e.kind(), format!("listen on {addr}: {e}"));
    let tls = identity.map(tls::acceptor).transpose().map_err(|e| failed(std_io::Error::other(e)))?;
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    Ok(Bound { listener, tls })
}

/// What one door's accept loop and its connections share.
struct Door {
    name: &'static str,
    tls: Option<TlsAcceptor>,
    /// One for each connection, and for each stream of HTTP/2 beyond a connection's first.
    places: Arc<Semaphore>,
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
    let mut open = JoinSet::new();
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
            (place, Ok((stream, _peer))) => {
                let connection =
                    connection::serve(Arc::clone(&door), stream, stopped.clone(), handler.clone());
                let gauge = door.state.metrics.connections(door.name);
                open.spawn(async move {
                    let _open = gauge;
                    connection.await;
                    drop(place);
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
