//! What is deleted: an empty vault, single archives, or all that a vault has.
//!
//! All of a vault are read from inventories, some thousand at a time, and each is asked for by itself: so the vault's lock and policies are asked
//! about each, and what they keep is told.

use super::list::{Archive, Inventory};
use super::{Listing, ask, checked, explain, text};
use crate::cli::VaultDelete;
use crate::exit::{Exit, Failure};
use crate::report::Report;
use crate::session::Session;
use crate::text::{counted, printable};
use client::{Client, ErrorKind, GlacierCall};
use engine::unit::ByteCount;
use futures_util::{StreamExt, stream};
use http::Method;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Refusals that are told one by one.
const SHOWN: usize = 20;

/// What was deleted, and what not.
#[derive(Debug, Default, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Emptied {
    vault: String,
    /// Nothing was; this is what would be.
    dry_run: bool,
    /// The vault itself.
    vault_deleted: bool,
    deleted: u64,
    deleted_bytes: u64,
    uploads_given_up: u64,
    failed_count: u64,
    /// Some of them, with why.
    failed: Vec<Refused>,
    /// All that was asked for was refused, so that the rest was not asked for.
    given_up: bool,
    /// Of a dry run: the endpoint does not say what keeps archives.
    unasked: bool,
}

#[derive(Debug, Serialize)]
struct Refused {
    archive_id: String,
    error: String,
}

impl Emptied {
    fn refused(&mut self, id: &str, error: &str) {
        self.failed_count += 1;
        if self.failed.len() < SHOWN {
            self.failed.push(Refused { archive_id: id.to_owned(), error: printable(error) });
        }
    }
}

impl Report for Emptied {
    fn people(&self, out: &mut dyn Write) -> io::Result<()> {
        for Refused { archive_id, error } in &self.failed {
            writeln!(out, "{archive_id}: {error}")?;
        }
        let deleted = if self.dry_run { "nothing changed: would delete" } else { "deleted" };
        if self.vault_deleted {
            return writeln!(out, "{deleted} vault {}", self.vault);
        }
        let (archives, size) =
            (counted(self.deleted, "archive", "archives"), ByteCount::new(self.deleted_bytes));
        write!(out, "{deleted} {archives} of vault {}", self.vault)?;
        if self.deleted_bytes > 0 {
            write!(out, " ({size})")?;
        }
        if self.uploads_given_up > 0 {
            let gave_up = if self.dry_run { "give up" } else { "gave up" };
            write!(out, ", {gave_up} {}", counted(self.uploads_given_up, "upload", "uploads"))?;
        }
        if self.failed_count > 0 {
            let kept = if self.dry_run { "would be kept" } else { "failed" };
            write!(out, ", {} {kept}", self.failed_count)?;
        }
        if self.unasked {
            write!(
                out,
                "; whether locks, holds and policies let them go was not asked: that endpoint can't say"
            )?;
        }
        if self.given_up {
            write!(out, "; none could be deleted, so the others were not asked for")?;
        }
        writeln!(out)
    }

    fn exit(&self) -> Exit {
        if self.failed_count == 0 { Exit::Ok } else { Exit::Partial }
    }
}

pub(super) async fn delete(session: &Session, args: &VaultDelete) -> anyhow::Result<Exit> {
    let (client, vault) = (session.client()?, checked(&args.vault)?);
    let mut emptied = Emptied { vault: vault.to_owned(), dry_run: args.dry_run, ..Emptied::default() };
    if args.dry_run {
        would(session, &client, args, &mut emptied).await?;
    } else if args.all {
        all(session, (&client, vault), args.jobs.into(), &mut emptied).await?;
    } else if args.archives.is_empty() {
        let call = GlacierCall::new("DeleteVault", Method::DELETE, &["vaults", vault]);
        client.glacier(&call).await.map_err(|error| not_empty(error, vault))?;
        emptied.vault_deleted = true;
    } else {
        let wanted = args.archives.iter().map(|id| (id.as_str(), 0));
        some((&client, vault), wanted, args.jobs.into(), &mut emptied).await?;
    }
    session.output.print(&emptied)
}

