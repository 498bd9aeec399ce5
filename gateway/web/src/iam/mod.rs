//! IAM over the query protocol: users, groups, roles, policies and keys, as `aws iam` and the SDKs speak of them.
//!
//! Each group of operations is a file: the rows of its part of the table, and the functions that do them. The functions read
//! parameters, which the rows have checked, ask [`Identities`](security::identity::Identities), and write what comes back. They decide
//! nothing: `query` has asked the policies before, by the row.
//!
//! docs/iam-actions.md is made of these rows.

mod account;
mod advisor;
mod attached;
mod devices;
mod elsewhere;
mod empty;
mod groups;
mod inline;
mod keys;
mod managed;
mod passwords;
mod providers;
mod qr;
mod reports;
mod roles;
mod shapes;
mod show;
mod simulate;
mod tags;
mod users;

use crate::query::{Args, Service};
use security::identity::Owner;

/// The service.
pub(crate) static SERVICE: Service = Service {
    name: "iam",
    version: "2010-05-08",
    namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
    groups: &[
        users::ROWS,
        groups::ROWS,
        roles::ROWS,
        managed::ROWS,
        attached::ROWS,
        inline::ROWS,
        tags::ROWS,
        keys::ROWS,
        passwords::ROWS,
        devices::ROWS,
        providers::ROWS,
        reports::ROWS,
        advisor::ROWS,
        account::ROWS,
        simulate::ROWS,
        empty::ROWS,
        elsewhere::SAML,
        elsewhere::CERTIFICATES,
        elsewhere::LINKED,
        elsewhere::ORGANIZATIONS,
        elsewhere::DELEGATION,
        elsewhere::PROFILES,
        elsewhere::REPORTS,
    ],
};

/// Whose policy an operation is about: whom its parameters name.
fn owner(args: &Args) -> Owner<'_> {
    match (args.text("UserName"), args.text("GroupName")) {
        (Some(name), _) => Owner::User(name),
        (None, Some(name)) => Owner::Group(name),
        (None, None) => Owner::Role(args.needed("RoleName")),
    }
}
