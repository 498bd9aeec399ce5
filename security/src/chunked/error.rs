//! Why a chunked body was refused, in S3's words.

use http::StatusCode;

/// What is wrong with an aws-chunked body or what declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ChunkError {
    /// The body ended early, or does not add up to the declared length.
    #[error("read the chunked body: it is not of the declared length")]
    Incomplete,
    /// The framing is broken.
    #[error("read the chunked body: {0}")]
    Malformed(&'static str),
    /// A short chunk that is not the last.
    #[error("read the chunked body: a chunk that is not the last is shorter than 8192 bytes")]
    ShortChunk,
    /// A chunk or the trailers were not signed with this key, or changed on the way.
    #[error("read the chunked body: a chunk's signature does not match")]
    Signature,
    /// The trailers can't be read, or are not those that were declared.
    #[error("read the chunked body's trailers: {0}")]
    Trailer(&'static str),
    /// No readable `x-amz-decoded-content-length`.
    #[error("read the chunked body: its decoded length is not declared")]
    NoDecodedLength,
    /// `x-amz-trailer` names something that is no checksum.
    #[error("read the chunked body: it declares a trailer that is no checksum")]
    UnsupportedTrailer,
}

impl ChunkError {
    /// S3's code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Incomplete => "IncompleteBody",
            Self::Malformed(_) | Self::UnsupportedTrailer => "InvalidRequest",
            Self::ShortChunk => "InvalidChunkSizeError",
            Self::Signature => "SignatureDoesNotMatch",
            Self::Trailer(_) => "MalformedTrailerError",
            Self::NoDecodedLength => "MissingContentLength",
        }
    }

    /// S3's message.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Incomplete => {
                "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header."
            }
            Self::Malformed(_) => "The aws-chunked encoding of the request body is malformed.",
            Self::ShortChunk => "Only the last chunk is allowed to have a size less than 8192 bytes",
            Self::Signature => {
                "The request signature we calculated does not match the signature you provided. Check your key and \
                 signing method."
            }
            Self::Trailer(_) => {
                "The request contained trailing data that was not well-formed or did not conform to our published \
                 schema."
            }
            Self::NoDecodedLength => "You must provide the Content-Length HTTP header.",
            Self::UnsupportedTrailer => "The value specified in the x-amz-trailer header is not supported",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::ShortChunk | Self::Signature => StatusCode::FORBIDDEN,
            Self::NoDecodedLength => StatusCode::LENGTH_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
