//! Managed policies of AWS's names that fit what this appliance has. They are in the binary, in no row: they change with its version, as
//! AWS's change, and nobody can change or delete them.

use super::id::EntityId;
use super::{ManagedPolicy, PolicyVersion};
use engine::clock::Timestamp;

/// One of them.
pub(super) struct Named {
    pub(super) name: &'static str,
    /// As AWS has it.
    id: &'static [u8; EntityId::LEN],
    description: &'static str,
    pub(super) document: &'static str,
}

const PREFIX: &str = "arn:aws:iam::aws:policy/";
/// All of them are of one day: 2015-02-06, when AWS made its own.
const CREATED: Timestamp = Timestamp::from_millis(1_423_247_980_000);

/// In the order of their names.
pub(super) const ALL: [Named; 8] = [
    Named {
        name: "AdministratorAccess",
        id: b"ANPAIWMBCKSKIEE64ZLYK",
        description: "Everything.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    Named {
        name: "AmazonS3FullAccess",
        id: b"ANPAIFIR6V6BVTRAHWINE",
        description: "Everything of all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}"#,
    },
    Named {
        name: "AmazonS3ReadOnlyAccess",
        id: b"ANPAIZTJ4DXE7G6AGAE6M",
        description: "Reads all buckets.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Describe*","s3:Get*","s3:List*"],"Resource":"*"}]}"#,
    },
    Named {
        name: "IAMFullAccess",
        id: b"ANPAI7XKCFMBPM3QQRRVQ",
        description: "Everything of users, groups, roles and their policies.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:*"],"Resource":"*"}]}"#,
    },
    Named {
        name: "IAMReadOnlyAccess",
        id: b"ANPAJKSO7NDY4T57MWDSQ",
        description: "Reads users, groups, roles and their policies.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"],"Resource":"*"}]}"#,
    },
    Named {
        name: "IAMUserChangePassword",
        id: b"ANPAJ4L4MM2A7QIEB56MS",
        description: "A user's own password.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:ChangePassword"],"Resource":["arn:aws:iam::*:user/${aws:username}"]},{"Effect":"Allow","Action":["iam:GetAccountPasswordPolicy"],"Resource":"*"}]}"#,
    },
    Named {
        name: "PowerUserAccess",
        id: b"ANPAJYRXTHIB4FOVS3ZXS",
        description: "Everything but users, groups, roles and their policies.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},{"Effect":"Allow","Action":["iam:ListRoles"],"Resource":"*"}]}"#,
    },
    Named {
        name: "ReadOnlyAccess",
        id: b"ANPAILL3HVNFSB6DCOWYQ",
        description: "Reads everything.",
        document: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:GenerateCredentialReport","iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy","s3:Describe*","s3:Get*","s3:List*","sts:GetAccessKeyInfo","sts:GetCallerIdentity"],"Resource":"*"}]}"#,
    },
];

/// The one of this ARN.
pub(super) fn by_arn(arn: &str) -> Option<&'static Named> {
    let name = arn.strip_prefix(PREFIX)?;
    ALL.iter().find(|known| known.name == name)
}

impl Named {
    pub(super) fn id(&self) -> EntityId {
        // A test looks at each.
        EntityId::from_bytes(*self.id).unwrap_or(EntityId::ROOT)
    }

    pub(super) fn arn(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// As an account sees it.
    pub(super) fn shown(&self, attachments: u32, boundaries: u32) -> ManagedPolicy {
        ManagedPolicy {
            name: self.name.to_owned(),
            path: "/".to_owned(),
            id: self.id().to_string(),
            arn: self.arn(),
            created: CREATED,
            updated: CREATED,
            default_version: "v1".to_owned(),
            attachments,
            boundaries,
            attachable: true,
            description: Some(self.description.to_owned()),
            tags: Vec::new(),
        }
    }

    /// Its only version.
    pub(super) fn version(&self, with_document: bool) -> PolicyVersion {
        PolicyVersion {
            id: "v1".to_owned(),
            is_default: true,
            created: CREATED,
            document: with_document.then(|| self.document.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, by_arn};
    use crate::identity::document;

    #[test]
    fn each_is_a_policy_with_an_id_of_its_own_and_in_order() {
        for pair in ALL.windows(2) {
            assert!(pair[0].name < pair[1].name);
        }
        for known in &ALL {
            document::managed(known.document).unwrap();
            assert_eq!(by_arn(&known.arn()).unwrap().id(), known.id());
            assert!(known.id().to_string().starts_with("ANPA"));
            assert_eq!(ALL.iter().filter(|other| other.id() == known.id()).count(), 1);
        }
        assert!(by_arn("arn:aws:iam::aws:policy/Nothing").is_none());
    }
}
