//! The FUSE side: each request becomes one change of the shared state, under one lock.
//!
//! The lock makes a cut fall between two operations, never inside one; reads of bytes alone happen outside it. The
//! kernel caches names, attributes and pages for as long as it likes: nobody else changes them.

use crate::content::{Content, Fate};
use crate::namespace::{Body, Ino, Namespace, Node, ROOT};
use crate::{CutReport, Discipline, Error, FileKind, Seeded, Stats};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fchmod, fchown, fstatvfs, openat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long the kernel may cache what it was told.
const TTL: Duration = Duration::from_hours(1);
const S_IFMT: u32 = 0o170_000;

/// Everything that a cut decides over.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) names: Namespace,
    pub(crate) stats: Stats,
    pub(crate) cut: bool,
    chance: Seeded,
    /// Operations left until the layer cuts by itself.
    armed: Option<u64>,
}

/// The state, shared by the kernel's requests and the test.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    was_cut: Condvar,
    pub(crate) discipline: Discipline,
}

impl Shared {
    pub(crate) fn new(names: Namespace, chance: Seeded, discipline: Discipline) -> Self {
        let state = State { names, stats: Stats::default(), cut: false, chance, armed: None };
        Self { state: Mutex::new(state), was_cut: Condvar::new(), discipline }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state.lock().stats.clone()
    }

    pub(crate) fn arm(&self, operations: u64) {
        self.state.lock().armed = Some(operations);
    }

    pub(crate) fn cut(&self) -> io::Result<CutReport> {
        let mut state = self.state.lock();
        self.cut_locked(&mut state)
    }

    fn cut_locked(&self, state: &mut State) -> io::Result<CutReport> {
        if let Some(report) = state.stats.cut {
            return Ok(report);
        }
        state.cut = true;
        let mut data = Fate::default();
        let ahead = self.discipline == Discipline::Strict;
        for (ino, _, content) in state.names.files_mut() {
            let fate = content.cut(&mut state.chance.fork(ino), ahead)?;
            data.at_stake += fate.at_stake;
            data.kept += fate.kept;
            data.torn += fate.torn;
        }
        let names = state.names.cut(&mut state.chance.fork(0));
        let report = CutReport {
            data_at_stake: data.at_stake,
            data_kept: data.kept,
            data_torn: data.torn,
            names_at_stake: names.at_stake,
            names_kept: names.kept,
        };
        state.stats.cut = Some(report);
        self.was_cut.notify_all();
        Ok(report)
    }

    pub(crate) fn wait_for_cut(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        self.was_cut.wait_while_for(&mut state, |state| !state.cut, patience);
        state.cut
    }

    /// The state, while there is power.
    fn live(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state.lock();
        if state.cut { Err(Errno::EIO) } else { Ok(state) }
    }

    /// The state for an operation that changes or syncs something, counted by what cuts after so many of them.
    fn change(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.live()?;
        match state.armed {
            Some(0) => {
                self.cut_locked(&mut state).map_err(Errno::from)?;
                Err(Errno::EIO)
            }
            Some(left) => {
                state.armed = Some(left - 1);
                Ok(state)
            }
            None => Ok(state),
        }
    }
}

/// The file system that the kernel talks to.
#[derive(Debug)]
pub(crate) struct Layer {
    shared: Arc<Shared>,
    backing: File,
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

