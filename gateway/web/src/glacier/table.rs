//! Glacier's operations: how they are asked for, and which action allows each.
//!
//! | path behind the account | methods |
//! |---|---|
//! | `vaults` · `vaults/V` | GET · PUT, GET, DELETE |
//! | `vaults/V/archives` · `…/archives/A` | POST · DELETE, GET (firn's own) |
//! | `vaults/V/multipart-uploads` · `…/multipart-uploads/U` | POST, GET · PUT, POST, DELETE, GET |
//! | `vaults/V/jobs` · `…/jobs/J` · `…/jobs/J/output` | POST, GET · GET · GET |
//! | `vaults/V/access-policy` · `notification-configuration` | PUT, GET, DELETE |
//! | `vaults/V/lock-policy` · `…/lock-policy/L` | POST, GET, DELETE · POST |
//! | `vaults/V/tags` | POST (`operation=add`, `remove`), GET |
//! | `policies/data-retrieval` · `provisioned-capacity` | GET, PUT · GET, POST |

use super::error::GlacierError;
use super::{Answer, Call, RequestBody, account, archives, jobs, settings, vaults};
use engine::BoxFuture;
use std::fmt;

/// One operation.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name, by the API's model.
    pub(super) name: &'static str,
    method: &'static str,
    /// Segments behind the account; `*` is any one.
    path: &'static str,
    /// `operation` of the query.
    query: Option<&'static str>,
    /// What allows it.
    pub(super) action: &'static str,
    /// What becomes of it.
    pub(super) run: Run,
}

/// What the action of an operation is about, as policies name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The account.
    Account,
    /// All its vaults.
    Vaults,
    /// The vault of the path.
    Vault,
    /// An archive in it.
    Archive,
}

impl Row {
    /// What it is about: its path says so.
    pub(super) fn about(&self) -> About {
        match self.path {
            "vaults" => About::Vaults,
            path if path.starts_with("vaults/*/archives/*") => About::Archive,
            path if path.starts_with("vaults/*") => About::Vault,
            _ => About::Account,
        }
    }
}

/// What becomes of an operation, and with it what its body is.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// It is done; its body is small, and read before its signature is verified.
    Done(Handler),
    /// It is done with its body as it comes, whose SHA-256 its head says and signs.
    Upload(Uploader),
}

/// Does an operation.
pub(super) type Handler = for<'c> fn(&'c Call) -> BoxFuture<'c, Result<Answer, GlacierError>>;
/// Does one that takes bytes.
pub(super) type Uploader =
    for<'c> fn(&'c Call, &'c mut RequestBody) -> BoxFuture<'c, Result<Answer, GlacierError>>;

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(_) => f.write_str("Done"),
            Self::Upload(_) => f.write_str("Upload"),
        }
    }
}

/// The function of a row.
macro_rules! done {
    ($function:path) => {
        Run::Done(|call| Box::pin($function(call)))
    };
}

/// The function of a row that takes bytes.
macro_rules! upload {
    ($function:path) => {
        Run::Upload(|call, body| Box::pin($function(call, body)))
    };
}

/// Rows, one a line: name, method, path, query, what becomes of it. An action is `glacier:` and the operation's name.
macro_rules! rows {
    ($($name:literal, $method:literal, $path:literal, $query:expr => $run:expr;)*) => {
        [$(Row {
            name: $name,
            method: $method,
            path: $path,
            query: $query,
            action: concat!("glacier:", $name),
            run: $run,
        },)*]
    };
}

