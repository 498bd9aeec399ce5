//! Trails: which events go to which bucket. All of them are in memory too; a change is a commit, and then known there.

use super::damage::is_damage;
use super::deliver::{Destination, SinkError, StateRow};
use super::ending::Ending;
use super::error::{AuditError, Code, Result};
use super::row::{self, CutRow, Place, TrailId};
use super::selector::{Facets, Selectors};
use super::{Audit, Filters};
use crate::AccountId;
use engine::catalog::record::Record as _;
use engine::catalog::{Layout, Scan, Write};
use engine::clock::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Trails of an account.
const TRAILS_MAX: usize = 5;
/// Tags of a trail.
const TAGS_MAX: usize = 50;
/// Bytes of a prefix.
const PREFIX_MAX: usize = 200;
/// Bytes of a trail's selectors, as they are kept.
const SELECTORS_BYTES_MAX: usize = 48 << 10;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// An account, twelve digits in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account(AccountId);

impl Serialize for Account {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A trail as it is kept.
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the API's")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TrailRow {
    pub(super) id: TrailId,
    pub(super) account: Account,
    pub(super) name: String,
    pub(super) bucket: String,
    pub(super) prefix: Option<String>,
    pub(super) validates: bool,
    pub(super) is_multi_region: bool,
    pub(super) includes_global: bool,
    pub(super) is_logging: bool,
    /// Milliseconds since the epoch, as the two that follow.
    pub(super) created: i64,
    pub(super) started: Option<i64>,
    pub(super) stopped: Option<i64>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<i64>,
    pub(super) selectors: Selectors,
    pub(super) tags: Vec<Tag>,
}

impl TrailRow {
    pub(super) fn account(&self) -> AccountId {
        self.account.0
    }

    pub(super) fn arn(&self, region: &str) -> String {
        arn(region, self.account(), &self.name)
    }

    pub(super) fn key(&self) -> engine::catalog::Key {
        row::trail(self.account(), &self.name)
    }
}

fn arn(region: &str, account: AccountId, name: &str) -> String {
    format!("arn:aws:cloudtrail:{region}:{account}:trail/{name}")
}

/// What a trail takes.
pub(super) struct Filter {
    pub(super) id: TrailId,
    /// Its name and its ARN.
    names: [String; 2],
    /// It is stopped: that it was is the last that it takes.
    is_stopped: bool,
    /// It is deleted: that it was is the last that it takes.
    pub(super) is_ending: bool,
    includes_global: bool,
    selectors: Selectors,
}

impl Filter {
    fn new(trail: &TrailRow, region: &str) -> Self {
        Self {
            id: trail.id,
            names: [trail.name.clone(), trail.arn(region)],
            is_stopped: !trail.is_logging,
            is_ending: trail.ended.is_some(),
            includes_global: trail.includes_global,
            selectors: trail.selectors.clone(),
        }
    }

    pub(super) fn is_logging(&self) -> bool {
        !self.is_stopped
    }

    pub(super) fn takes_data(&self) -> bool {
        !self.is_stopped && self.selectors.take_data()
    }

    pub(super) fn takes(&self, event: &Facets<'_>) -> bool {
        if self.is_stopped {
            let last = if self.is_ending { "DeleteTrail" } else { "StopLogging" };
            return event.name == last
                && event.ends.is_some_and(|named| self.names.iter().any(|name| name == named));
        }
        let global = matches!(event.source, "iam.amazonaws.com" | "sts.amazonaws.com");
        event.is_own || ((self.includes_global || !global) && self.selectors.take_facets(event))
    }
}

