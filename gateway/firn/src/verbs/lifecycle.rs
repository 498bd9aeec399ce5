//! `firn lifecycle`: rules of a bucket, what they would do, when, why and for how much.

use super::cost::exact;
use super::door;
use super::lifecycle_document::to_xml;
use crate::cli::{
    self, Connected, LifecycleExplain, LifecyclePreview, LifecycleRun, LifecycleSet, LifecycleShow,
};
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::report::rows::{Row, Rows};
use crate::session::Session;
use crate::text::{counted, printable, quote_sh};
use anyhow::Context;
use client::LifecycleRule;
use engine::unit::ByteCount;
use objectstore::price::Money;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes of a file with rules.
const FILE_MAX: u64 = 1 << 20;
const PATH: &str = "/v1/lifecycle";

pub(super) async fn run(session: &Session, args: cli::Lifecycle) -> anyhow::Result<Exit> {
    match args {
        cli::Lifecycle::Set(verb) => set(&session.to(verb.connection.clone()), &verb).await,
        cli::Lifecycle::Show(verb) => show(&session.to(verb.connection.clone()), &verb).await,
        cli::Lifecycle::Rm(verb) => remove(&session.to(verb.connection.clone()), &verb).await,
        cli::Lifecycle::Preview(args) => preview(session, &args).await,
        cli::Lifecycle::Explain(args) => explain(session, &args).await,
        cli::Lifecycle::Run(args) => run_now(session, &args).await,
    }
}

/// The document that a file holds, in S3's XML.
fn document(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(FILE_MAX + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(FILE_MAX + 1).read_to_string(&mut text))
    };
    read.with_context(|| format!("read rules from {}", file.display()))?;
    if text.len() as u64 > FILE_MAX {
        return Err(Failure::usage("read rules: the file has more than 1 MiB").into());
    }
    if text.trim_start().starts_with('<') {
        return Ok(text);
    }
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("read rules: neither XML nor JSON ({error})")))?;
    to_xml(&json).map_err(|why| Failure::usage(format!("read rules: {why}")).into())
}

/// A rule as it is set.
#[derive(Debug, Serialize)]
struct Rule {
    id: String,
    enabled: bool,
    prefix: String,
    tags: BTreeMap<String, String>,
    larger_than_bytes: Option<u64>,
    smaller_than_bytes: Option<u64>,
    actions: Vec<Action>,
}

/// What it does.
#[derive(Debug, Serialize)]
struct Action {
    action: String,
    #[serde(flatten)]
    parameters: BTreeMap<String, Value>,
}

/// `NoncurrentDays` is `noncurrent_days`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A number or a truth where it is one.
fn value(text: String) -> Value {
    match (text.parse::<u64>(), text.as_str()) {
        (Ok(number), _) if number.to_string() == text => number.into(),
        (_, "true") => true.into(),
        (_, "false") => false.into(),
        _ => text.into(),
    }
}

impl From<LifecycleRule> for Rule {
    fn from(rule: LifecycleRule) -> Self {
        let actions = rule.actions.into_iter().map(|(action, parameters)| Action {
            action: snake(&action),
            parameters: parameters.into_iter().map(|(name, text)| (snake(&name), value(text))).collect(),
        });
        Self {
            id: rule.id,
            enabled: rule.enabled,
            prefix: rule.prefix,
            tags: rule.tags.into_iter().collect(),
            larger_than_bytes: rule.larger,
            smaller_than_bytes: rule.smaller,
            actions: actions.collect(),
        }
    }
}

impl Row for Rule {
    const NONE: &'static str = "no lifecycle rules";

