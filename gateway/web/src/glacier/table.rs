//! Glacier's operations: how they are asked for, and which action allows each.
//!
//! | path behind the account | methods |
//! |---|---|
//! | `vaults` · `vaults/V` | GET · PUT, GET, DELETE |
//! | `vaults/V/archives` · `…/archives/A` | POST · DELETE |
//! | `vaults/V/multipart-uploads` · `…/multipart-uploads/U` | POST, GET · PUT, POST, DELETE, GET |
//! | `vaults/V/jobs` · `…/jobs/J` · `…/jobs/J/output` | POST, GET · GET · GET |
//! | `vaults/V/access-policy` · `notification-configuration` | PUT, GET, DELETE |
//! | `vaults/V/lock-policy` · `…/lock-policy/L` | POST, GET, DELETE · POST |
//! | `vaults/V/tags` | POST (`operation=add`, `remove`), GET |
//! | `policies/data-retrieval` · `provisioned-capacity` | GET, PUT · GET, POST |

/// One operation.
#[derive(Debug, PartialEq, Eq)]
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
}

const fn row(
    action: &'static str,
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
) -> Row {
    // Actions are `glacier:` and the operation's name.
    let (_, name) = action.split_at(8);
    Row { name, method, path, query, action }
}

/// All of them.
pub(super) static ROWS: [Row; 33] = [
    row("glacier:ListVaults", "GET", "vaults", None),
    row("glacier:CreateVault", "PUT", "vaults/*", None),
    row("glacier:DescribeVault", "GET", "vaults/*", None),
    row("glacier:DeleteVault", "DELETE", "vaults/*", None),
    row("glacier:UploadArchive", "POST", "vaults/*/archives", None),
    row("glacier:DeleteArchive", "DELETE", "vaults/*/archives/*", None),
    row("glacier:InitiateMultipartUpload", "POST", "vaults/*/multipart-uploads", None),
    row("glacier:ListMultipartUploads", "GET", "vaults/*/multipart-uploads", None),
    row("glacier:UploadMultipartPart", "PUT", "vaults/*/multipart-uploads/*", None),
    row("glacier:CompleteMultipartUpload", "POST", "vaults/*/multipart-uploads/*", None),
    row("glacier:AbortMultipartUpload", "DELETE", "vaults/*/multipart-uploads/*", None),
    row("glacier:ListParts", "GET", "vaults/*/multipart-uploads/*", None),
    row("glacier:InitiateJob", "POST", "vaults/*/jobs", None),
    row("glacier:ListJobs", "GET", "vaults/*/jobs", None),
    row("glacier:DescribeJob", "GET", "vaults/*/jobs/*", None),
    row("glacier:GetJobOutput", "GET", "vaults/*/jobs/*/output", None),
    row("glacier:SetVaultAccessPolicy", "PUT", "vaults/*/access-policy", None),
    row("glacier:GetVaultAccessPolicy", "GET", "vaults/*/access-policy", None),
    row("glacier:DeleteVaultAccessPolicy", "DELETE", "vaults/*/access-policy", None),
    row("glacier:SetVaultNotifications", "PUT", "vaults/*/notification-configuration", None),
    row("glacier:GetVaultNotifications", "GET", "vaults/*/notification-configuration", None),
    row("glacier:DeleteVaultNotifications", "DELETE", "vaults/*/notification-configuration", None),
    row("glacier:InitiateVaultLock", "POST", "vaults/*/lock-policy", None),
    row("glacier:GetVaultLock", "GET", "vaults/*/lock-policy", None),
    row("glacier:AbortVaultLock", "DELETE", "vaults/*/lock-policy", None),
    row("glacier:CompleteVaultLock", "POST", "vaults/*/lock-policy/*", None),
    row("glacier:AddTagsToVault", "POST", "vaults/*/tags", Some("add")),
    row("glacier:RemoveTagsFromVault", "POST", "vaults/*/tags", Some("remove")),
    row("glacier:ListTagsForVault", "GET", "vaults/*/tags", None),
    row("glacier:GetDataRetrievalPolicy", "GET", "policies/data-retrieval", None),
    row("glacier:SetDataRetrievalPolicy", "PUT", "policies/data-retrieval", None),
    row("glacier:ListProvisionedCapacity", "GET", "provisioned-capacity", None),
    row("glacier:PurchaseProvisionedCapacity", "POST", "provisioned-capacity", None),
];

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
    ROWS.iter().find(matches)
}

#[cfg(test)]
mod tests {
    use super::{ROWS, find};
    use std::collections::BTreeSet;

    #[test]
    fn each_operation_is_found_by_its_own_path_and_by_no_other() {
        for row in &ROWS {
            let segments: Vec<String> = row.path.split('/').map(|part| part.replace('*', "x")).collect();
            assert_eq!(find(row.method, &segments, row.query), Some(row));
            assert_eq!(find("PATCH", &segments, row.query), None);
            let longer = [&segments[..], &["x".to_owned(), "y".to_owned()]].concat();
            assert_eq!(find(row.method, &longer, row.query), None);
            assert_eq!(row.action, format!("glacier:{}", row.name));
        }
        let names: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), 33);
        assert_eq!(find("POST", &["vaults".into(), "v".into(), "tags".into()], None), None);
    }
}
