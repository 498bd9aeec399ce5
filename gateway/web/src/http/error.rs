//! What reading a head or a body comes to, before any service has words for it: each door says it in its own by a match that leaves out
//! none. The texts are for doors whose protocol has none of its own.

use crate::budget::Crowded;
use engine::unit::ByteCount;
use http::StatusCode;
use security::chunked::ChunkError;
use security::sigv4::AuthError;

/// Why a head is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// Its path and query have more bytes than this.
    #[error("The request URI has more than {max} bytes.")]
    UriTooLong {
        /// So many are read.
        max: usize,
    },
    /// Its header section has more bytes than this, or too many fields.
    #[error("The request's header section has more than {max} bytes, or too many fields.")]
    HeadersTooLarge {
        /// So many are read.
        max: ByteCount,
    },
    /// Its transfer encoding is none that is read.
    #[error("A request's Transfer-Encoding is chunked, or none.")]
    Encoding,
    /// It says in two ways where the body ends.
    #[error("The request's framing is ambiguous.")]
    Framing,
    /// It names no host, or not one.
    #[error("{0}")]
    Host(&'static str),
}

impl HeadError {
    /// Status and code where the protocol has none of its own for it: of the query and the JSON protocol.
    pub(crate) const fn told(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UriTooLong { .. } => (StatusCode::URI_TOO_LONG, "RequestURITooLong"),
            Self::HeadersTooLarge { .. } => (StatusCode::BAD_REQUEST, "RequestHeaderSectionTooLarge"),
            Self::Encoding => (StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
            Self::Framing | Self::Host(_) => (StatusCode::BAD_REQUEST, "InvalidRequest"),
        }
    }
}

/// Why a body, or the rest of it, is not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is longer than what it is may be.
    #[error("A request's body has at most {} bytes.", max.get())]
    TooLarge {
        /// So many are read.
        max: ByteCount,
    },
    /// It brings too little in its time.
    #[error(
        "Your socket connection to the server was not read from or written to within the timeout period."
    )]
    Slow,
    /// It brings little, and others wait for its memory.
    #[error("The request's body stalled, and other requests waited for the memory that it held.")]
    InTheWay,
    /// There is no memory for it.
    #[error(
        "Please reduce your request rate. The bodies of requests under way hold all the memory that they may: try again in a moment."
    )]
    Crowded,
    /// It ended before the length that was announced, or goes on behind it.
    #[error("You did not provide the number of bytes specified by the Content-Length HTTP header")]
    Incomplete,
    /// It has no length, and no end.
    #[error("The request body ended before its last chunk, or its chunked transfer encoding is malformed.")]
    Unended,
    /// Its aws-chunked frames are broken, or not those that were signed.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// It comes in frames that are signed, of a request that is not.
    #[error("The chunks of a request that is not signed can't be signed.")]
    Signatures,
    /// It is not what was announced, or signed.
    #[error("{}", .0.message())]
    Digest(AuthError),
    /// The appliance's own trouble.
    #[error("The request could not be read for an internal reason.")]
    Internal(&'static str),
}

impl From<Crowded> for BodyError {
    fn from(_: Crowded) -> Self {
        Self::Crowded
    }
}

#[cfg(test)]
mod tests {
    use super::HeadError;
    use crate::glacier::GlacierError;
    use crate::json::JsonError;
    use crate::query::QueryError;
    use crate::s3::S3Error;
    use engine::unit::ByteCount;

    #[test]
    fn a_head_that_is_refused_is_its_clients_doing_whichever_service_it_asks() {
        let max = ByteCount::kib(8);
        let all: [fn(ByteCount) -> HeadError; 5] = [
            |_| HeadError::UriTooLong { max: 1 },
            |max| HeadError::HeadersTooLarge { max },
            |_| HeadError::Encoding,
            |_| HeadError::Framing,
            |_| HeadError::Host("Missing required header for this request: Host"),
        ];
        for (made, expected) in all.into_iter().zip([414, 400, 501, 400, 400]) {
            let told = [
                S3Error::from(made(max)).failed().status,
                QueryError::from(made(max)).failed().status,
                JsonError::from(made(max)).failed().status,
            ];
            assert!(told.iter().all(|status| status.as_u16() == expected), "{:?}: {told:?}", made(max));
            let glacier = GlacierError::from(made(max));
            assert_eq!(glacier.failed().status.as_u16(), 400, "{:?}", made(max));
        }
    }
}