    fn line(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = if self.enabled { "on" } else { "off" };
        write!(out, "{state:3} {}", printable(&self.id))?;
        let mut about = vec![format!("{:?}", printable(&self.prefix))];
        about.extend(self.tags.iter().map(|(key, value)| printable(&format!("{key}={value}"))));
        about.extend(self.larger_than_bytes.map(|size| format!("more than {}", ByteCount::new(size))));
        about.extend(self.smaller_than_bytes.map(|size| format!("less than {}", ByteCount::new(size))));
        write!(out, "  of {}:", about.join(", "))?;
        for action in &self.actions {
            write!(out, " {}", action.action.replace('_', " "))?;
            let said = action.parameters.iter();
            let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let said: Vec<_> =
                said.map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value))).collect();
            write!(out, " ({})", printable(&said.join(", ")))?;
        }
        Ok(())
    }
}

async fn rules(session: &Session, bucket: &str) -> anyhow::Result<Rows<Rule>> {
    let rules = session.client()?.bucket_lifecycle(bucket).await?;
    Ok(Rows(rules.unwrap_or_default().into_iter().map(Rule::from).collect()))
}

async fn set(session: &Session, verb: &Connected<LifecycleSet>) -> anyhow::Result<Exit> {
    let bucket = verb.args.bucket.name()?;
    session.client()?.set_bucket_lifecycle(bucket, document(&verb.args.file)?).await?;
    session.output.print(&rules(session, bucket).await?)
}

async fn show(session: &Session, verb: &Connected<LifecycleShow>) -> anyhow::Result<Exit> {
    session.output.print(&rules(session, verb.args.bucket.name()?).await?)
}

#[derive(Debug, Serialize)]
struct Removed {
    bucket: String,
}

impl Report for Removed {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "removed the lifecycle rules of s3://{}", printable(&self.bucket))
    }
}

async fn remove(session: &Session, verb: &Connected<LifecycleShow>) -> anyhow::Result<Exit> {
    let bucket = verb.args.bucket.name()?.to_owned();
    session.client()?.remove_bucket_lifecycle(&bucket).await?;
    session.output.print(&Removed { bucket })
}

/// What a rule would do at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PreviewRow {
    at: String,
    rule: String,
    action: String,
    /// To which class it moves.
    #[serde(default)]
    class: Option<String>,
    count: u64,
    bytes: u64,
    freed_bytes: u64,
    #[serde(flatten)]
    cost: Costs,
}

/// What is done costs; nothing where a server says nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Costs {
    #[serde(deserialize_with = "exact")]
    transition_requests: Money,
    #[serde(deserialize_with = "exact")]
    early_deletion: Money,
    #[serde(deserialize_with = "exact")]
    monthly_before: Money,
    #[serde(deserialize_with = "exact")]
    monthly_after: Money,
    #[serde(skip_deserializing)]
    monthly_saving: Money,
}

impl Costs {
    fn add(&mut self, other: Self) {
        self.transition_requests += other.transition_requests;
        self.early_deletion += other.early_deletion;
        self.monthly_before += other.monthly_before;
        self.monthly_after += other.monthly_after;
        self.monthly_saving = self.monthly_before - self.monthly_after;
    }

    fn once(&self) -> Money {
        self.transition_requests + self.early_deletion
    }
}

/// Rows by when, rule, action and class.
type PreviewRows = BTreeMap<(String, String, String, Option<String>), PreviewRow>;

fn in_order<S: Serializer>(rows: &PreviewRows, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(rows.values())
}

/// What rules would do.
#[derive(Debug, Default, Serialize)]
struct Preview {
    bucket: String,
    as_of: String,
    #[serde(serialize_with = "in_order")]
    rows: PreviewRows,
    count: u64,
    freed_bytes: u64,
    /// What amounts are called; `None`: the server says no amounts.
    currency: Option<String>,
    transition_requests: Money,
    early_deletion: Money,
    /// From then on, of all together.
    monthly_saving: Money,
    seen: u64,
    left_out: Vec<String>,
    /// Those of them with damage.
    damaged: BTreeSet<String>,
    walking_since: Option<String>,
}

