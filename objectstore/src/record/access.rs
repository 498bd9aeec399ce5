//! Owners and access lists, in settings of buckets and beside objects.
//!
//! | field | form |
//! |---|---|
//! | owner | account (8), or eight times `ff` for anonymous |
//! | list | count (≤ 100) of: permission u8 (1 READ, 2 WRITE, 3 `READ_ACP`, 4 `WRITE_ACP`, 5 `FULL_CONTROL`), grantee u8 (1 `AllUsers`, 2 `AuthenticatedUsers`, 3 `LogDelivery`, 4 a user), of a user its owner form |

use engine::Result;
use engine::catalog::record::{Record, RecordReader, RecordWriter};
use security::{AccessList, CanonicalUser, Grant, Grantee, Permission};

const USER: u8 = 4;

pub(crate) fn put_user(out: &mut RecordWriter, user: CanonicalUser) {
    out.fixed(&user.to_bytes());
}

pub(crate) fn get_user(fields: &mut RecordReader<'_>) -> Result<CanonicalUser> {
    CanonicalUser::from_bytes(fields.fixed()?).map_err(|_| fields.corrupt("an impossible account"))
}

pub(crate) fn put_access_list(out: &mut RecordWriter, list: &AccessList) {
    out.count(list.grants().len());
    for grant in list.grants() {
        out.u8(match grant.permission {
            Permission::Read => 1,
            Permission::Write => 2,
            Permission::ReadAcp => 3,
            Permission::WriteAcp => 4,
            Permission::FullControl => 5,
        });
        match grant.grantee {
            Grantee::AllUsers => out.u8(1),
            Grantee::AuthenticatedUsers => out.u8(2),
            Grantee::LogDelivery => out.u8(3),
            Grantee::User(user) => out.u8(USER).fixed(&user.to_bytes()),
        };
    }
}

pub(crate) fn get_access_list(fields: &mut RecordReader<'_>) -> Result<AccessList> {
    let count = fields.count()?;
    let mut grants = Vec::new();
    for _ in 0..count {
        let permission = match fields.u8()? {
            1 => Permission::Read,
            2 => Permission::Write,
            3 => Permission::ReadAcp,
            4 => Permission::WriteAcp,
            5 => Permission::FullControl,
            other => return Err(fields.corrupt(format!("permission {other}"))),
        };
        let grantee = match fields.u8()? {
            1 => Grantee::AllUsers,
            2 => Grantee::AuthenticatedUsers,
            3 => Grantee::LogDelivery,
            USER => Grantee::User(get_user(fields)?),
            other => return Err(fields.corrupt(format!("grantee {other}"))),
        };
        grants.push(Grant { grantee, permission });
    }
    let list = AccessList::new(grants.iter().copied()).map_err(|_| fields.corrupt("too many grants"))?;
    if list.grants() != grants {
        return Err(fields.corrupt("grants out of order"));
    }
    Ok(list)
}

/// An object's access list, as it stands among its subresources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectAclRecord(pub(crate) AccessList);

impl Record for ObjectAclRecord {
    const NAME: &'static str = "access list of an object";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_access_list(out, &self.0);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        get_access_list(fields).map(Self)
    }
}

/// An object's owner, likewise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnerRecord(pub(crate) CanonicalUser);

impl Record for OwnerRecord {
    const NAME: &'static str = "owner of an object";
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut RecordWriter) {
        put_user(out, self.0);
    }

    fn decode(_version: u8, fields: &mut RecordReader<'_>) -> Result<Self> {
        get_user(fields).map(Self)
    }
}
