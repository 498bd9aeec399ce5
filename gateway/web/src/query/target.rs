//! What an operation is about, by its row: the ARN that policies name, with what conditions may ask of it.

use super::error::QueryError;
use super::read::Args;
use super::table::{About, Row};
use security::identity::{Code, Identities, Tag};
use security::policy::{Missing, Verdict};
use security::{AccountId, Principal};

/// What is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// The ARN that policies are asked about.
    pub(crate) arn: String,
    /// Of a thing that is there.
    pub(super) tags: Vec<Tag>,
    pub(super) boundary: Option<String>,
}

impl Target {
    fn at(arn: String) -> Self {
        Self { arn, ..Self::default() }
    }
}

/// The user that an operation is about, where its name may be left out: its own of a user, the root's account otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom<'a> {
    /// A user.
    User(&'a str),
    /// The root of the account.
    Root,
}

/// Whom `parameter` names, or who asks.
pub(crate) fn whom<'a>(
    principal: &'a Principal,
    args: &'a Args,
    parameter: &str,
) -> Result<Whom<'a>, QueryError> {
    if let Some(name) = args.text(parameter) {
        return Ok(Whom::User(name));
    }
    match principal.identity().and_then(|identity| identity.user_name()) {
        Some(name) => Ok(Whom::User(name)),
        None if principal.is_root() => Ok(Whom::Root),
        None => {
            let message = "Must specify userName when calling with non-User credentials";
            Err(QueryError::new(http::StatusCode::BAD_REQUEST, "ValidationError", message))
        }
    }
}

/// Finds out what is asked about; `None` where no policy is asked.
pub(super) async fn resolve(
    identities: &Identities,
    (principal, account): (&Principal, AccountId),
    (row, args): (&Row, &Args),
) -> Result<Option<Target>, QueryError> {
    let arn = |resource: &str| format!("arn:aws:iam::{account}:{resource}");
    Ok(Some(match row.about {
        About::Oneself | About::Trust(_) => return Ok(None),
        About::Account => Target::at(format!("arn:aws:{}::{account}:*", service_of(row))),
        About::All(kind) => Target::at(arn(&format!("{kind}/"))),
        About::New(kind, parameter) => {
            let path = args.text("Path").unwrap_or("/");
            Target::at(arn(&format!("{kind}{path}{}", args.needed(parameter))))
        }
        About::Federated(parameter) => {
            Target::at(format!("arn:aws:sts::{account}:federated-user/{}", args.needed(parameter)))
        }
        About::Policy(parameter) => {
            let arn = args.needed(parameter);
            match found(identities.policy(account, arn).await)? {
                Some(policy) => Target { arn: policy.arn, tags: policy.tags, boundary: None },
                None => Target::at(arn.to_owned()),
            }
        }
        About::Named("user", _) | About::OwnUser => {
            let parameter = if let About::Named(_, parameter) = row.about { parameter } else { "" };
            match whom(principal, args, parameter)? {
                Whom::User(name) => user(identities, account, name).await?,
                Whom::Root => Target::at(arn("root")),
            }
        }
        About::Device(parameter) => {
            let serial = args.needed(parameter);
            let tags = found(identities.device(account, serial, None).await)?.map(|device| device.tags);
            Target { arn: serial.to_owned(), tags: tags.unwrap_or_default(), boundary: None }
        }
        About::NewProvider(parameter) => {
            let url = args.needed(parameter);
            Target::at(arn(&format!("oidc-provider/{}", url.split_once("://").map_or(url, |(_, name)| name))))
        }
        About::Provider(parameter) => {
            let arn = args.needed(parameter);
            let tags = found(identities.provider(account, arn).await)?.map(|provider| provider.tags);
            Target { arn: arn.to_owned(), tags: tags.unwrap_or_default(), boundary: None }
        }
        About::Named("group", parameter) => {
            let name = args.needed(parameter);
            let group = found(identities.group(account, name).await)?;
            Target::at(group.map_or_else(|| arn(&format!("group/{name}")), |group| group.arn))
        }
        About::Named(kind, parameter) => {
            let name = args.needed(parameter);
            match found(identities.role(account, name).await)? {
                Some(role) => Target { arn: role.arn, tags: role.tags, boundary: role.boundary },
                None => Target::at(arn(&format!("{kind}/{name}"))),
            }
        }
        // Its function finds nobody whose ARN is another.
        About::Principal(parameter) => Target::at(args.needed(parameter).to_owned()),
        About::KeysUser(parameter) => {
            match found(identities.access_key_last_used(account, args.needed(parameter)).await)? {
                Some(used) => match used.user {
                    Some(name) => user(identities, account, &name).await?,
                    None => Target::at(arn("root")),
                },
                None => Target::at(arn("user/")),
            }
        }
    }))
}

