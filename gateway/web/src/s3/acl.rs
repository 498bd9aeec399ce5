//! Access lists on the wire: `x-amz-acl`, `x-amz-grant-*` and the `AccessControlPolicy` document.

use super::Call;
use super::code::Code;
use super::error::S3Error;
use super::headers;
use crate::xml::{Element, XmlWriter};
use http::HeaderMap;
use objectstore::{ListWish, ObjectAccess};
use security::{AccessList, AccountId, CannedAcl, CanonicalUser, Grant, Grantee, Permission};

/// The headers of grants, in the order in which S3 lists them.
const GRANT_HEADERS: [(&str, Permission); 5] = [
    ("x-amz-grant-read", Permission::Read),
    ("x-amz-grant-write", Permission::Write),
    ("x-amz-grant-read-acp", Permission::ReadAcp),
    ("x-amz-grant-write-acp", Permission::WriteAcp),
    ("x-amz-grant-full-control", Permission::FullControl),
];

const OF_USER: &str = " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"";
const OF_GROUP: &str = " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"";

/// Whether a header asks for an access list.
fn asks_for_list(name: &str) -> bool {
    name == "x-amz-acl" || name.starts_with("x-amz-grant-")
}

/// The list that the headers of a request ask for.
pub(crate) fn wish(call: &Call) -> Result<ListWish, S3Error> {
    if !call.head.headers.keys().any(|name| asks_for_list(name.as_str())) {
        return Ok(ListWish::Default);
    }
    let canned = headers::text(&call.head.headers, "x-amz-acl")?;
    let grants = grants_of_headers(call, &call.head.headers)?;
    match (canned, grants) {
        (None, None) => Ok(ListWish::Default),
        (None, Some(list)) => Ok(ListWish::Grants(list)),
        (Some(name), None) => parse_canned(name).map(ListWish::Canned),
        (Some(_), Some(_)) => Err(S3Error::with(
            Code::InvalidRequest,
            "Specifying both Canned ACLs and Header Grants is not allowed",
        )),
    }
}

fn parse_canned(name: &str) -> Result<CannedAcl, S3Error> {
    name.parse()
        .map_err(|_| S3Error::argument("x-amz-acl", name, "The canned access list is not one of S3's"))
}

fn grants_of_headers(call: &Call, request_headers: &HeaderMap) -> Result<Option<AccessList>, S3Error> {
    let mut found = None;
    for (name, permission) in GRANT_HEADERS {
        let Some(text) = headers::text(request_headers, name)? else { continue };
        let grants = found.get_or_insert_with(Vec::new);
        for grantee in parse_grantees(text) {
            let (kind, value) = grantee.ok_or_else(|| {
                S3Error::argument(
                    name,
                    text,
                    "Argument format not recognized: id=, uri= or emailAddress= are",
                )
            })?;
            let grantee = match kind {
                Kind::Id => Grantee::User(user(call, value)?),
                Kind::Uri => group(value)?,
                Kind::Email => return Err(unresolvable(value)),
            };
            grants.push(Grant { grantee, permission });
        }
    }
    found.map(list).transpose()
}

/// How a grantee is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Id,
    Uri,
    Email,
}

/// `id="1", uri="2"`: quotes may be left out; `None` for what is of no such form.
fn parse_grantees(text: &str) -> Vec<Option<(Kind, &str)>> {
    text.split(',').map(parse_grantee).collect()
}

fn parse_grantee(text: &str) -> Option<(Kind, &str)> {
    let (name, value) = text.split_once('=')?;
    let kind = match name.trim() {
        "id" => Kind::Id,
        "uri" => Kind::Uri,
        name if name.eq_ignore_ascii_case("emailAddress") => Kind::Email,
        _ => return None,
    };
    let value = value.trim();
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    (!bare.is_empty()).then_some((kind, bare))
}

/// The account of a canonical id. Ids of nobody are refused, as in S3: a grant to a misspelt id would help nobody.
fn user(call: &Call, id: &str) -> Result<CanonicalUser, S3Error> {
    if CanonicalUser::is_anonymous_id(id) {
        return Ok(CanonicalUser::Anonymous);
    }
    let mut known = call.state.credentials.accounts();
    known.extend([call.state.account, call.asker.owner]);
    let found = known.into_iter().find(|account: &AccountId| account.canonical_user_id() == id);
    found.map(CanonicalUser::from).ok_or_else(|| S3Error::argument("CanonicalUser/ID", id, "Invalid id"))
}

fn group(uri: &str) -> Result<Grantee, S3Error> {
    Grantee::of_uri(uri).ok_or_else(|| S3Error::argument("Group/URI", uri, "Invalid group uri"))
}