/// A trail as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trail {
    /// What it is called.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Where its files go.
    pub bucket: String,
    /// What their keys begin with.
    pub prefix: Option<String>,
    /// Whether there are digests.
    pub validates: bool,
    /// As it was said; an appliance has one region.
    pub is_multi_region: bool,
    /// Events of IAM and STS too.
    pub includes_global: bool,
    /// What it takes.
    pub selectors: Selectors,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What becomes of a trail's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Events are taken.
    pub is_logging: bool,
    /// Since when, and until when before.
    pub started: Option<Timestamp>,
    /// When it was stopped last.
    pub stopped: Option<Timestamp>,
    /// The last file.
    pub delivered: Option<Timestamp>,
    /// When one was tried last.
    pub attempted: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// The last digest.
    pub digested: Option<Timestamp>,
    /// Why the last attempt at one failed.
    pub digest_error: Option<String>,
}

/// A trail to be.
#[derive(Clone, Debug, Default)]
pub struct NewTrail<'a> {
    /// What it is to be called.
    pub name: &'a str,
    /// Where its files go.
    pub bucket: &'a str,
    /// What their keys begin with.
    pub prefix: Option<&'a str>,
    /// Whether there are digests.
    pub validates: bool,
    /// Of all regions.
    pub is_multi_region: bool,
    /// Events of IAM and STS too.
    pub includes_global: bool,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// What changes of a trail.
#[derive(Clone, Debug, Default)]
pub struct TrailUpdate<'a> {
    /// Where its files go.
    pub bucket: Option<&'a str>,
    /// What their keys begin with; an empty one is none.
    pub prefix: Option<&'a str>,
    /// Whether there are digests.
    pub validates: Option<bool>,
    /// Of all regions.
    pub is_multi_region: Option<bool>,
    /// Events of IAM and STS too.
    pub includes_global: Option<bool>,
}

/// Source: "Naming requirements" of the user guide.
fn check_name(name: &str) -> Result<()> {
    let refused = |message: String| Err(AuditError::new(Code::InvalidTrailName, message));
    if !(3..=128).contains(&name.len()) {
        return refused("Trail name must be between 3 and 128 characters.".to_owned());
    }
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let ends = [name.bytes().next(), name.bytes().last()];
    let marks = |pair: &[u8]| pair.iter().all(|byte| b"._-".contains(byte));
    if !name.bytes().all(is_good)
        || ends.into_iter().flatten().any(|byte| !byte.is_ascii_alphanumeric())
        || name.as_bytes().windows(2).any(marks)
        || name.parse::<std::net::Ipv4Addr>().is_ok()
    {
        return refused(
            "Trail names are letters, digits, periods, underscores and dashes, begin and end with a letter or a digit, have no two \
             marks side by side, and are no IP address."
                .to_owned(),
        );
    }
    Ok(())
}

fn check_prefix(prefix: Option<&str>) -> Result<Option<String>> {
    let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) else { return Ok(None) };
    let odd = prefix.bytes().any(|byte| byte.is_ascii_control())
        || prefix.starts_with('/')
        || prefix.ends_with('/');
    if prefix.len() > PREFIX_MAX || odd {
        let message = "A prefix has at most 200 bytes, no control characters, and no slash at its ends.";
        return Err(AuditError::new(Code::InvalidPrefix, message));
    }
    Ok(Some(prefix.to_owned()))
}

fn check_tags(tags: &[Tag]) -> Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(AuditError::new(Code::TooManyTags, "A trail has at most 50 tags."));
    }
    let mut keys: Vec<&str> = tags.iter().map(|tag| tag.key.as_str()).collect();
    keys.sort_unstable();
    let twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
    let odd =
        |tag: &Tag| tag.key.is_empty() || tag.key.chars().count() > 128 || tag.value.chars().count() > 256;
    if twice || tags.iter().any(odd) {
        let message = "Tags have keys of 1 to 128 characters, each once, and values of at most 256.";
        return Err(AuditError::new(Code::InvalidTag, message));
    }
    Ok(())
}

fn unknown(account: AccountId, named: &str) -> AuditError {
    AuditError::new(
        Code::NotFound,
        format!("Unknown trail: {} for the user: {account}", super::bounded(named)),
    )
}

/// A change, to its end, whatever becomes of who asked for it.
async fn whole<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.map_err(|_| AuditError::from(engine::Error::Closed))?
}

/// Whoever changes trails.
type Changing = tokio::sync::OwnedMutexGuard<()>;

