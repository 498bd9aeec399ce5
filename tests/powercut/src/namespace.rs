//! Names: the tree as the process sees it, the tree as the disk has it, and the changes between.
//!
//! Directories live in memory twice. Every change is made in the tree *as seen* and queued; a sync moves what it covers
//! into the *durable* tree; a cut moves a chosen part of the rest and makes the durable tree the only one.
//!
//! | discipline | what a sync covers | what a cut may lose |
//! |---|---|---|
//! | strict | of a directory: the changes in it; of a file or directory: its own creation | any of the rest, alone |
//! | ordered | everything queued, whenever the journal commits (a directory, a new file, a changed length) | a tail of the queue |
//!
//! *Strict* is what POSIX promises plus the creation of a file that was itself synced; *ordered* is ext4's journal. In
//! both, a change never survives without an earlier one to the same name, nor anything inside a directory whose own
//! creation was lost, and a rename is all or nothing.

use crate::content::Content;
use crate::{Discipline, FileKind, Seeded};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// An inode's number.
pub(crate) type Ino = u64;
/// The root directory's.
pub(crate) const ROOT: Ino = 1;

/// What an inode is.
#[derive(Debug)]
pub(crate) enum Body {
    /// A regular file.
    File(Content),
    /// A directory, with its parent; entries are in the trees.
    Directory { parent: Ino },
    /// A symbolic link.
    Symlink(PathBuf),
}

/// An inode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) kind: FileKind,
    /// Names in the tree as seen.
    pub(crate) links: u32,
    /// Names in the durable tree.
    durable_links: u32,
    /// Queued changes that speak of it.
    queued: u32,
    /// Its creation is still queued.
    pub(crate) unborn: bool,
    /// Open handles.
    pub(crate) handles: u32,
}

/// One entry's address.
type Name = (Ino, OsString);

/// A queued change of names.
#[derive(Debug)]
enum Change {
    Add { at: Name, ino: Ino, creates: bool },
    Remove { at: Name, ino: Ino },
    Move { from: Name, to: Name, ino: Ino },
    Swap { one: Name, other: Name, inos: (Ino, Ino) },
}

impl Change {
    fn names(&self) -> Vec<&Name> {
        match self {
            Self::Add { at, .. } | Self::Remove { at, .. } => vec![at],
            Self::Move { from, to, .. } => vec![from, to],
            Self::Swap { one, other, .. } => vec![one, other],
        }
    }

    fn inos(&self) -> Vec<Ino> {
        match self {
            Self::Add { ino, .. } | Self::Remove { ino, .. } | Self::Move { ino, .. } => vec![*ino],
            Self::Swap { inos, .. } => vec![inos.0, inos.1],
        }
    }

    fn creates(&self) -> Option<Ino> {
        match self {
            Self::Add { ino, creates: true, .. } => Some(*ino),
            _ => None,
        }
    }
}

type Tree = HashMap<Ino, BTreeMap<OsString, Ino>>;

/// All inodes and both trees.
#[derive(Debug)]
pub(crate) struct Namespace {
    nodes: HashMap<Ino, Node>,
    seen: Tree,
    durable: Tree,
    queue: Vec<Change>,
    next: Ino,
    discipline: Discipline,
}

/// What a cut did to the queued changes of names.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameFate {
    pub(crate) at_stake: u64,
    pub(crate) kept: u64,
}

impl Namespace {
    /// Only a root, owned and with the mode as given.
    pub(crate) fn new(mode: u32, owner: (u32, u32), discipline: Discipline) -> Self {
        let mut this = Self {
            nodes: HashMap::new(),
            seen: Tree::from([(ROOT, BTreeMap::new())]),
            durable: Tree::from([(ROOT, BTreeMap::new())]),
            queue: Vec::new(),
            next: ROOT + 1,
            discipline,
        };
        let body = Body::Directory { parent: ROOT };
        this.nodes.insert(
            ROOT,
            Node { links: 2, durable_links: 1, ..new_node(body, mode, owner, FileKind::Other) },
        );
        this
    }

    pub(crate) fn node(&self, ino: Ino) -> Option<&Node> {
        self.nodes.get(&ino)
    }

    pub(crate) fn node_mut(&mut self, ino: Ino) -> Option<&mut Node> {
        self.nodes.get_mut(&ino)
    }

    pub(crate) fn find(&self, dir: Ino, name: &OsStr) -> Option<Ino> {
        self.seen.get(&dir)?.get(name).copied()
    }

    /// The entries of a directory as seen, in name order.
    pub(crate) fn entries(&self, dir: Ino) -> Option<&BTreeMap<OsString, Ino>> {
        self.seen.get(&dir)
    }

