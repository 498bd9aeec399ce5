//! What each of the kernel's requests means: one change of the shared state, under its one lock.
//!
//! Reads of bytes alone happen outside the lock. The kernel caches names, attributes and pages for as long as it likes:
//! nobody else changes them.

use crate::content::Content;
use crate::namespace::{Body, Ino, Namespace, Node};
use crate::power::{Shared, State};
use crate::{Error, FileKind};
use fuser::{Errno, FileAttr, FileType, INodeNo, RenameFlags, Request, TimeOrNow};
use parking_lot::MutexGuard;
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fchmod, fchown, openat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// The file system that the kernel talks to.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) backing: File,
    born: SystemTime,
}

impl Layer {
    pub(crate) fn new(shared: Arc<Shared>, backing: &Path) -> Result<Self, Error> {
        let open = || -> io::Result<(File, SystemTime)> {
            let file = File::open(backing)?;
            let born = file.metadata()?.modified()?;
            Ok((file, born))
        };
        let (backing, born) = open().map_err(Error::io("open", backing))?;
        Ok(Self { shared, backing, born })
    }

    pub(crate) fn attributes(&self, names: &Namespace, ino: Ino) -> Result<FileAttr, Errno> {
        let node = names.node(ino).ok_or(Errno::ENOENT)?;
        let mut attr = FileAttr {
            ino: INodeNo(ino),
            size: 0,
            blocks: 0,
            atime: self.born,
            mtime: self.born,
            ctime: self.born,
            crtime: self.born,
            kind: kind(node),
            perm: u16::try_from(node.mode & 0o7777).unwrap_or(0o600),
            nlink: node.links,
            uid: node.owner.0,
            gid: node.owner.1,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        match &node.body {
            Body::File(content) => {
                let meta = content.file().metadata()?;
                attr.size = meta.len();
                attr.blocks = meta.blocks();
                attr.mtime = meta.modified()?;
                attr.ctime = attr.mtime;
                attr.atime = meta.accessed()?;
            }
            Body::Symlink(target) => attr.size = target.as_os_str().len() as u64,
            Body::Directory { .. } => attr.nlink = node.links.max(2),
        }
        Ok(attr)
    }

    /// A file of the backing file system that has no name there.
    fn nameless(&self, mode: u32) -> io::Result<Content> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = openat(&self.backing, ".", flags, mode)?;
        fchmod(&fd, mode)?;
        Content::over(File::from(fd))
    }

    /// Adds a name that must be free in a directory that must exist.
    pub(crate) fn add(
        &self,
        parent: INodeNo,
        name: &OsStr,
        new: New<'_>,
        req: &Request,
    ) -> Result<FileAttr, Errno> {
        let mut state = self.shared.change()?;
        if state.names.entries(parent.0).is_none() {
            return Err(Errno::ENOTDIR);
        }
        if state.names.find(parent.0, name).is_some() {
            return Err(Errno::EEXIST);
        }
        let owner = (req.uid(), req.gid());
        let ino = match new {
            New::Link(ino) => {
                state.names.link(ino, parent.0, name);
                ino
            }
            New::File(mode) => {
                let body = Body::File(self.nameless(mode)?);
                state.names.create(parent.0, name, body, mode, owner)
            }
            New::Directory(mode) => {
                let body = Body::Directory { parent: parent.0 };
                state.names.create(parent.0, name, body, mode, owner)
            }
            New::Symlink(target) => {
                let body = Body::Symlink(target.to_owned());
                state.names.create(parent.0, name, body, 0o777, owner)
            }
        };
        state.stats.name_changes += 1;
        self.attributes(&state.names, ino)
    }

    pub(crate) fn remove(&self, parent: INodeNo, name: &OsStr, directory: bool) -> Result<(), Errno> {
        let mut state = self.shared.change()?;
        let ino = state.names.find(parent.0, name).ok_or(Errno::ENOENT)?;
        match (state.names.entries(ino), directory) {
            (Some(entries), true) if !entries.is_empty() => return Err(Errno::ENOTEMPTY),
            (None, true) => return Err(Errno::ENOTDIR),
            (Some(_), false) => return Err(Errno::EISDIR),
            (Some(_), true) | (None, false) => {}
        }
        state.names.remove(parent.0, name);
        state.stats.name_changes += 1;
        Ok(())
    }

