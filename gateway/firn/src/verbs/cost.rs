//! `firn cost`: what is stored, by class, and what that costs a month, added up from pages of the admin door.

use super::door;
use crate::cli::Cost as CostArgs;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::{counted, printable};
use anyhow::Context;
use client::Admin;
use engine::unit::ByteCount;
use objectstore::price::Money;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};

const PATH: &str = "/v1/cost";
/// Keys with damage that are named.
const DAMAGED_MAX: usize = 1_000;
/// Pages between two lines of progress.
const PAGES: u64 = 20;

/// An amount as the admin door has it.
pub(super) fn exact<'de, D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
    let text = String::deserialize(from)?;
    Money::from_exact(&text).ok_or_else(|| serde::de::Error::custom("not an amount"))
}

/// What all of one kind and class comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    of: String,
    class: String,
    count: u64,
    bytes: u64,
    billed_bytes: u64,
    #[serde(deserialize_with = "exact")]
    monthly: Money,
    #[serde(deserialize_with = "exact")]
    monthly_in_standard: Money,
    #[serde(skip_deserializing)]
    monthly_saving: Money,
}

/// In the order in which they are shown, whatever a later server has besides.
fn place(of: &str) -> usize {
    ["current", "noncurrent", "upload", "restored"]
        .iter()
        .position(|known| *known == of)
        .unwrap_or(usize::MAX)
}

type Rows = BTreeMap<(usize, String, String), Row>;

fn in_order<S: Serializer>(rows: &Rows, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(rows.values())
}

/// What is stored.
#[derive(Debug, Default, Serialize)]
struct Cost {
    /// `None`: all buckets.
    bucket: Option<String>,
    prefix: Option<String>,
    currency: String,
    #[serde(serialize_with = "in_order")]
    rows: Rows,
    buckets: u64,
    count: u64,
    bytes: u64,
    billed_bytes: u64,
    monthly: Money,
    monthly_in_standard: Money,
    monthly_saving: Money,
    delete_markers: u64,
    seen: u64,
    /// The first of them.
    damaged: Vec<String>,
    damaged_keys: u64,
}

impl Cost {
    fn add(&mut self, row: &Row) {
        self.count += row.count;
        self.bytes = self.bytes.saturating_add(row.bytes);
        self.billed_bytes = self.billed_bytes.saturating_add(row.billed_bytes);
        self.monthly += row.monthly;
        self.monthly_in_standard += row.monthly_in_standard;
        self.monthly_saving = self.monthly_in_standard - self.monthly;
        let name = (place(&row.of), row.of.clone(), row.class.clone());
        let none = Row {
            count: 0,
            bytes: 0,
            billed_bytes: 0,
            monthly: Money::ZERO,
            monthly_in_standard: Money::ZERO,
            ..row.clone()
        };
        let known = self.rows.entry(name).or_insert(none);
        known.count += row.count;
        known.bytes = known.bytes.saturating_add(row.bytes);
        known.billed_bytes = known.billed_bytes.saturating_add(row.billed_bytes);
        known.monthly += row.monthly;
        known.monthly_in_standard += row.monthly_in_standard;
        known.monthly_saving = known.monthly_in_standard - known.monthly;
    }

    fn page(&mut self, bucket: &str, page: &mut Value) -> anyhow::Result<()> {
        let understood = "understand the admin door";
        let rows: Vec<Row> = serde_json::from_value(page["rows"].take()).context(understood)?;
        for row in &rows {
            self.add(row);
        }
        page["currency"].as_str().unwrap_or_default().clone_into(&mut self.currency);
        self.seen += page["seen"].as_u64().unwrap_or_default();
        self.delete_markers += page["markers"].as_u64().unwrap_or_default();
        let damaged: Vec<String> = serde_json::from_value(page["damaged"].take()).context(understood)?;
        self.damaged_keys += damaged.len() as u64;
        let room = DAMAGED_MAX.saturating_sub(self.damaged.len());
        self.damaged.extend(damaged.into_iter().take(room).map(|key| format!("s3://{bucket}/{key}")));
        Ok(())
    }