impl Preview {
    /// Takes a page in: sums of one moment, rule and action come together.
    fn add(&mut self, rows: Vec<PreviewRow>) {
        for mut row in rows {
            row.cost.add(Costs::default());
            self.count += row.count;
            self.freed_bytes += row.freed_bytes;
            self.transition_requests += row.cost.transition_requests;
            self.early_deletion += row.cost.early_deletion;
            self.monthly_saving += row.cost.monthly_saving;
            match self.rows.entry((row.at.clone(), row.rule.clone(), row.action.clone(), row.class.clone())) {
                Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.count += row.count;
                    known.bytes += row.bytes;
                    known.freed_bytes += row.freed_bytes;
                    known.cost.add(row.cost);
                }
                Entry::Vacant(place) => {
                    place.insert(row);
                }
            }
        }
    }
}

/// An action in words.
fn words(action: &str) -> &str {
    match action {
        "expire" => "expire",
        "remove_noncurrent" => "remove noncurrent",
        "remove_marker" => "remove marker",
        "abort_upload" => "give up upload",
        "transition" => "move",
        other => other,
    }
}

/// The same, with the class that it moves to.
fn done_to(action: &str, class: Option<&str>) -> String {
    match class {
        Some(class) => format!("{} to {}", words(action), printable(class)),
        None => words(action).to_owned(),
    }
}

/// What is saved, or costs more.
fn by_month(saving: Money) -> String {
    if saving < Money::ZERO {
        format!("{} a month more", (-saving).short())
    } else {
        format!("{} a month less", saving.short())
    }
}

/// The day and time of a moment, without the rest of a midnight.
fn moment(text: &str) -> &str {
    text.strip_suffix("T00:00:00.000Z").unwrap_or(text)
}

impl Report for Preview {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let currency = self.currency.as_deref().map(printable).filter(|_| !self.rows.is_empty());
        if let Some(currency) = &currency {
            let (once, saved) = (format!("{currency} once"), "saved/month");
            let [at, what, count, size] = ["when", "what", "count", "size"];
            writeln!(out, "{at:24} {what:27} {count:>10} {size:>10} {once:>13} {saved:>13}  rule")?;
        }
        for row in self.rows.values() {
            let (at, size) = (moment(&row.at), ByteCount::new(row.bytes));
            let what = done_to(&row.action, row.class.as_deref());
            write!(out, "{at:24} {what:27} {:>10} {size:>10}", row.count)?;
            if currency.is_some() {
                let (once, saved) = (row.cost.once().short(), row.cost.monthly_saving.short());
                write!(out, " {once:>13} {saved:>13}")?;
            }
            writeln!(out, "  {}", printable(&row.rule))?;
        }
        let bucket = printable(&self.bucket);
        let (until, freed) = (moment(&self.as_of), ByteCount::new(self.freed_bytes));
        match self.count {
            0 => writeln!(out, "nothing would be done in s3://{bucket} until {until}")?,
            count => {
                let count = counted(count, "action", "actions");
                writeln!(out, "{count} in s3://{bucket} until {until}, {freed} freed")?;
            }
        }
        if let Some(currency) = currency {
            let once = (self.transition_requests + self.early_deletion).short();
            let (requests, early) = (self.transition_requests.short(), self.early_deletion.short());
            let monthly = by_month(self.monthly_saving);
            writeln!(
                out,
                "{currency} {once} once (transition requests {requests}, early deletion {early}); then {monthly}"
            )?;
            if self.early_deletion != Money::ZERO {
                writeln!(
                    out,
                    "early deletion is at the least that: what was moved before counts from when it was written"
                )?;
            }
        }
        for key in &self.left_out {
            let why = if self.damaged.contains(key) {
                "a version or an upload of it is damaged"
            } else {
                "it has more than 10000 versions"
            };
            writeln!(out, "left out, for {why}: {}", printable(key))?;
        }
        if self.walking_since.is_some() {
            writeln!(
                out,
                "what was there before the rules is still being looked through: overdue actions may be later"
            )?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        if self.left_out.is_empty() { Exit::Ok } else { Exit::Partial }
    }
}