/// The next step where something is in it.
fn not_empty(error: client::Error, vault: &str) -> anyhow::Error {
    let text = error.to_string();
    if text.contains("not empty") { full(text, vault) } else { explain(error) }
}

fn full(text: String, vault: &str) -> anyhow::Error {
    let hint = format!("delete what is in it first: firn vault delete {vault} --all");
    Failure::new(Exit::Conflict, text).hint(hint).into()
}

/// Looks at what would be deleted.
async fn would(
    session: &Session,
    client: &Client,
    args: &VaultDelete,
    emptied: &mut Emptied,
) -> anyhow::Result<()> {
    let vault = args.vault.as_str();
    let mut missing: BTreeSet<&str> = args.archives.iter().map(String::as_str).collect();
    let mut pages = Inventory::new(client, vault);
    while let Some(page) = pages.next(session).await? {
        let wanted = page
            .iter()
            .filter(|archive| args.archives.is_empty() || missing.remove(archive.archive_id.as_str()));
        let wanted: Vec<_> = wanted.map(|archive| (archive.archive_id.as_str(), archive.size)).collect();
        if args.all || !args.archives.is_empty() {
            judge((client, vault), wanted, args.jobs.into(), emptied).await?;
        } else {
            emptied.deleted += wanted.len() as u64;
        }
    }
    for id in missing {
        emptied.refused(id, "there is no such archive");
    }
    if !args.archives.is_empty() {
        return Ok(());
    }
    let uploads = uploads(client, vault).await?.len() as u64;
    if args.all {
        emptied.uploads_given_up = uploads;
        return Ok(());
    }
    if emptied.deleted + uploads > 0 {
        let (archives, uploads) =
            (counted(emptied.deleted, "archive", "archives"), counted(uploads, "upload", "uploads"));
        return Err(full(format!("delete vault {vault}: it is not empty: {archives}, {uploads}"), vault));
    }
    emptied.vault_deleted = true;
    Ok(())
}

/// Asks of each archive whether it could be deleted: by firn's own operation, which any other endpoint has not.
async fn judge(
    (client, vault): (&Client, &str),
    wanted: Vec<(&str, u64)>,
    at_once: usize,
    emptied: &mut Emptied,
) -> anyhow::Result<()> {
    let unasked = emptied.unasked;
    let asked = stream::iter(wanted.into_iter().map(|(id, size)| async move {
        let call = GlacierCall::new("GetArchiveDeletion", Method::GET, &["vaults", vault, "archives", id]);
        (id, size, if unasked { None } else { Some(client.glacier(&call).await) })
    }));
    let mut answers = asked.buffer_unordered(at_once);
    while let Some((id, size, answer)) = answers.next().await {
        match answer {
            Some(Err(error)) if error.is_unreachable() => return Err(error.into()),
            Some(Err(client::Error::Service(said))) if is_unknown(&said, id) => emptied.unasked = true,
            Some(Err(error)) => {
                emptied.refused(id, &error.to_string());
                continue;
            }
            None | Some(Ok(_)) => {}
        }
        emptied.deleted += 1;
        emptied.deleted_bytes += size;
    }
    Ok(())
}

/// Whether there is no such operation, rather than no such archive.
fn is_unknown(said: &client::ServiceError, id: &str) -> bool {
    !said.is_document || (matches!(said.status, 404 | 405 | 501) && !said.message.contains(id))
}

/// Ids of the uploads that are under way.
async fn uploads(client: &Client, vault: &str) -> anyhow::Result<Vec<String>> {
    let mut uploads =
        Listing::new("ListMultipartUploads", &["vaults", vault, "multipart-uploads"], "UploadsList");
    let mut ids = Vec::new();
    while let Some(page) = uploads.next::<Value>(client).await? {
        ids.extend(page.iter().map(|upload| text(upload, "MultipartUploadId")));
    }
    Ok(ids)
}