/// All of them.
pub(super) static ROWS: [Row; 33] = rows! {
    "ListVaults", "GET", "vaults", None => done!(vaults::list);
    "CreateVault", "PUT", "vaults/*", None => done!(vaults::create);
    "DescribeVault", "GET", "vaults/*", None => done!(vaults::describe);
    "DeleteVault", "DELETE", "vaults/*", None => done!(vaults::delete);
    "UploadArchive", "POST", "vaults/*/archives", None => upload!(archives::upload);
    "DeleteArchive", "DELETE", "vaults/*/archives/*", None => done!(archives::delete);
    "InitiateMultipartUpload", "POST", "vaults/*/multipart-uploads", None => done!(archives::begin);
    "ListMultipartUploads", "GET", "vaults/*/multipart-uploads", None => done!(archives::uploads);
    "UploadMultipartPart", "PUT", "vaults/*/multipart-uploads/*", None => upload!(archives::part);
    "CompleteMultipartUpload", "POST", "vaults/*/multipart-uploads/*", None => done!(archives::complete);
    "AbortMultipartUpload", "DELETE", "vaults/*/multipart-uploads/*", None => done!(archives::abort);
    "ListParts", "GET", "vaults/*/multipart-uploads/*", None => done!(archives::parts);
    "InitiateJob", "POST", "vaults/*/jobs", None => done!(jobs::initiate);
    "ListJobs", "GET", "vaults/*/jobs", None => done!(jobs::list);
    "DescribeJob", "GET", "vaults/*/jobs/*", None => done!(jobs::describe);
    "GetJobOutput", "GET", "vaults/*/jobs/*/output", None => done!(jobs::output);
    "SetVaultAccessPolicy", "PUT", "vaults/*/access-policy", None => done!(settings::set_policy);
    "GetVaultAccessPolicy", "GET", "vaults/*/access-policy", None => done!(settings::policy);
    "DeleteVaultAccessPolicy", "DELETE", "vaults/*/access-policy", None => done!(settings::delete_policy);
    "SetVaultNotifications", "PUT", "vaults/*/notification-configuration", None => done!(settings::set_notification);
    "GetVaultNotifications", "GET", "vaults/*/notification-configuration", None => done!(settings::notification);
    "DeleteVaultNotifications", "DELETE", "vaults/*/notification-configuration", None => done!(settings::delete_notification);
    "InitiateVaultLock", "POST", "vaults/*/lock-policy", None => done!(settings::initiate_lock);
    "GetVaultLock", "GET", "vaults/*/lock-policy", None => done!(settings::lock);
    "AbortVaultLock", "DELETE", "vaults/*/lock-policy", None => done!(settings::abort_lock);
    "CompleteVaultLock", "POST", "vaults/*/lock-policy/*", None => done!(settings::complete_lock);
    "AddTagsToVault", "POST", "vaults/*/tags", Some("add") => done!(settings::add_tags);
    "RemoveTagsFromVault", "POST", "vaults/*/tags", Some("remove") => done!(settings::remove_tags);
    "ListTagsForVault", "GET", "vaults/*/tags", None => done!(settings::tags);
    "GetDataRetrievalPolicy", "GET", "policies/data-retrieval", None => done!(account::policy);
    "SetDataRetrievalPolicy", "PUT", "policies/data-retrieval", None => done!(account::set_policy);
    "ListProvisionedCapacity", "GET", "provisioned-capacity", None => done!(account::capacity);
    "PurchaseProvisionedCapacity", "POST", "provisioned-capacity", None => done!(account::purchase);
};

/// firn's own, behind a path that Glacier answers nothing at: whether an archive could be deleted, by whoever may delete it.
static JUDGED: Row = Row {
    name: "GetArchiveDeletion",
    method: "GET",
    path: "vaults/*/archives/*",
    query: None,
    action: "glacier:DeleteArchive",
    run: done!(archives::judge),
};

/// The actions of all of them.
pub(crate) fn actions() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.action)
}

/// The operation of a method and of what lies behind the account.
pub(super) fn find(method: &str, segments: &[String], query: Option<&str>) -> Option<&'static Row> {
    let matches = |row: &&Row| {
        let mut count = 0;
        let fits = row.path.split('/').all(|wanted| {
            count += 1;
            segments.get(count - 1).is_some_and(|found| wanted == "*" || wanted == found)
        });
        fits && count == segments.len()
            && row.method == method
            && row.query.is_none_or(|wanted| query == Some(wanted))
    };
    ROWS.iter().chain([&JUDGED]).find(matches)
}

#[cfg(test)]
mod tests {
    use super::{About, ROWS, Row, find};
    use std::collections::BTreeSet;

    #[test]
    fn what_an_operation_is_about_goes_by_its_path() {
        let about = |name| ROWS.iter().find(|row| row.name == name).map(Row::about);
        for (name, wanted) in [
            ("ListVaults", About::Vaults),
            ("CreateVault", About::Vault),
            ("UploadArchive", About::Vault),
            ("DeleteArchive", About::Archive),
            ("CompleteVaultLock", About::Vault),
            ("SetDataRetrievalPolicy", About::Account),
        ] {
            assert_eq!(about(name), Some(wanted), "{name}");
        }
        assert_eq!(ROWS.iter().filter(|row| row.about() == About::Account).count(), 4);
    }

    #[test]
    fn each_operation_is_found_by_its_own_path_and_by_no_other() {
        for row in &ROWS {
            let segments: Vec<String> = row.path.split('/').map(|part| part.replace('*', "x")).collect();
            let found = |method, segments: &[String]| find(method, segments, row.query).map(|row| row.name);
            assert_eq!(found(row.method, &segments), Some(row.name));
            assert_eq!(found("PATCH", &segments), None);
            let longer = [&segments[..], &["x".to_owned(), "y".to_owned()]].concat();
            assert_eq!(found(row.method, &longer), None);
        }
        let names: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), 33);
        assert!(find("POST", &["vaults".into(), "v".into(), "tags".into()], None).is_none());
        let judged = find("GET", &["vaults", "v", "archives", "a"].map(str::to_owned), None).unwrap();
        assert_eq!((judged.about(), judged.action), (About::Archive, "glacier:DeleteArchive"));
    }
}