/// Accounts have no addresses here; S3 itself has stopped taking them.
fn unresolvable(address: &str) -> S3Error {
    S3Error::new(Code::UnresolvableGrantByEmailAddress).field("EmailAddress", address)
}

/// A list of these.
pub(crate) fn list(grants: Vec<Grant>) -> Result<AccessList, S3Error> {
    AccessList::new(grants).map_err(|_| S3Error::new(Code::MalformedACLError))
}

/// Reads an `AccessControlPolicy`: the list, and the owner that it names.
pub(crate) fn parse_policy(
    call: &Call,
    root: &Element,
) -> Result<(AccessList, Option<CanonicalUser>), S3Error> {
    let malformed = || S3Error::new(Code::MalformedACLError);
    let strict = |element: &Element, names: &[&str]| element.only(names).map(drop).map_err(|_| malformed());
    root.expect("AccessControlPolicy").map_err(|_| malformed())?;
    strict(root, &["Owner", "AccessControlList"])?;
    let owner = match root.child("Owner").map_err(|_| malformed())? {
        None => None,
        Some(owner) => {
            strict(owner, &["ID", "DisplayName"])?;
            let id = owner.child_text("ID").map_err(|_| malformed())?.ok_or_else(malformed)?;
            Some(user(call, id)?)
        }
    };
    let grants = root.child("AccessControlList").map_err(|_| malformed())?.ok_or_else(malformed)?;
    strict(grants, &["Grant"])?;
    let grants = grants.children().iter().map(|grant| parse_grant(call, grant)).collect::<Result<_, _>>()?;
    Ok((list(grants)?, owner))
}

/// One grant.
pub(crate) fn parse_grant(call: &Call, grant: &Element) -> Result<Grant, S3Error> {
    let malformed = |_| S3Error::new(Code::MalformedACLError);
    let missing = || S3Error::new(Code::MalformedACLError);
    grant.only(&["Grantee", "Permission"]).map_err(malformed)?;
    let permission = grant.child_text("Permission").map_err(malformed)?.ok_or_else(missing)?;
    let permission: Permission = permission.parse().map_err(|_| missing())?;
    let grantee = grant.child("Grantee").map_err(malformed)?.ok_or_else(missing)?;
    grantee.only(&["ID", "DisplayName", "URI", "EmailAddress"]).map_err(malformed)?;
    let text = |name| grantee.child_text(name).map_err(malformed);
    let grantee = match (text("ID")?, text("URI")?, text("EmailAddress")?) {
        (Some(id), None, None) => Grantee::User(user(call, id)?),
        (None, Some(uri), None) => group(uri)?,
        (None, None, Some(address)) => return Err(unresolvable(address)),
        _ => return Err(missing()),
    };
    Ok(Grant { grantee, permission })
}

/// The document of an access list.
pub(crate) fn render(access: &ObjectAccess) -> String {
    let mut out = XmlWriter::document("AccessControlPolicy");
    write_user(&mut out, "Owner", access.owner);
    out.start("AccessControlList");
    write_grants(&mut out, &access.list);
    out.finish()
}

/// The grants of a list, one element each.
pub(crate) fn write_grants(out: &mut XmlWriter, list: &AccessList) {
    for grant in list.grants() {
        out.start("Grant");
        match grant.grantee {
            Grantee::User(user) => {
                out.start_with("Grantee", OF_USER);
                write_identity(out, user);
                out.end();
            }
            group => {
                out.start_with("Grantee", OF_GROUP);
                out.optional("URI", group.uri());
                out.end();
            }
        }
        out.text("Permission", grant.permission.as_str());
        out.end();
    }
}

/// An owner or initiator.
pub(crate) fn write_user(out: &mut XmlWriter, element: &'static str, user: CanonicalUser) {
    out.start(element);
    write_identity(out, user);
    out.end();
}

fn write_identity(out: &mut XmlWriter, user: CanonicalUser) {
    out.text("ID", &user.id());
    out.text("DisplayName", &user.display_name());
}

#[cfg(test)]
mod tests {
    use super::{Kind, asks_for_list, parse_grantees};

    #[test]
    fn grantees_of_headers_are_read_with_and_without_quotes() {
        assert_eq!(
            parse_grantees("id=\"a\", uri=http://x/y ,emailAddress=\"c@d\""),
            [Some((Kind::Id, "a")), Some((Kind::Uri, "http://x/y")), Some((Kind::Email, "c@d"))]
        );
        for bad in ["", "id", "id=", "id=\"\"", "name=x", "id=a,,id=b"] {
            assert!(parse_grantees(bad).contains(&None), "{bad}");
        }
        assert!(asks_for_list("x-amz-acl") && asks_for_list("x-amz-grant-read"));
        assert!(!asks_for_list("x-amz-acls"));
    }
}