/// What the admin door says is not there, by its name, and what to do about it.
fn not_found(error: anyhow::Error, bucket: &str, key: Option<&str>) -> anyhow::Error {
    let failure = match error.downcast::<Failure>() {
        Ok(failure) if failure.exit == Exit::NotFound && failure.hint.is_none() => failure,
        Ok(failure) => return failure.into(),
        Err(error) => return error,
    };
    let place = format!("s3://{bucket}");
    let (what, hint) = match key {
        _ if failure.text.starts_with("find lifecycle rules") => (
            format!("find lifecycle rules of {place}: it has none"),
            format!("set some: firn lifecycle set {} FILE", quote_sh(&place)),
        ),
        Some(key) if failure.text.starts_with("find the key") => {
            let parent = key.rfind('/').map_or("", |at| &key[..=at]);
            let parent = quote_sh(&format!("{place}/{parent}"));
            (format!("find {place}/{key}"), format!("see what is there: firn ls --versions {parent}"))
        }
        _ => (format!("find the bucket {place}"), "see which there are: firn ls".to_owned()),
    };
    Failure::new(Exit::NotFound, what).hint(hint).into()
}

/// A document that the admin door does not take, in its own words.
fn refused_rules(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<client::Error>() {
        Some(client::Error::Service(said)) if said.status == 400 => {
            Failure::usage(format!("use the rules: {}", said.message)).into()
        }
        _ => error,
    }
}

async fn preview(session: &Session, args: &LifecyclePreview) -> anyhow::Result<Exit> {
    let bucket = args.bucket.name()?;
    let rules = args.rules.as_deref().map(document).transpose()?;
    let admin = session.admin(&args.admin.dir())?;
    let as_of = crate::report::time::json_time(Some(args.as_of)).unwrap_or_default();
    let mut preview = Preview { bucket: bucket.to_owned(), as_of, ..Preview::default() };
    let (mut from, mut after) = (Value::Null, Value::Null);
    loop {
        let request = json!({
            "action": "preview",
            "bucket": bucket,
            "until_ms": args.as_of.as_millis(),
            "from_ms": from,
            "rules": rules,
            "after": after,
        });
        let answer = door::post(&admin, PATH, &request).await;
        let mut page = answer.map_err(|error| {
            let error = not_found(error, bucket, None);
            if rules.is_some() { refused_rules(error) } else { error }
        })?;
        let understood = "understand the admin door";
        preview.add(serde_json::from_value(page["rows"].take()).context(understood)?);
        let left_out: Vec<String> = serde_json::from_value(page["left_out"].take()).context(understood)?;
        preview.left_out.extend(left_out);
        let damaged: Vec<String> = serde_json::from_value(page["damaged"].take()).context(understood)?;
        preview.damaged.extend(damaged);
        preview.currency = page["currency"].as_str().map(str::to_owned);
        preview.seen += page["seen"].as_u64().unwrap_or_default();
        preview.walking_since = page["walking_since"].as_str().map(str::to_owned);
        (from, after) = (page["from_ms"].take(), page["after"].take());
        if after.is_null() {
            return session.output.print(&preview);
        }
    }
}

/// What the rules say of a key, as the admin door has it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Explained(Value);

fn why(reason: &str) -> &str {
    match reason {
        "disabled" => "the rule is switched off",
        "other_prefix" => "the key does not begin with the rule's prefix",
        "other_tags" => "it lacks a tag that the rule asks for",
        "other_size" => "its size is not what the rule asks for",
        "no_action" => "the rule has no action for this",
        "hides_versions" => "the marker still hides versions",
        "kept" => "it is among the noncurrent versions that the rule keeps",
        "in_class" => "it is in the rule's class, or in one from which none of the rule's can be reached",
        "too_small" => "it is smaller than 128 KiB, and the rule names no size",
        "on_hold" => "a legal hold is on it, or its lock is not known",
        other => other,
    }
}