impl Audit {
    async fn changing(&self) -> Changing {
        Arc::clone(&self.changing).lock_owned().await
    }

    /// Reads all trails. Before anything is kept. What can't be read is passed by, and told of.
    pub(super) async fn learn(&self) -> crate::Result<()> {
        let mut last = self.writing.lock().await;
        for (key, value) in self.rows(Scan::prefix(row::TRAILS, b"", 1_000), usize::MAX).await? {
            if let Ok(trail) = TrailRow::from_bytes(&value) {
                last.raise(self.last_planned(&trail).await?);
                self.trails.lock().insert((trail.account(), trail.name.clone()), Arc::new(trail));
                continue;
            }
            self.damaged.note("trail", &key);
            if let Ok((account, name)) = row::read_account(&key)
                && let Ok(name) = std::str::from_utf8(name)
            {
                self.unreadable.lock().insert((account, name.to_owned()));
            }
        }
        for (key, value) in self.rows(Scan::prefix(row::ENDING, b"", 1_000), usize::MAX).await? {
            if let Ok(trail) = TrailRow::from_bytes(&value) {
                last.raise(self.last_planned(&trail).await?);
                let id = (trail.account(), trail.id);
                self.ending.lock().insert(id, Ending { row: Arc::new(trail), heard: false });
                continue;
            }
            self.damaged.note("trail that ends", &key);
            let mut writes = vec![Write::Delete(row::ENDING.key(key.clone()))];
            if let Ok((account, id)) = row::read_trail(&key) {
                writes.push(Write::Delete(row::state(account, id)));
                writes.push(Write::Put(row::gone(account, id), bytes::Bytes::new()));
            }
            if let Err(error) = self.commit(Layout::TRAILS, writes).await {
                tracing::warn!(%error, "failed to let go of a trail that was deleted");
            }
        }
        for (key, value) in self.rows(Scan::prefix(row::CUTS, b"", 1_000), usize::MAX).await? {
            match (row::read_part(&key), CutRow::from_bytes(&value)) {
                (Ok(part), Ok(cut)) => {
                    self.cuts.lock().insert(part, cut);
                }
                _ => self.damaged.note("cut", &key),
            }
        }
        self.count().await?;
        drop(last);
        self.filter();
        self.taking().await
    }

    /// The last row of a trail's that is, or may be, in a file's plan.
    async fn last_planned(&self, trail: &TrailRow) -> crate::Result<Place> {
        let plan = match self.state(trail).await {
            Ok(state) => state.and_then(|state| state.plan),
            Err(error) if is_damage(&error) => None,
            Err(error) => return Err(error),
        };
        let planned = plan.and_then(|plan| Place::of_key(&hex::decode(&plan.through).ok()?).ok());
        if let Some(planned) = planned {
            return Ok(planned);
        }
        let prefix = row::of_trail(trail.account(), trail.id).finish();
        let scan = Scan { reverse: true, keys_only: true, ..Scan::prefix(row::QUEUE, &prefix, 1) };
        let last = self.rows(scan, 1).await?.pop();
        Ok(last.and_then(|(key, _)| Place::of_key(&key).ok()).unwrap_or(Place::FIRST))
    }