/// What a thing is to be called from then on: who renames it may do that to both names.
pub(super) fn renamed(row: &Row, args: &Args, target: &Target) -> Option<Target> {
    let About::Named(kind, _) = row.about else { return None };
    let (path, name) = (args.text("NewPath"), args.text("NewUserName").or(args.text("NewGroupName")));
    if path.is_none() && name.is_none() {
        return None;
    }
    let (before, own) = target.arn.rsplit_once('/')?;
    let (account, own_path) = before.split_once(&format!(":{kind}"))?;
    let path = path.map_or_else(|| format!("{own_path}/"), str::to_owned);
    let arn = format!("{account}:{kind}{path}{}", name.unwrap_or(own));
    Some(Target { arn, ..target.clone() })
}

async fn user(identities: &Identities, account: AccountId, name: &str) -> Result<Target, QueryError> {
    Ok(match found(identities.user(account, name).await)? {
        Some(user) => Target { arn: user.arn, tags: user.tags, boundary: user.boundary },
        None => Target::at(format!("arn:aws:iam::{account}:user/{name}")),
    })
}

fn service_of(row: &Row) -> &'static str {
    row.action.split_once(':').map_or(row.action, |(service, _)| service)
}

/// That there is no such thing is told to whom may ask for it alone, and so later.
fn found<T>(outcome: security::identity::Result<T>) -> Result<Option<T>, QueryError> {
    match outcome {
        Ok(thing) => Ok(Some(thing)),
        Err(error)
            if matches!(error.code, Code::NoSuchEntity | Code::ValidationError | Code::InvalidInput) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What an account lets all of its users do for themselves, if it does: change their password, and see the rules for it.
pub(super) const OF_USERS: [&str; 2] = ["iam:ChangePassword", "iam:GetAccountPasswordPolicy"];

/// Whether no statement denies it, and the account lets all of its users do it.
pub(super) async fn is_of_users(
    identities: &Identities,
    principal: &Principal,
    (verdict, action): (Verdict, &str),
) -> Result<bool, QueryError> {
    let lacks = matches!(verdict, Verdict::NotAllowed(Missing::Identity | Missing::Everywhere));
    let of_user = principal.identity().filter(|identity| identity.user_name().is_some());
    match of_user {
        Some(user) if lacks && OF_USERS.contains(&action) => {
            Ok(identities.users_may_change_passwords(user.account()).await?)
        }
        _ => Ok(false),
    }
}

/// What has to be allowed: the operation's action, and to tag a session, where it is given tags.
pub(super) fn actions(row: &Row, args: &Args) -> impl Iterator<Item = &'static str> {
    let tags = matches!(row.about, About::Federated(_)) && args.structures("Tags").next().is_some();
    [Some(row.action), tags.then_some("sts:TagSession")].into_iter().flatten()
}

/// Refuses what the policies don't allow, in AWS's words.
pub(super) fn refuse(
    verdict: Verdict,
    principal: &Principal,
    (row, action): (&Row, &str),
    target: &Target,
) -> Result<(), QueryError> {
    if verdict.is_allowed() {
        return Ok(());
    }
    let who = principal.arn().unwrap_or_else(|| "anonymous".to_owned());
    let what = if row.about == About::Account { "*" } else { &target.arn };
    let because = verdict.because(action);
    Err(QueryError::denied(format!(
        "User: {who} is not authorized to perform: {action} on resource: {what} {because}"
    )))
}

#[cfg(test)]
mod tests {
    use super::{Target, renamed};
    use crate::iam;
    use crate::query::{form::Form, read::read};

    #[test]
    fn a_renaming_is_about_both_names() {
        let new = |operation: &str, arn: &str, body: &str| {
            let row = iam::SERVICE.find(operation).unwrap();
            let args = read(Form::of_body(body.as_bytes()).unwrap(), operation, row.parameters).unwrap();
            renamed(row, &args, &Target::at(arn.to_owned())).map(|target| target.arn)
        };
        let (plain, deep) = ("arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:user/x/y/a");
        let user = |arn, body: &str| new("UpdateUser", arn, &format!("UserName=a{body}")).unwrap_or_default();
        assert_eq!(user(plain, "&NewUserName=b"), "arn:aws:iam::111122223333:user/b");
        assert_eq!(user(plain, "&NewPath=/p/"), "arn:aws:iam::111122223333:user/p/a");
        assert_eq!(user(deep, "&NewUserName=b"), "arn:aws:iam::111122223333:user/x/y/b");
        assert_eq!(user(deep, "&NewUserName=b&NewPath=/"), "arn:aws:iam::111122223333:user/b");
        assert_eq!(user(plain, ""), "");
        let group = new("UpdateGroup", "arn:aws:iam::111122223333:group/g", "GroupName=g&NewGroupName=h");
        assert_eq!(group.as_deref(), Some("arn:aws:iam::111122223333:group/h"));
        assert_eq!(new("DeleteUser", plain, "UserName=a"), None);
    }
}