impl Report for Explained {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let text = |value: &Value| value.as_str().map(printable).unwrap_or_default();
        writeln!(out, "s3://{}/{}", text(&self.0["bucket"]), text(&self.0["key"]))?;
        for version in self.0["versions"].as_array().into_iter().flatten() {
            let kind = match (version["place"].as_str(), version["delete_marker"].as_bool()) {
                (Some(place), Some(true)) => format!("{place} delete marker"),
                (Some("upload"), _) => "upload".to_owned(),
                (place, _) => format!("{} version", place.unwrap_or_default()),
            };
            write!(out, "{kind} {} of {}", text(&version["version_id"]), text(&version["modified"]))?;
            if let Some(since) = version["noncurrent_since"].as_str() {
                write!(out, ", noncurrent since {since}")?;
            }
            if let Some(until) = version["retain_until"].as_str() {
                write!(out, ", retained until {until}")?;
            }
            writeln!(out)?;
            let acts = &version["acts"];
            if acts.is_null() {
                writeln!(out, "  no rule acts on it")?;
            }
            for rule in version["rules"].as_array().into_iter().flatten() {
                let name = text(&rule["rule"]);
                if let Some(reason) = rule["why_not"].as_str() {
                    writeln!(out, "  {name}: not, for {}", why(reason))?;
                } else {
                    let (at, action) = (text(&rule["at"]), text(&rule["action"]));
                    let first = if rule == acts { "acts" } else { "would, were it the only one" };
                    let what = done_to(&action, rule["class"].as_str());
                    writeln!(out, "  {name}: {first}: {what} on {}", moment(&at))?;
                    if rule == acts && !version["cost"].is_null() {
                        let cost = &version["cost"];
                        let [currency, requests, early, before, after] = [
                            "currency",
                            "transition_requests",
                            "early_deletion",
                            "monthly_before",
                            "monthly_after",
                        ]
                        .map(|name| text(&cost[name]));
                        writeln!(
                            out,
                            "    {currency} {requests} once, {early} for early deletion; a month {before} before, {after} after"
                        )?;
                    }
                }
            }
        }
        if self.0["more"] == true {
            writeln!(out, "there are more, which are older")?;
        }
        if !self.0["walking_since"].is_null() {
            writeln!(out, "what was there before the rules is still being looked through: it may be later")?;
        }
        Ok(())
    }
}

async fn explain(session: &Session, args: &LifecycleExplain) -> anyhow::Result<Exit> {
    let key = args.object.require_key()?;
    let request = json!({ "action": "explain", "bucket": args.object.bucket, "key": key });
    let answer = door::post(&session.admin(&args.admin.dir())?, PATH, &request).await;
    let answer = answer.map_err(|error| not_found(error, &args.object.bucket, Some(key)))?;
    session.output.print(&Explained(answer))
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Done {
    bucket: String,
    expired: u64,
    noncurrent: u64,
    markers: u64,
    uploads: u64,
    transitions: u64,
    freed_bytes: u64,
    moved_bytes: u64,
    walked: u64,
}

impl Report for Done {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let parts = [
            counted(self.expired, "object expired", "objects expired"),
            counted(self.noncurrent, "noncurrent version removed", "noncurrent versions removed"),
            counted(self.markers, "delete marker removed", "delete markers removed"),
            counted(self.uploads, "upload given up", "uploads given up"),
            counted(self.transitions, "version moved", "versions moved"),
        ];
        let (freed, moved) = (ByteCount::new(self.freed_bytes), ByteCount::new(self.moved_bytes));
        writeln!(out, "s3://{}: {}; {freed} freed, {moved} moved", printable(&self.bucket), parts.join(", "))
    }
}

