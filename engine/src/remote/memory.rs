//! A remote store in memory, with the flaws that a test gives it.

use super::{Listed, Remote};
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::unit::ByteCount;
use crate::{BoxFuture, Error, Result};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It takes a name twice.
    Overwrites,
    /// What is read has a bit flipped.
    Flips,
    ListsNothing,
    KeepsDeleted,
    /// It does not answer.
    Down,
    /// It answers to reads only.
    WritesFail,
    /// It deletes nothing.
    DeletesFail,
    /// It takes nothing of 2 MiB or more.
    RefusesLarge,
    /// It says of every name that it is taken.
    TakesNothing,
    /// It takes what it is sent, and its answer is lost: the request that is sent again finds the name taken.
    LosesAnswers,
    /// Its lists begin at the beginning, wherever they are to go on.
    ListsForEver,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Bytes, Timestamp)>,
    uploads: BTreeMap<String, (String, BTreeMap<usize, Bytes>)>,
    flaw: Option<Flaw>,
    gets: u64,
    puts: u64,
    begun: u64,
    /// Names that it does not delete.
    kept: BTreeSet<String>,
}

/// The store.
#[derive(Default)]
pub(crate) struct MemoryRemote {
    state: Mutex<State>,
    clock: Option<Arc<ManualClock>>,
}

impl MemoryRemote {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        Self { state: Mutex::default(), clock: Some(clock) }
    }

    pub(crate) fn set(&self, flaw: Option<Flaw>) {
        self.state.lock().flaw = flaw;
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state.lock().objects.keys().cloned().collect()
    }

    /// Parts of uploads that are neither completed nor aborted.
    pub(crate) fn parts_left(&self) -> usize {
        self.state.lock().uploads.values().map(|(_, parts)| parts.len()).sum()
    }

    /// Reads so far.
    pub(crate) fn gets(&self) -> u64 {
        self.state.lock().gets
    }

    /// Blobs' objects written in one piece so far.
    pub(crate) fn puts(&self) -> u64 {
        self.state.lock().puts
    }

    /// Deletes this name no more.
    pub(crate) fn keep(&self, name: &str) {
        self.state.lock().kept.insert(name.to_owned());
    }

    /// Changes the bytes of an object behind everybody's back.
    pub(crate) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state.lock();
        let object = state.objects.get_mut(name).unwrap();
        let mut bytes = object.0.to_vec();
        change(&mut bytes);
        object.0 = bytes.into();
    }

    /// The bytes of an object.
    pub(crate) fn body(&self, name: &str) -> Bytes {
        self.state.lock().objects[name].0.clone()
    }

    /// Takes an object away behind everybody's back.
    pub(crate) fn delete_behind(&self, name: &str) {
        self.state.lock().objects.remove(name).unwrap();
    }

    /// Puts an object there behind everybody's back.
    pub(crate) fn plant(&self, name: &str) {
        let now = self.now();
        self.state.lock().objects.insert(name.to_owned(), (Bytes::from_static(b"x"), now));
    }

    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or(Timestamp::from_millis(0), |clock| clock.now())
    }

    fn answer<T>(&self, writes: bool, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock();
        if state.flaw == Some(Flaw::Down) || (writes && state.flaw == Some(Flaw::WritesFail)) {
            return Err(refused("no answer"));
        }
        act(&mut state)
    }
}

fn refused(why: &str) -> Error {
    Error::Remote { op: "reach", place: "memory".to_owned(), reason: why.to_owned() }
}

fn missing(name: &str) -> Error {
    Error::NotFound { what: "remote object", id: name.to_owned() }
}

impl Remote for MemoryRemote {
    fn put<'a>(&'a self, name: &'a str, body: Vec<Bytes>) -> BoxFuture<'a, Result<()>> {
        let now = self.now();
        let outcome = self.answer(true, |state| {
            let body: Bytes = body.concat().into();
            if state.flaw == Some(Flaw::RefusesLarge) && body.len() >= 2 << 20 {
                return Err(refused("too large"));
            }
            let is_taken = state.objects.contains_key(name) && state.flaw != Some(Flaw::Overwrites);
            if is_taken || state.flaw == Some(Flaw::TakesNothing) {
                return Err(Error::Conflict { check: 0 });
            }
            state.puts += u64::from(name.starts_with("blobs/"));
            state.objects.insert(name.to_owned(), (body, now));
            if state.flaw == Some(Flaw::LosesAnswers) { Err(Error::Conflict { check: 0 }) } else { Ok(()) }
        });
        Box::pin(async { outcome })
    }