/// Deletes archives, some at once. Who is not there any more is deleted.
async fn some<'a>(
    (client, vault): (&Client, &str),
    wanted: impl Iterator<Item = (&'a str, u64)>,
    at_once: usize,
    emptied: &mut Emptied,
) -> anyhow::Result<()> {
    let asked = stream::iter(wanted.map(|(id, size)| async move {
        let call = GlacierCall::new("DeleteArchive", Method::DELETE, &["vaults", vault, "archives", id]);
        (id, size, client.glacier(&call).await)
    }));
    let mut answers = asked.buffer_unordered(at_once);
    while let Some((id, size, answer)) = answers.next().await {
        match answer {
            Ok(_) => {
                emptied.deleted += 1;
                emptied.deleted_bytes += size;
            }
            Err(error) if error.kind() == ErrorKind::NotFound && size > 0 => {}
            // What is not about the archive would be said of each.
            Err(error) if error.is_unreachable() || matches!(error, client::Error::Protocol { .. }) => {
                return Err(error.into());
            }
            Err(error) => emptied.refused(id, &error.to_string()),
        }
    }
    Ok(())
}

async fn all(
    session: &Session,
    (client, vault): (&Client, &str),
    at_once: usize,
    emptied: &mut Emptied,
) -> anyhow::Result<()> {
    let mut pages = Inventory::new(client, vault);
    while let Some(page) = pages.next(session).await? {
        let before = emptied.deleted;
        let wanted = page.iter().map(|Archive { archive_id, size, .. }| (archive_id.as_str(), *size));
        some((client, vault), wanted, at_once, emptied).await?;
        if emptied.deleted == before && emptied.failed_count > 0 {
            emptied.given_up = true;
            break;
        }
        if session.output.draws_progress() {
            session.output.note(&format!("{} so far", counted(emptied.deleted, "archive", "archives")));
        }
    }
    for id in uploads(client, vault).await? {
        let at = ["vaults", vault, "multipart-uploads", &id];
        ask(client, GlacierCall::new("AbortMultipartUpload", Method::DELETE, &at)).await?;
        emptied.uploads_given_up += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Emptied, Refused};
    use crate::exit::Exit;
    use crate::report::{Report, render};

    #[test]
    fn what_is_kept_is_told_and_makes_it_a_partial_one() {
        let mut text = Vec::new();
        let vault = || "v".to_owned();
        let gone = Emptied {
            vault: vault(),
            deleted: 2,
            deleted_bytes: 2_048,
            uploads_given_up: 1,
            ..Emptied::default()
        };
        let failed = vec![Refused { archive_id: "a1".to_owned(), error: "legal hold X keeps it".to_owned() }];
        let kept = Emptied { vault: vault(), failed_count: 3, failed, given_up: true, ..Emptied::default() };
        let whole = Emptied { vault: vault(), vault_deleted: true, ..Emptied::default() };
        let dry = || Emptied {
            vault: vault(),
            dry_run: true,
            deleted: 1,
            deleted_bytes: 1_024,
            ..Emptied::default()
        };
        let would = Emptied { uploads_given_up: 2, ..dry() };
        let failed = vec![Refused { archive_id: "a2".to_owned(), error: "it is too young".to_owned() }];
        let some = Emptied { failed_count: 1, failed, unasked: true, ..dry() };
        for report in [&gone, &kept, &whole, &would, &some] {
            render(report, false, &mut text).unwrap();
        }
        assert_eq!([gone.exit(), kept.exit(), whole.exit()], [Exit::Ok, Exit::Partial, Exit::Ok]);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "deleted 2 archives of vault v (2.0 KiB), gave up 1 upload\n\
             a1: legal hold X keeps it\n\
             deleted 0 archives of vault v, 3 failed; none could be deleted, so the others were not asked for\n\
             deleted vault v\n\
             nothing changed: would delete 1 archive of vault v (1.0 KiB), give up 2 uploads\n\
             a2: it is too young\n\
             nothing changed: would delete 1 archive of vault v (1.0 KiB), 1 would be kept; whether locks, holds and policies let them go \
             was not asked: that endpoint can't say\n"
        );
    }
}