    pub(crate) fn move_name(
        &self,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        let mut state = self.shared.change()?;
        let ino = state.names.find(from.0, from.1).ok_or(Errno::ENOENT)?;
        let target = state.names.find(to.0, to.1);
        state.stats.name_changes += 1;
        if flags.contains(RenameFlags::RENAME_EXCHANGE) {
            target.ok_or(Errno::ENOENT)?;
            state.names.swap(from, to);
            return Ok(());
        }
        if let Some(target) = target {
            if flags.contains(RenameFlags::RENAME_NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            if target == ino {
                return Ok(());
            }
            match (state.names.entries(ino).is_some(), state.names.entries(target)) {
                (true, None) => return Err(Errno::ENOTDIR),
                (false, Some(_)) => return Err(Errno::EISDIR),
                (true, Some(entries)) if !entries.is_empty() => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
        }
        state.names.rename(from, to);
        Ok(())
    }

    pub(crate) fn sync(&self, ino: INodeNo) -> Result<(), Errno> {
        let mut state = self.shared.change()?;
        let node = state.names.node_mut(ino.0).ok_or(Errno::ENOENT)?;
        let kind = if matches!(node.body, Body::Directory { .. }) { FileKind::Directory } else { node.kind };
        let mut commits = false;
        if let Body::File(content) = &mut node.body {
            commits = content.length_changed();
            content.sync();
        }
        state.names.sync(ino.0, commits);
        *state.stats.syncs.entry(kind).or_default() += 1;
        Ok(())
    }

    /// Runs `change` on a regular file's content.
    pub(crate) fn with_content<T>(
        &self,
        ino: INodeNo,
        change: impl FnOnce(&mut Content) -> io::Result<T>,
    ) -> Result<(T, MutexGuard<'_, State>), Errno> {
        let mut state = self.shared.change()?;
        let node = state.names.node_mut(ino.0).ok_or(Errno::ENOENT)?;
        let Body::File(content) = &mut node.body else { return Err(Errno::EISDIR) };
        let value = change(content)?;
        Ok((value, state))
    }

    pub(crate) fn open_node(&self, ino: INodeNo) -> Result<(), Errno> {
        let mut state = self.shared.live()?;
        state.names.node_mut(ino.0).ok_or(Errno::ENOENT)?.handles += 1;
        Ok(())
    }

    pub(crate) fn release_node(&self, ino: INodeNo) {
        // After a cut, too: the inode must not outlive its last handle.
        let mut state = self.shared.state();
        if let Some(node) = state.names.node_mut(ino.0) {
            node.handles = node.handles.saturating_sub(1);
        }
        if !state.cut {
            state.names.reap(ino.0);
        }
    }

    pub(crate) fn set_attributes(&self, ino: INodeNo, wanted: &Wanted) -> Result<FileAttr, Errno> {
        let mut state = self.shared.change()?;
        let node = state.names.node_mut(ino.0).ok_or(Errno::ENOENT)?;
        if let Some(mode) = wanted.mode {
            node.mode = mode;
        }
        node.owner = (wanted.uid.unwrap_or(node.owner.0), wanted.gid.unwrap_or(node.owner.1));
        let owner = node.owner;
        if let Body::File(content) = &mut node.body {
            if let Some(size) = wanted.size {
                content.resize(size)?;
            }
            if let Some(mode) = wanted.mode {
                fchmod(content.file(), Mode::from_raw_mode(mode & 0o7777)).map_err(io::Error::from)?;
            }
            if wanted.uid.is_some() || wanted.gid.is_some() {
                let (uid, gid) = (rustix::fs::Uid::from_raw(owner.0), rustix::fs::Gid::from_raw(owner.1));
                fchown(content.file(), Some(uid), Some(gid)).map_err(io::Error::from)?;
            }
            if let Some(TimeOrNow::SpecificTime(time)) = wanted.mtime {
                content.file().set_modified(time)?;
            }
        }
        self.attributes(&state.names, ino.0)
    }
}

/// What is being created.
#[derive(Clone, Copy)]
pub(crate) enum New<'a> {
    File(u32),
    Directory(u32),
    Symlink(&'a Path),
    Link(Ino),
}

/// What `setattr` asks for, as far as it is honoured.
pub(crate) struct Wanted {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<TimeOrNow>,
}

pub(crate) fn kind(node: &Node) -> FileType {
    match node.body {
        Body::File(_) => FileType::RegularFile,
        Body::Directory { .. } => FileType::Directory,
        Body::Symlink(_) => FileType::Symlink,
    }
}

/// `fallocate`: space is reserved for real; what changes bytes or lengths is a change like any other.
pub(crate) fn reserve(content: &mut Content, offset: u64, length: u64, mode: i32) -> io::Result<()> {
    let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
    let end = offset + length;
    let len = content.file().metadata()?.len();
    if flags.intersects(FallocateFlags::PUNCH_HOLE | FallocateFlags::ZERO_RANGE) {
        let inside = end.min(len).saturating_sub(offset);
        content.write(offset, &vec![0; usize::try_from(inside).map_err(io::Error::other)?])?;
        if flags.contains(FallocateFlags::PUNCH_HOLE) {
            fallocate(content.file().as_fd(), flags, offset, length)?;
        }
    } else if flags.difference(FallocateFlags::KEEP_SIZE).is_empty() {
        fallocate(content.file().as_fd(), FallocateFlags::KEEP_SIZE, offset, length)?;
    } else {
        return Err(io::ErrorKind::Unsupported.into());
    }
    if end > len && !flags.contains(FallocateFlags::KEEP_SIZE) {
        content.resize(end)?;
    }
    Ok(())
}

/// As many of `size` bytes as there are from `offset`.
pub(crate) fn read_up_to(file: &File, offset: u64, size: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
