//! The kernel's requests, taken apart and answered: what they mean is in [`Layer`](crate::layer::Layer).

use crate::FileKind;
use crate::layer::{Layer, New, Wanted, kind, read_up_to, reserve};
use crate::namespace::{Body, ROOT};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};
use rustix::fs::fstatvfs;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long the kernel may cache what it was told.
const TTL: Duration = Duration::from_hours(1);
const S_IFMT: u32 = 0o170_000;

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