    fn whose(&self) -> String {
        match (&self.bucket, &self.prefix) {
            (Some(bucket), prefix) => {
                printable(&format!("s3://{bucket}/{}", prefix.as_deref().unwrap_or_default()))
            }
            (None, _) => counted(self.buckets, "bucket", "buckets"),
        }
    }
}

impl Report for Cost {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        let size = |bytes| ByteCount::new(bytes).to_string();
        let mut line = |[of, class, count, bytes, billed, monthly, standard]: [&str; 7]| {
            writeln!(
                out,
                "{of:11} {class:20} {count:>10} {bytes:>10} {billed:>10} {monthly:>14} {standard:>14}"
            )
        };
        if !self.rows.is_empty() {
            let monthly = format!("{}/month", self.currency);
            line(["", "class", "count", "size", "billed", &monthly, "as STANDARD"])?;
        }
        for row in self.rows.values() {
            line([
                &printable(&row.of),
                &printable(&row.class),
                &row.count.to_string(),
                &size(row.bytes),
                &size(row.billed_bytes),
                &row.monthly.short(),
                &row.monthly_in_standard.short(),
            ])?;
        }
        let (monthly, standard) = (self.monthly.short(), self.monthly_in_standard.short());
        let change = if self.monthly_saving < Money::ZERO {
            format!("{} more", (-self.monthly_saving).short())
        } else {
            format!("{} saved", self.monthly_saving.short())
        };
        let currency = printable(&self.currency);
        writeln!(out, "{}: {currency} {monthly} a month; as STANDARD {standard}: {change}", self.whose())?;
        for key in &self.damaged {
            writeln!(out, "not counted, for a version or an upload of it is damaged: {}", printable(key))?;
        }
        let more = self.damaged_keys - self.damaged.len() as u64;
        if more > 0 {
            writeln!(out, "and {}", counted(more, "more key", "more keys"))?;
        }
        Ok(())
    }

    fn exit(&self) -> Exit {
        if self.damaged_keys == 0 { Exit::Ok } else { Exit::Partial }
    }
}

/// All pages of a bucket.
async fn walk(
    session: &Session,
    admin: &Admin,
    (bucket, prefix): (&str, &str),
    cost: &mut Cost,
) -> anyhow::Result<()> {
    let mut after = Value::Null;
    for page in 1.. {
        let request = json!({ "action": "count", "bucket": bucket, "prefix": prefix, "after": after });
        let mut answer = door::post(admin, PATH, &request).await?;
        cost.page(bucket, &mut answer)?;
        if session.output.draws_progress() && page % PAGES == 0 {
            session.output.note(&format!("{} so far", counted(cost.seen, "version", "versions")));
        }
        after = answer["after"].take();
        if after.is_null() {
            break;
        }
    }
    Ok(())
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit == Exit::NotFound)
}