    fn attributes(&self, names: &Namespace, ino: Ino) -> Result<FileAttr, Errno> {
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
    fn add(&self, parent: INodeNo, name: &OsStr, new: New<'_>, req: &Request) -> Result<FileAttr, Errno> {
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

    fn remove(&self, parent: INodeNo, name: &OsStr, directory: bool) -> Result<(), Errno> {
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

    fn move_name(&self, from: (Ino, &OsStr), to: (Ino, &OsStr), flags: RenameFlags) -> Result<(), Errno> {
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

    fn sync(&self, ino: INodeNo) -> Result<(), Errno> {
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
    fn with_content<T>(
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

    fn open_node(&self, ino: INodeNo) -> Result<(), Errno> {
        let mut state = self.shared.live()?;
        state.names.node_mut(ino.0).ok_or(Errno::ENOENT)?.handles += 1;
        Ok(())
    }

    fn release_node(&self, ino: INodeNo) {
        // After a cut, too: the inode must not outlive its last handle.
        let mut state = self.shared.state();
        if let Some(node) = state.names.node_mut(ino.0) {
            node.handles = node.handles.saturating_sub(1);
        }
        if !state.cut {
            state.names.reap(ino.0);
        }
    }

    fn set_attributes(&self, ino: INodeNo, wanted: &Wanted) -> Result<FileAttr, Errno> {
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
enum New<'a> {
    File(u32),
    Directory(u32),
    Symlink(&'a Path),
    Link(Ino),
}

/// What `setattr` asks for, as far as it is honoured.
struct Wanted {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    mtime: Option<TimeOrNow>,
}

fn kind(node: &Node) -> FileType {
    match node.body {
        Body::File(_) => FileType::RegularFile,
        Body::Directory { .. } => FileType::Directory,
        Body::Symlink(_) => FileType::Symlink,
    }
}

macro_rules! answer {
    ($reply:ident, $result:expr, $ok:expr) => {
        match $result {
            Ok(value) => $ok($reply, value),
            Err(errno) => $reply.error(errno),
        }
    };
}

fn entry(reply: ReplyEntry, attr: FileAttr) {
    reply.entry(&TTL, &attr, Generation(0));
}

fn empty(reply: ReplyEmpty, (): ()) {
    reply.ok();
}

impl Filesystem for Layer {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.shared.live().and_then(|state| {
            let ino = state.names.find(parent.0, name).ok_or(Errno::ENOENT)?;
            self.attributes(&state.names, ino)
        });
        answer!(reply, found, entry);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.shared.live().and_then(|state| self.attributes(&state.names, ino.0));
        answer!(reply, found, |reply: ReplyAttr, attr| reply.attr(&TTL, &attr));
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.set_attributes(ino, &Wanted { mode, uid, gid, size, mtime });
        answer!(reply, done, |reply: ReplyAttr, attr| reply.attr(&TTL, &attr));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let target =
            self.shared.live().and_then(|state| match state.names.node(ino.0).map(|node| &node.body) {
                Some(Body::Symlink(target)) => Ok(target.as_os_str().as_encoded_bytes().to_vec()),
                Some(_) => Err(Errno::EINVAL),
                None => Err(Errno::ENOENT),
            });
        answer!(reply, target, |reply: ReplyData, target: Vec<u8>| reply.data(&target));
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let regular = matches!(mode & S_IFMT, 0 | 0o100_000);
        let created = if regular { self.add(parent, name, New::File(mode), req) } else { Err(Errno::EPERM) };
        answer!(reply, created, entry);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        answer!(reply, self.add(parent, name, New::Directory(mode), req), entry);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.remove(parent, name, false), empty);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.remove(parent, name, true), empty);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        answer!(reply, self.add(parent, name, New::Symlink(target), req), entry);
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer!(reply, self.move_name((parent.0, name), (newparent.0, newname), flags), empty);
    }

    fn link(&self, req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.add(newparent, newname, New::Link(ino.0), req), entry);
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        answer!(reply, self.open_node(ino), |reply: ReplyOpen, ()| {
            reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        });
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let created = self.add(parent, name, New::File(mode), req).and_then(|attr| {
            self.open_node(attr.ino)?;
            Ok(attr)
        });
        answer!(reply, created, |reply: ReplyCreate, attr| {
            reply.created(&TTL, &attr, Generation(0), FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
        });
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let file =
            self.shared.live().and_then(|state| match state.names.node(ino.0).map(|node| &node.body) {
                Some(Body::File(content)) => Ok(Arc::clone(content.file())),
                _ => Err(Errno::EBADF),
            });
        let bytes = file.and_then(|file| Ok(read_up_to(&file, offset, size)?));
        answer!(reply, bytes, |reply: ReplyData, bytes: Vec<u8>| reply.data(&bytes));
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let done =
            self.with_content(ino, |content| content.write(offset, data)).and_then(|((), mut state)| {
                let kind = state.names.node(ino.0).map_or(FileKind::Other, |node| node.kind);
                *state.stats.writes.entry(kind).or_default() += 1;
                state.stats.written_bytes += data.len() as u64;
                u32::try_from(data.len()).map_err(|_| Errno::EINVAL)
            });
        answer!(reply, done, |reply: ReplyWrite, written| reply.written(written));
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.release_node(ino);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(reply, self.sync(ino), empty);
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(reply, self.sync(ino), empty);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        answer!(reply, self.open_node(ino), |reply: ReplyOpen, ()| {
            reply.opened(FileHandle(0), FopenFlags::empty());
        });
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = match self.shared.live() {
            Ok(state) => state,
            Err(errno) => return reply.error(errno),
        };
        let (Some(entries), Some(node)) = (state.names.entries(ino.0), state.names.node(ino.0)) else {
            return reply.error(Errno::ENOTDIR);
        };
        let parent = if let Body::Directory { parent } = node.body { parent } else { ROOT };
        // A name's offset is its inode number past the dots': stable while other names come and go.
        let dots = [(1, OsStr::new("."), ino.0), (2, OsStr::new(".."), parent)];
        let mut children: Vec<_> =
            entries.iter().map(|(name, ino)| (ino + 2, name.as_os_str(), *ino)).collect();
        children.sort_unstable();
        for (cookie, name, child) in dots.into_iter().chain(children).filter(|(cookie, ..)| *cookie > offset)
        {
            let file_type = state.names.node(child).map_or(FileType::RegularFile, kind);
            if reply.add(INodeNo(child), cookie, file_type, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.release_node(ino);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match fstatvfs(self.backing.as_fd()) {
            Ok(fs) => reply.statfs(
                fs.f_blocks,
                fs.f_bfree,
                fs.f_bavail,
                fs.f_files,
                fs.f_ffree,
                u32::try_from(fs.f_bsize).unwrap_or(4096),
                255,
                u32::try_from(fs.f_frsize).unwrap_or(4096),
            ),
            Err(errno) => reply.error(io::Error::from(errno).into()),
        }
    }

    fn setxattr(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _name: &OsStr,
        _value: &[u8],
        _flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOTSUP);
    }

    fn getxattr(&self, _req: &Request, _ino: INodeNo, _name: &OsStr, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOTSUP);
    }

    fn listxattr(&self, _req: &Request, _ino: INodeNo, _size: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOTSUP);
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = self.with_content(ino, |content| reserve(content, offset, length, mode));
        answer!(reply, done.map(|((), _)| ()), empty);
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        // The kernel then treats the file as all data.
        reply.error(Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        _fh_in: FileHandle,
        _offset_in: u64,
        _ino_out: INodeNo,
        _fh_out: FileHandle,
        _offset_out: u64,
        _len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // The kernel then copies through reads and writes, which are seen.
        reply.error(Errno::ENOSYS);
    }
}

/// `fallocate`: space is reserved for real; what changes bytes or lengths is a change like any other.
fn reserve(content: &mut Content, offset: u64, length: u64, mode: i32) -> io::Result<()> {
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
fn read_up_to(file: &File, offset: u64, size: u32) -> io::Result<Vec<u8>> {
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
