//! A body on its way in: of an object or of a part.

use crate::store::unwritten;
use crate::{Expect, Result, Uploaded};
use bytes::Bytes;

/// A body on its way in. Dropping it leaves garbage that the collector owns, never a name.
pub struct Upload {
    _private: (),
}

#[expect(clippy::unused_async, reason = "the bodies follow")]
impl Upload {
    /// Takes the next bytes. Memory stays bounded whatever the body's size.
    pub async fn write(&mut self, _bytes: Bytes) -> Result<()> {
        unwritten()
    }

    /// Checks what was announced, makes the bytes durable and publishes them in one commit.
    pub async fn finish(self, _expect: Expect) -> Result<Uploaded> {
        unwritten()
    }
}