    /// The entries of a directory on the disk.
    pub(crate) fn durable_entries(&self, dir: Ino) -> impl Iterator<Item = (&OsString, Ino)> {
        self.durable.get(&dir).into_iter().flatten().map(|(name, ino)| (name, *ino))
    }

    /// A new inode under a name that is free.
    pub(crate) fn create(&mut self, dir: Ino, name: &OsStr, body: Body, mode: u32, owner: (u32, u32)) -> Ino {
        let ino = self.next;
        self.next += 1;
        let kind = FileKind::of(name);
        if matches!(body, Body::Directory { .. }) {
            self.seen.insert(ino, BTreeMap::new());
            self.durable.insert(ino, BTreeMap::new());
        }
        self.nodes.insert(ino, Node { unborn: true, ..new_node(body, mode, owner, kind) });
        self.add(dir, name, ino, true);
        ino
    }

    /// Another name for a file.
    pub(crate) fn link(&mut self, ino: Ino, dir: Ino, name: &OsStr) {
        self.add(dir, name, ino, false);
    }

    fn add(&mut self, dir: Ino, name: &OsStr, ino: Ino, creates: bool) {
        self.seen.entry(dir).or_default().insert(name.to_owned(), ino);
        self.count_link(ino, 1);
        self.enqueue(Change::Add { at: (dir, name.to_owned()), ino, creates });
    }

    /// Takes a name away; the inode lives on while it has names, handles or a queued change.
    pub(crate) fn remove(&mut self, dir: Ino, name: &OsStr) {
        if let Some(ino) = self.seen.get_mut(&dir).and_then(|entries| entries.remove(name)) {
            self.count_link(ino, -1);
            self.enqueue(Change::Remove { at: (dir, name.to_owned()), ino });
        }
    }