async fn run_now(session: &Session, args: &LifecycleRun) -> anyhow::Result<Exit> {
    let bucket = args.bucket.name()?;
    let admin = session.admin(&args.admin.dir())?;
    let request = json!({ "action": "run", "bucket": bucket });
    let mut all = Done { bucket: bucket.to_owned(), ..Done::default() };
    loop {
        let answer = door::post(&admin, PATH, &request).await;
        let answer = answer.map_err(|error| not_found(error, bucket, None))?;
        let number = |name: &str| answer["done"][name].as_u64().unwrap_or_default();
        all.expired += number("expired");
        all.noncurrent += number("noncurrent");
        all.markers += number("markers");
        all.uploads += number("uploads");
        all.transitions += number("transitions");
        all.moved_bytes += number("moved_bytes");
        all.freed_bytes += number("bytes");
        all.walked = answer["walked"].as_u64().unwrap_or_default();
        if answer["more"] != true {
            return session.output.print(&all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Costs, Explained, Preview, PreviewRow, Rows, Rule};
    use crate::exit::Exit;
    use crate::report::{Report, render};
    use client::LifecycleRule;
    use serde_json::json;

    fn lines(report: &impl Report) -> Vec<String> {
        let mut text = Vec::new();
        render(report, false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_rule_is_a_line_for_people() {
        let rule = LifecycleRule {
            id: "old\u{1b}".to_owned(),
            enabled: true,
            prefix: "logs/".to_owned(),
            tags: vec![("a".to_owned(), "b".to_owned())],
            larger: Some(1024),
            actions: vec![(
                "NoncurrentVersionExpiration".to_owned(),
                vec![("NoncurrentDays".to_owned(), "3".to_owned())],
            )],
            ..LifecycleRule::default()
        };
        let rules = Rows(vec![Rule::from(rule)]);
        assert_eq!(
            lines(&rules),
            [
                r#"on old\u{1b} of "logs/", a=b, more than 1.0 KiB: noncurrent version expiration (noncurrent days 3)"#
            ]
        );
        let json = serde_json::to_value(&rules).unwrap();
        assert_eq!(json[0]["actions"][0]["noncurrent_days"], 3);
        let texts = ["007", "true", "2030-01-01T00:00:00Z"].map(|text| super::value(text.to_owned()));
        assert_eq!(texts, [json!("007"), json!(true), json!("2030-01-01T00:00:00Z")]);
        assert_eq!(lines(&Rows::<Rule>(Vec::new())), ["no lifecycle rules"]);
    }

    #[test]
    fn pages_of_a_preview_come_together_by_day_and_rule() {
        let row = |at: &str, rule: &str, count| PreviewRow {
            at: format!("{at}T00:00:00.000Z"),
            rule: rule.to_owned(),
            action: "expire".to_owned(),
            class: None,
            count,
            bytes: 2048 * count,
            freed_bytes: 0,
            cost: Costs::default(),
        };
        let mut preview = Preview {
            bucket: "b".to_owned(),
            as_of: "2027-01-31T00:00:00.000Z".to_owned(),
            ..Preview::default()
        };
        assert_eq!(lines(&preview), ["nothing would be done in s3://b until 2027-01-31"]);
        preview.add(vec![row("2027-01-03", "a", 1), row("2027-01-02", "b", 1)]);
        preview.add(vec![row("2027-01-03", "a", 2)]);
        assert_eq!(
            lines(&preview),
            [
                "2027-01-02 expire 1 2.0 KiB b",
                "2027-01-03 expire 3 6.0 KiB a",
                "4 actions in s3://b until 2027-01-31, 0 B freed"
            ]
        );
        preview.left_out = vec!["k".to_owned(), "d".to_owned()];
        preview.damaged = ["d".to_owned()].into();
        assert_eq!(preview.exit(), Exit::Partial);
        assert_eq!(
            lines(&preview)[3..],
            [
                "left out, for it has more than 10000 versions: k",
                "left out, for a version or an upload of it is damaged: d"
            ]
        );
        let json = serde_json::to_value(&preview).unwrap();
        assert_eq!((&json["rows"][1]["count"], json["rows"].as_array().unwrap().len()), (&3.into(), 2));
    }

    #[test]
    fn a_preview_speaks_money_by_day_and_class_and_adds_pages_up_to_the_last_digit() {
        use objectstore::StorageClass::{Glacier, Standard, StandardIa};
        use objectstore::price::Prices;
        let prices = Prices::default();
        // A thousand GB in as many objects, as the admin door has a page of them.
        let page = |at: &str, from, to: objectstore::StorageClass, days| {
            let mut cost = Costs::default();
            let deed = prices.moved(from, to, 1 << 30, days);
            for _ in 0..1_000 {
                cost.add(Costs {
                    transition_requests: deed.transition_requests,
                    early_deletion: deed.early_deletion,
                    monthly_before: deed.monthly_before,
                    monthly_after: deed.monthly_after,
                    monthly_saving: objectstore::price::Money::ZERO,
                });
            }
            json!([{
                "at": format!("{at}T00:00:00.000Z"), "rule": "old", "action": "transition", "class": to.as_str(),
                "count": 1_000, "bytes": 1_000_u64 << 30, "freed_bytes": 0,
                "transition_requests": cost.transition_requests.exact(), "early_deletion": cost.early_deletion.exact(),
                "monthly_before": cost.monthly_before.exact(), "monthly_after": cost.monthly_after.exact(),
            }])
        };
        let mut preview = Preview {
            bucket: "b".to_owned(),
            as_of: "2027-01-31T00:00:00.000Z".to_owned(),
            currency: Some("USD".to_owned()),
            ..Preview::default()
        };
        for (at, from, to, days) in [
            ("2027-01-02", Standard, StandardIa, 0),
            ("2027-01-02", Standard, StandardIa, 0),
            ("2027-01-12", StandardIa, Glacier, 10),
        ] {
            preview.add(serde_json::from_value(page(at, from, to, days)).unwrap());
        }
        // 2 × 0.01 and 2 × 10.50; 0.03, 20/30 × 12.50 and 12.50 - 3.60 - what is beside each object.
        assert_eq!(
            lines(&preview),
            [
                "when what count size USD once saved/month rule",
                "2027-01-02 move to STANDARD_IA 2000 1.9 TiB 0.02 21.00 old",
                "2027-01-12 move to GLACIER 1000 1000.0 GiB 8.36 8.90 old",
                "3000 actions in s3://b until 2027-01-31, 0 B freed",
                "USD 8.38 once (transition requests 0.05, early deletion 8.33); then 29.90 a month less",
                "early deletion is at the least that: what was moved before counts from when it was written",
            ]
        );
        let json = serde_json::to_value(&preview).unwrap();
        let first = &json["rows"][0];
        let said =
            ["transition_requests", "early_deletion", "monthly_before", "monthly_after", "monthly_saving"]
                .map(|name| first[name].as_str().unwrap());
        assert_eq!(said, ["0.02", "0.00", "46.00", "25.00", "21.00"]);
        assert_eq!((&json["currency"], &json["early_deletion"]), (&json!("USD"), &json!("8.333333333")));
        assert_eq!(json["monthly_saving"], "29.899714661");
    }

    #[test]
    fn an_explanation_says_who_acts_and_why_not_the_others() {
        let acts = json!({ "rule": "a", "at": "2027-01-02T00:00:00.000Z", "action": "expire" });
        let explained = Explained(json!({
            "bucket": "b", "key": "k", "more": false, "walking_since": null,
            "versions": [{
                "version_id": "v1", "place": "current", "delete_marker": false, "modified": "2027-01-01T00:00:00.000Z",
                "noncurrent_since": null, "retain_until": null, "acts": acts,
                "cost": {
                    "currency": "USD", "transition_requests": "0.00", "early_deletion": "0.006000183",
                    "monthly_before": "0.0125", "monthly_after": "0.00", "monthly_saving": "0.0125",
                },
                "rules": [
                    acts,
                    { "rule": "b", "at": "2027-01-09T00:00:00.000Z", "action": "expire" },
                    { "rule": "c", "why_not": "other_prefix" },
                ],
            }],
        }));
        assert_eq!(
            lines(&explained),
            [
                "s3://b/k",
                "current version v1 of 2027-01-01T00:00:00.000Z",
                "a: acts: expire on 2027-01-02",
                "USD 0.00 once, 0.006000183 for early deletion; a month 0.0125 before, 0.00 after",
                "b: would, were it the only one: expire on 2027-01-09",
                "c: not, for the key does not begin with the rule's prefix",
            ]
        );
    }
}