    fn begin<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String>> {
        let outcome = self.answer(true, |state| {
            state.begun += 1;
            let id = format!("upload {}", state.begun);
            state.uploads.insert(id.clone(), (name.to_owned(), BTreeMap::new()));
            Ok(id)
        });
        Box::pin(async { outcome })
    }

    fn part<'a>(
        &'a self,
        name: &'a str,
        upload: &'a str,
        index: usize,
        body: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<String>> {
        let outcome = self.answer(true, |state| {
            let (of, parts) = state.uploads.get_mut(upload).ok_or_else(|| missing(upload))?;
            assert_eq!(of, name);
            parts.insert(index, body.concat().into());
            Ok(index.to_string())
        });
        Box::pin(async { outcome })
    }

    fn complete<'a>(&'a self, name: &'a str, upload: &'a str, ids: Vec<String>) -> BoxFuture<'a, Result<()>> {
        let now = self.now();
        let outcome = self.answer(true, |state| {
            let (_, parts) = state.uploads.remove(upload).ok_or_else(|| missing(upload))?;
            assert!(parts.keys().map(ToString::to_string).eq(ids), "all parts, in order");
            let (last, before) =
                parts.values().collect::<Vec<_>>().split_last().map(|(l, b)| (*l, b.to_vec())).unwrap();
            assert!(before.iter().all(|part| part.len() >= 5 << 20) && !last.is_empty());
            let body: Vec<Bytes> = parts.into_values().collect();
            state.objects.insert(name.to_owned(), (body.concat().into(), now));
            Ok(())
        });
        Box::pin(async { outcome })
    }

    fn abort<'a>(&'a self, _name: &'a str, upload: &'a str) -> BoxFuture<'a, Result<()>> {
        let outcome = self.answer(true, |state| {
            if state.flaw == Some(Flaw::DeletesFail) {
                return Err(refused("no right to abort"));
            }
            state.uploads.remove(upload);
            Ok(())
        });
        Box::pin(async { outcome })
    }

    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> BoxFuture<'a, Result<Bytes>> {
        let outcome = self.answer(false, |state| {
            state.gets += 1;
            let body = state.objects.get(name).ok_or_else(|| missing(name))?.0.clone();
            let at = |at: u64| usize::try_from(at).unwrap().min(body.len());
            let part = body.slice(at(range.start)..at(range.end));
            if state.flaw == Some(Flaw::Flips) {
                let mut part = part.to_vec();
                part.iter_mut().take(200).for_each(|byte| *byte ^= 1);
                return Ok(part.into());
            }
            Ok(part)
        });
        Box::pin(async { outcome })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        let outcome = self.answer(true, |state| {
            if state.flaw == Some(Flaw::DeletesFail) || state.kept.contains(name) {
                return Err(refused("no right to delete"));
            }
            if state.flaw != Some(Flaw::KeepsDeleted) {
                state.objects.remove(name);
            }
            Ok(())
        });
        Box::pin(async { outcome })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Listed>>> {
        let outcome = self.answer(false, |state| {
            if state.flaw == Some(Flaw::ListsNothing) {
                return Ok(Vec::new());
            }
            let after = if state.flaw == Some(Flaw::ListsForEver) { "" } else { after };
            let all =
                state.objects.iter().filter(|(name, _)| name.starts_with(prefix) && name.as_str() > after);
            let listed = all.take(limit).map(|(name, (body, modified))| Listed {
                name: name.clone(),
                bytes: ByteCount::from(body.len()),
                modified: *modified,
            });
            Ok(listed.collect())
        });
        Box::pin(async { outcome })
    }
}