    /// Notes that data events are taken, and what a crash may have lost of them.
    async fn taking(&self) -> crate::Result<()> {
        if self.snapshot().await?.get(row::taking()).await?.is_some() {
            self.tell_of_a_crash();
        }
        if self.takes_data() {
            match self.commit(Layout::FIRST, vec![Write::Put(row::taking(), bytes::Bytes::new())]).await {
                // A start must serve reads and deletes from a full disk.
                Err(error @ engine::Error::Full { .. }) => {
                    tracing::warn!(%error, "failed to note that data events are recorded");
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// What trails take from now on.
    pub(super) fn filter(&self) {
        let mut filters: HashMap<AccountId, Vec<Filter>> = HashMap::new();
        // One at a time, from the look to what comes of it.
        let (trails, ending) = (self.trails.lock(), self.ending.lock());
        let ends = ending.values().filter(|ending| !ending.heard).map(|ending| &ending.row);
        for trail in trails.values().chain(ends).filter(|trail| trail.started.is_some()) {
            filters.entry(trail.account()).or_default().push(Filter::new(trail, &self.parts.region));
        }
        let data = filters.values().flatten().any(Filter::takes_data);
        self.filters.store(Arc::new(Filters(filters)));
        self.takes_data.store(data, Ordering::Release);
    }

    fn show(&self, trail: &TrailRow) -> Trail {
        Trail {
            name: trail.name.clone(),
            arn: trail.arn(&self.parts.region),
            bucket: trail.bucket.clone(),
            prefix: trail.prefix.clone(),
            validates: trail.validates,
            is_multi_region: trail.is_multi_region,
            includes_global: trail.includes_global,
            selectors: trail.selectors.clone(),
            tags: trail.tags.clone(),
        }
    }

    /// A trail's ARN by what it is called by: its name, or that ARN.
    pub fn trail_arn(&self, account: AccountId, named: &str) -> String {
        if named.starts_with("arn:") { named.to_owned() } else { arn(&self.parts.region, account, named) }
    }

    /// The name in what a trail is called by.
    fn name<'a>(&self, account: AccountId, named: &'a str) -> Result<&'a str> {
        let name = if named.starts_with("arn:") {
            let start = arn(&self.parts.region, account, "");
            named.strip_prefix(start.as_str()).ok_or_else(|| unknown(account, named))?
        } else {
            named
        };
        check_name(name)?;
        Ok(name)
    }

    fn find(&self, account: AccountId, named: &str) -> Result<Arc<TrailRow>> {
        let name = self.name(account, named)?;
        let key = (account, name.to_owned());
        if self.unreadable.lock().contains(&key) {
            let message = format!("Trail {name} can not be read. Delete it and make it again.");
            return Err(AuditError::new(Code::Internal, message));
        }
        self.trails.lock().get(&key).cloned().ok_or_else(|| unknown(account, named))
    }

    /// A trail, by its name or its ARN.
    pub fn trail(&self, account: AccountId, named: &str) -> Result<Trail> {
        Ok(self.show(&*self.find(account, named)?))
    }

    /// All of an account's.
    pub fn trails(&self, account: AccountId) -> Vec<Trail> {
        let trails = self.trails.lock();
        let own = trails.values().filter(|trail| trail.account() == account);
        own.map(|trail| self.show(trail)).collect()
    }

    async fn check_bucket(&self, trail: &TrailRow) -> Result<()> {
        let arn = trail.arn(&self.parts.region);
        let to = Destination {
            account: trail.account(),
            trail: &arn,
            bucket: &trail.bucket,
            key: &super::deliver::some_key(trail, &self.parts.region),
        };
        self.parts.sink.check(&to).await.map_err(|refused| match refused {
            SinkError::NoBucket => {
                let message = format!("S3 bucket {} does not exist!", super::bounded(&trail.bucket));
                AuditError::new(Code::NoBucket, message)
            }
            SinkError::NotAllowed(_) => {
                let message = format!("Incorrect S3 bucket policy is detected for bucket: {}", trail.bucket);
                AuditError::new(Code::InsufficientBucketPolicy, message)
            }
            SinkError::Later(error) => AuditError {
                cause: Some(crate::Error::Engine(engine::Error::Invalid(error))),
                ..AuditError::new(Code::Internal, "The bucket could not be looked at. Try again later.")
            },
        })
    }

    /// Makes a trail. It takes nothing until it is started.
    pub async fn create_trail(self: &Arc<Self>, account: AccountId, new: &NewTrail<'_>) -> Result<Trail> {
        check_name(new.name)?;
        check_tags(&new.tags)?;
        let prefix = check_prefix(new.prefix)?;
        let changing = self.changing().await;
        let row = TrailRow {
            id: engine::id::random_bytes(&*self.parts.entropy),
            account: Account(account),
            name: new.name.to_owned(),
            bucket: new.bucket.to_owned(),
            prefix,
            validates: new.validates,
            is_multi_region: new.is_multi_region,
            includes_global: new.includes_global,
            is_logging: false,
            created: self.now().as_millis(),
            started: None,
            stopped: None,
            ended: None,
            selectors: Selectors::default(),
            tags: new.tags.clone(),
        };
        {
            let trails = self.trails.lock();
            let (key, unreadable) = ((account, row.name.clone()), self.unreadable.lock());
            if trails.contains_key(&key) || unreadable.contains(&key) {
                let message = format!("Trail {} already exists for customer: {account}", row.name);
                return Err(AuditError::new(Code::Exists, message));
            }
            if trails.keys().chain(&*unreadable).filter(|(whose, _)| *whose == account).count() >= TRAILS_MAX
            {
                let message =
                    format!("User: {account} already has {TRAILS_MAX} trails in {}", self.parts.region);
                return Err(AuditError::new(Code::MaximumTrails, message));
            }
        }
        self.check_bucket(&row).await?;
        self.set(changing, row).await
    }

    /// Keeps a trail, as it is from now on.
    async fn set(self: &Arc<Self>, changing: Changing, row: TrailRow) -> Result<Trail> {
        let audit = Arc::clone(self);
        whole(async move {
            let _changing = changing;
            let mut writes = vec![Write::Put(row.key(), row.to_bytes())];
            if row.is_logging && row.selectors.take_data() {
                writes.push(Write::Put(row::taking(), bytes::Bytes::new()));
            }
            if let Err(error) = audit.commit(Layout::TRAILS, writes).await {
                audit.reread(&row).await;
                return Err(error.into());
            }
            let shown = audit.show(&row);
            audit.trails.lock().insert((row.account(), row.name.clone()), Arc::new(row));
            audit.filter();
            audit.trail_bell.notify_one();
            Ok(shown)
        })
        .await
    }

    /// Memory is to say what the rows of a trail say, whatever came of a change.
    pub(super) async fn reread(&self, trail: &TrailRow) {
        let (account, id) = (trail.account(), trail.id);
        let read = async {
            let snapshot = self.snapshot().await?;
            let rows = snapshot.multi_get(vec![trail.key(), row::ending(account, id)]).await?;
            let mut rows = rows.into_iter().map(|row| row.map(|row| TrailRow::from_bytes(&row)).transpose());
            let mut next = || rows.next().unwrap_or(Ok(None));
            Ok::<_, engine::Error>((next()?, next()?))
        };
        match read.await {
            Ok((there, ending)) => {
                let key = (account, trail.name.clone());
                match there {
                    Some(row) => self.trails.lock().insert(key, Arc::new(row)),
                    None => self.trails.lock().remove(&key),
                };
                match ending {
                    Some(row) => {
                        let ending = Ending { row: Arc::new(row), heard: false };
                        self.ending.lock().insert((account, id), ending);
                    }
                    None => drop(self.ending.lock().remove(&(account, id))),
                }
                self.filter();
                self.trail_bell.notify_one();
            }
            Err(error) => {
                tracing::error!(%error, "failed to read a trail again whose change may have passed");
            }
        }
    }

    async fn change(
        self: &Arc<Self>,
        (account, named): (AccountId, &str),
        change: impl FnOnce(&mut TrailRow) -> Result<()>,
    ) -> Result<Trail> {
        let changing = self.changing().await;
        let mut row = TrailRow::clone(&*self.find(account, named)?);
        change(&mut row)?;
        self.set(changing, row).await
    }

    /// Changes a trail.
    pub async fn update_trail(
        self: &Arc<Self>,
        account: AccountId,
        named: &str,
        update: &TrailUpdate<'_>,
    ) -> Result<Trail> {
        let changing = self.changing().await;
        let mut row = TrailRow::clone(&*self.find(account, named)?);
        if let Some(bucket) = update.bucket {
            bucket.clone_into(&mut row.bucket);
        }
        if update.prefix.is_some() {
            row.prefix = check_prefix(update.prefix)?;
        }
        row.validates = update.validates.unwrap_or(row.validates);
        row.is_multi_region = update.is_multi_region.unwrap_or(row.is_multi_region);
        row.includes_global = update.includes_global.unwrap_or(row.includes_global);
        self.check_bucket(&row).await?;
        self.set(changing, row).await
    }

    /// Ends a trail. What waits for it is delivered, and that it was deleted last of all; its files stay.
    pub async fn delete_trail(self: &Arc<Self>, account: AccountId, named: &str) -> Result<()> {
        let changing = self.changing().await;
        let (audit, name) = (Arc::clone(self), self.name(account, named)?.to_owned());
        let is_unreadable = self.unreadable.lock().contains(&(account, name.clone()));
        let row = if is_unreadable { None } else { Some(self.find(account, named)?) };
        whole(async move {
            let _changing = changing;
            match row {
                Some(row) => audit.end(&row, TRAILS_MAX).await?,
                None => audit.end_unreadable(account, &name).await?,
            }
            Ok(())
        })
        .await
    }

    /// Begins to take events.
    pub async fn start_logging(self: &Arc<Self>, account: AccountId, named: &str) -> Result<()> {
        let now = self.now().as_millis();
        let change = |row: &mut TrailRow| {
            if !row.is_logging {
                (row.is_logging, row.started) = (true, Some(now));
            }
            Ok(())
        };
        self.change((account, named), change).await.map(drop)
    }

    /// Takes no more.
    pub async fn stop_logging(self: &Arc<Self>, account: AccountId, named: &str) -> Result<()> {
        let now = self.now().as_millis();
        let change = |row: &mut TrailRow| {
            if row.is_logging {
                (row.is_logging, row.stopped) = (false, Some(now));
            }
            Ok(())
        };
        self.change((account, named), change).await.map(drop)
    }

    /// Says which events a trail takes.
    pub async fn put_selectors(
        self: &Arc<Self>,
        account: AccountId,
        named: &str,
        selectors: Selectors,
    ) -> Result<Trail> {
        selectors.check()?;
        let length = serde_json::to_string(&selectors).map_or(usize::MAX, |text| text.len());
        if length > SELECTORS_BYTES_MAX {
            let message = "All selectors of a trail have at most 48 KiB.";
            return Err(AuditError::new(Code::InvalidEventSelectors, message));
        }
        let change = |row: &mut TrailRow| {
            row.selectors = selectors;
            Ok(())
        };
        self.change((account, named), change).await
    }

    /// Adds tags, or replaces them.
    pub async fn add_tags(self: &Arc<Self>, account: AccountId, named: &str, tags: Vec<Tag>) -> Result<()> {
        check_tags(&tags)?;
        let change = |row: &mut TrailRow| {
            row.tags.retain(|known| tags.iter().all(|tag| tag.key != known.key));
            row.tags.extend(tags);
            check_tags(&row.tags)
        };
        self.change((account, named), change).await.map(drop)
    }

    /// Takes tags away.
    pub async fn remove_tags(self: &Arc<Self>, account: AccountId, named: &str, keys: &[&str]) -> Result<()> {
        let change = |row: &mut TrailRow| {
            row.tags.retain(|known| !keys.contains(&known.key.as_str()));
            Ok(())
        };
        self.change((account, named), change).await.map(drop)
    }

    /// What becomes of a trail's events.
    pub async fn trail_status(&self, account: AccountId, named: &str) -> Result<Status> {
        let row = self.find(account, named)?;
        let state = self.state(&row).await?.unwrap_or_default();
        let at = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        let StateRow { delivered, attempted, error, digested, digest_error, .. } = state;
        Ok(Status {
            is_logging: row.is_logging,
            started: at(row.started),
            stopped: at(row.stopped),
            delivered: at(delivered),
            attempted: at(attempted),
            error,
            digested: at(digested),
            digest_error,
        })
    }
}