    /// Renames over whatever is there.
    pub(crate) fn rename(&mut self, from: (Ino, &OsStr), to: (Ino, &OsStr)) {
        let Some(ino) = self.seen.get_mut(&from.0).and_then(|entries| entries.remove(from.1)) else { return };
        if let Some(replaced) = self.seen.entry(to.0).or_default().insert(to.1.to_owned(), ino) {
            self.count_link(replaced, -1);
        }
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.kind = FileKind::of(to.1);
            if let Body::Directory { parent } = &mut node.body {
                *parent = to.0;
            }
        }
        self.enqueue(Change::Move { from: own(from), to: own(to), ino });
    }

    /// Exchanges two names.
    pub(crate) fn swap(&mut self, one: (Ino, &OsStr), other: (Ino, &OsStr)) {
        let (Some(first), Some(second)) = (self.find(one.0, one.1), self.find(other.0, other.1)) else {
            return;
        };
        for ((dir, name), ino) in [(one, second), (other, first)] {
            self.seen.entry(dir).or_default().insert(name.to_owned(), ino);
            if let Some(Node { body: Body::Directory { parent }, .. }) = self.nodes.get_mut(&ino) {
                *parent = dir;
            }
        }
        self.enqueue(Change::Swap { one: own(one), other: own(other), inos: (first, second) });
    }

    fn enqueue(&mut self, change: Change) {
        for ino in change.inos() {
            if let Some(node) = self.nodes.get_mut(&ino) {
                node.queued += 1;
            }
        }
        self.queue.push(change);
    }

    /// `ino` was synced; `commits` says that doing so commits an ordered journal.
    pub(crate) fn sync(&mut self, ino: Ino, commits: bool) {
        let Some(node) = self.nodes.get(&ino) else { return };
        let is_directory = matches!(node.body, Body::Directory { .. });
        match self.discipline {
            Discipline::Ordered if commits || is_directory || node.unborn => {
                let queue = std::mem::take(&mut self.queue);
                for change in queue {
                    self.settle(&change, true);
                }
            }
            Discipline::Strict if is_directory || node.unborn => self.sync_strictly(ino, is_directory),
            Discipline::Ordered | Discipline::Strict => {}
        }
    }

    /// Settles the changes in `ino` (a directory), its creation, and all that these stand on.
    fn sync_strictly(&mut self, ino: Ino, is_directory: bool) {
        let mut names: HashSet<Name> = HashSet::new();
        let mut births = HashSet::from([ino]);
        let mut chosen = vec![false; self.queue.len()];
        for (index, change) in self.queue.iter().enumerate().rev() {
            let inside = is_directory && change.names().iter().any(|(dir, _)| *dir == ino);
            let underlies = change.names().iter().any(|name| names.contains(*name));
            let born = change.creates().is_some_and(|ino| births.contains(&ino));
            if inside || underlies || born {
                chosen[index] = true;
                births.extend(change.inos());
                for name in change.names() {
                    births.insert(name.0);
                    names.insert(name.clone());
                }
            }
        }
        self.settle_chosen(&chosen);
    }

    /// The power goes: chooses what of the queue survives, and forgets the rest. The tree as seen is void afterwards.
    pub(crate) fn cut(&mut self, chance: &mut Seeded) -> NameFate {
        let count = self.queue.len();
        let mut fate = NameFate { at_stake: count as u64, kept: 0 };
        let mercy = chance.below(4);
        let until = chance.index(count + 1);
        let (mut lost_names, mut lost_births) = (HashSet::new(), HashSet::new());
        let mut chosen = vec![false; count];
        for (index, change) in self.queue.iter().enumerate() {
            let spared = match (self.discipline, mercy) {
                (_, 0) => false,
                (_, 1) => true,
                (Discipline::Ordered, _) => index < until,
                (Discipline::Strict, 2) => chance.chance(1, 2),
                (Discipline::Strict, _) => chance.chance(7, 8),
            };
            let stands = change
                .names()
                .iter()
                .all(|name| !lost_names.contains(*name) && !lost_births.contains(&name.0))
                && change.inos().iter().all(|ino| !lost_births.contains(ino));
            chosen[index] = spared && stands;
            if !chosen[index] {
                lost_names.extend(change.names().into_iter().cloned());
                lost_births.extend(change.creates());
            }
        }
        fate.kept = chosen.iter().filter(|chosen| **chosen).count() as u64;
        self.settle_chosen(&chosen);
        for change in std::mem::take(&mut self.queue) {
            self.settle(&change, false);
        }
        fate
    }

    /// No cut, an orderly end: all that is seen is durable.
    pub(crate) fn settle_all(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        for change in queue {
            self.settle(&change, true);
        }
    }

    fn settle_chosen(&mut self, chosen: &[bool]) {
        let queue = std::mem::take(&mut self.queue);
        for (change, chosen) in queue.into_iter().zip(chosen) {
            if *chosen {
                self.settle(&change, true);
            } else {
                self.queue.push(change);
            }
        }
    }

    /// Takes a change out of the queue's books, and into the durable tree if it `survives`.
    fn settle(&mut self, change: &Change, survives: bool) {
        if survives {
            match change {
                Change::Add { at, ino, .. } => self.place(at, *ino),
                Change::Remove { at, .. } => self.displace(at),
                Change::Move { from, to, ino } => {
                    self.displace(from);
                    self.place(to, *ino);
                }
                Change::Swap { one, other, inos } => {
                    self.place(one, inos.1);
                    self.place(other, inos.0);
                }
            }
        }
        for ino in change.inos() {
            if let Some(node) = self.nodes.get_mut(&ino) {
                node.queued = node.queued.saturating_sub(1);
                node.unborn &= change.creates() != Some(ino);
            }
            self.reap(ino);
        }
    }

    fn place(&mut self, at: &Name, ino: Ino) {
        let replaced = self.durable.entry(at.0).or_default().insert(at.1.clone(), ino);
        self.count_durable_link(ino, 1);
        if let Some(replaced) = replaced {
            self.count_durable_link(replaced, -1);
        }
    }

    fn displace(&mut self, at: &Name) {
        if let Some(ino) = self.durable.get_mut(&at.0).and_then(|entries| entries.remove(&at.1)) {
            self.count_durable_link(ino, -1);
        }
    }

    fn count_link(&mut self, ino: Ino, by: i32) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.links = node.links.saturating_add_signed(by);
        }
    }

    fn count_durable_link(&mut self, ino: Ino, by: i32) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.durable_links = node.durable_links.saturating_add_signed(by);
        }
        self.reap(ino);
    }

    /// Frees an inode that nothing can reach any more, on either side of a cut.
    pub(crate) fn reap(&mut self, ino: Ino) {
        let Some(node) = self.nodes.get(&ino) else { return };
        if node.links == 0 && node.durable_links == 0 && node.queued == 0 && node.handles == 0 {
            self.nodes.remove(&ino);
            self.seen.remove(&ino);
            self.durable.remove(&ino);
        }
    }

    /// Every regular file that is on the disk or seen, in the order of creation.
    pub(crate) fn files_mut(&mut self) -> Vec<(Ino, FileKind, &mut Content)> {
        let mut files: Vec<_> = self
            .nodes
            .iter_mut()
            .filter_map(|(ino, node)| match &mut node.body {
                Body::File(content) => Some((*ino, node.kind, content)),
                Body::Directory { .. } | Body::Symlink(_) => None,
            })
            .collect();
        files.sort_by_key(|(ino, ..)| *ino);
        files
    }
}

fn own((dir, name): (Ino, &OsStr)) -> Name {
    (dir, name.to_owned())
}

fn new_node(body: Body, mode: u32, owner: (u32, u32), kind: FileKind) -> Node {
    Node { body, mode, owner, kind, links: 0, durable_links: 0, queued: 0, unborn: false, handles: 0 }
}