pub(super) async fn run(session: &Session, args: &CostArgs) -> anyhow::Result<Exit> {
    let admin = session.admin(&args.admin.dir())?;
    let mut cost = Cost::default();
    if let Some(place) = &args.place {
        let walked = walk(session, &admin, (&place.bucket, &place.key), &mut cost).await;
        walked.map_err(|error| door::or_else_see(error, "see which buckets there are: firn ls"))?;
        (cost.bucket, cost.buckets) = (Some(place.bucket.clone()), 1);
        cost.prefix = Some(place.key.clone()).filter(|prefix| !prefix.is_empty());
        return session.output.print(&cost);
    }
    let mut after = Value::Null;
    loop {
        let request = json!({ "action": "buckets", "after": after });
        let mut answer = door::post(&admin, PATH, &request).await?;
        // Where there is no bucket it says it, too.
        answer["currency"].as_str().unwrap_or_default().clone_into(&mut cost.currency);
        let names: Vec<String> =
            serde_json::from_value(answer["buckets"].take()).context("understand the admin door")?;
        for name in names {
            match walk(session, &admin, (&name, ""), &mut cost).await {
                Ok(()) => cost.buckets += 1,
                // It was removed meanwhile.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(error),
            }
        }
        after = answer["after"].take();
        if after.is_null() {
            return session.output.print(&cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cost;
    use crate::exit::Exit;
    use crate::report::{Report, render};
    use objectstore::StorageClass as Class;
    use objectstore::price::{Money, Prices};
    use serde_json::{Value, json};

    const GIB: u64 = 1 << 30;

    fn row(of: &str, class: Class, gigabytes: u64) -> Value {
        let (prices, bytes) = (Prices::default(), gigabytes * GIB);
        let standard = if of == "restored" { Money::ZERO } else { prices.month(Class::Standard, bytes) };
        json!({
            "of": of, "class": class.as_str(), "count": gigabytes, "bytes": bytes, "billed_bytes": bytes,
            "monthly": prices.bytes_month(class, bytes).exact(), "monthly_in_standard": standard.exact(),
        })
    }

    fn page(rows: &[Value], damaged: &[&str]) -> Value {
        json!({ "currency": "USD", "rows": rows, "seen": 10, "markers": 1, "damaged": damaged })
    }

    #[test]
    fn pages_come_together_by_what_it_is_and_class() {
        let mut cost = Cost { bucket: Some("b".to_owned()), ..Cost::default() };
        let (upload, cold) = (row("upload", Class::Standard, 1), row("current", Class::Glacier, 1_000));
        cost.page("b", &mut page(&[upload, cold.clone()], &[])).unwrap();
        cost.page("b", &mut page(&[cold, row("noncurrent", Class::StandardIa, 3)], &["k\u{1b}"])).unwrap();
        assert_eq!((cost.seen, cost.delete_markers, cost.exit()), (20, 2, Exit::Partial));
        let mut text = Vec::new();
        render(&cost, false, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        // 2 × 1,000 GB at 0.0036, 3 at 0.0125, one at 0.023; as STANDARD 2,004 at 0.023.
        let expected = [
            "class count size billed USD/month as STANDARD",
            "current GLACIER 2000 1.9 TiB 1.9 TiB 7.20 46.00",
            "noncurrent STANDARD_IA 3 3.0 GiB 3.0 GiB 0.0375 0.069",
            "upload STANDARD 1 1.0 GiB 1.0 GiB 0.023 0.023",
            "s3://b/: USD 7.26 a month; as STANDARD 46.09: 38.83 saved",
            r"not counted, for a version or an upload of it is damaged: s3://b/k\u{1b}",
        ];
        assert_eq!(lines, expected);
        let mut text = Vec::new();
        render(&cost, true, &mut text).unwrap();
        let json: Value = serde_json::from_slice(&text).unwrap();
        let row = |[of, class, monthly, in_standard, saving]: [&str; 5], count: u64| {
            json!({
                "of": of, "class": class, "count": count, "bytes": count * GIB, "billed_bytes": count * GIB,
                "monthly": monthly, "monthly_in_standard": in_standard, "monthly_saving": saving,
            })
        };
        let expected = json!({
            "bucket": "b", "prefix": null, "currency": "USD", "buckets": 0,
            "rows": [
                row(["current", "GLACIER", "7.20", "46.00", "38.80"], 2_000),
                row(["noncurrent", "STANDARD_IA", "0.0375", "0.069", "0.0315"], 3),
                row(["upload", "STANDARD", "0.023", "0.023", "0.00"], 1),
            ],
            "count": 2_004, "bytes": 2_004 * GIB, "billed_bytes": 2_004 * GIB,
            "monthly": "7.2605", "monthly_in_standard": "46.092", "monthly_saving": "38.8315",
            "delete_markers": 2, "seen": 20, "damaged": ["s3://b/k\u{1b}"], "damaged_keys": 1,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_costs_more_than_standard_says_so_and_nothing_is_nothing() {
        let people = |cost: &Cost| {
            let mut text = Vec::new();
            render(cost, false, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let mut cost = Cost { buckets: 2, currency: "USD".to_owned(), ..Cost::default() };
        assert_eq!(people(&cost), "2 buckets: USD 0.00 a month; as STANDARD 0.00: 0.00 saved\n");
        cost.page("b", &mut page(&[row("restored", Class::Standard, 100)], &[])).unwrap();
        let said = people(&cost);
        assert!(said.ends_with("2 buckets: USD 2.30 a month; as STANDARD 0.00: 2.30 more\n"), "{said}");
        let mut broken = page(&[row("current", Class::Standard, 1)], &[]);
        broken["rows"][0]["monthly"] = "1.5".into();
        cost.page("b", &mut broken).unwrap_err();
    }
}
