//! A port that stays the test's own while nobody listens on it: one that was free a moment ago may be somebody else's by now.

use std::net::SocketAddr;
use tokio::net::TcpSocket;

/// Bound and not listened to: whoever connects is refused, nobody is given it unasked, and who sets `SO_REUSEADDR`, as std and
/// firn do, may listen on it.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    pub(crate) fn take() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _held: socket }
    }
}
