//! Bytes at rest that are read and written by their place: a file, a slice, something remote.
//!
//! # Invariants
//! Reads need no `&mut`: a restore, a scrub and a listing of one pack may go on side by side.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Something that holds bytes at known places.
pub trait ReadAt {
    /// How many bytes it holds.
    fn byte_len(&self) -> io::Result<u64>;

    /// Fills `out` with the bytes from `at` on. All of them or an error, [`io::ErrorKind::UnexpectedEof`] beyond the end.
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

/// Something whose bytes can be replaced where they are.
pub trait WriteAt {
    /// Puts `bytes` at `at`. Durable once [`sync`](Self::sync) has returned.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl ReadAt for File {
    fn byte_len(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(out, at)
    }
}

impl WriteAt for File {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl ReadAt for [u8] {
    fn byte_len(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let found = usize::try_from(at).ok().and_then(|at| self.get(at..)?.get(..out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl WriteAt for Vec<u8> {
    /// Grows as a file does.
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(at).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.resize(self.len().max(end), 0);
        self[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn byte_len(&self) -> io::Result<u64> {
        self.as_slice().byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_at(at, out)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn byte_len(&self) -> io::Result<u64> {
        (**self).byte_len()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        (**self).read_at(at, out)
    }
}
