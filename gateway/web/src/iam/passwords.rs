//! Passwords of users, and the account's rules for them.

use super::shapes::{
    MAX_PASSWORD_AGE, MINIMUM_PASSWORD_LENGTH, PASSWORD, PASSWORD_REUSE_PREVENTION, USER_NAME,
};
use crate::query::shape::{Shape, opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use crate::query::{Whom, whom};
use security::identity::{LoginProfile, PasswordPolicy};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::Account,
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(policy),
        ..row!("iam", "GetAccountPasswordPolicy")
    },
    Row {
        about: About::Account,
        parameters: &[
            opt("MinimumPasswordLength", &MINIMUM_PASSWORD_LENGTH),
            opt("RequireSymbols", &Shape::Flag),
            opt("RequireNumbers", &Shape::Flag),
            opt("RequireUppercaseCharacters", &Shape::Flag),
            opt("RequireLowercaseCharacters", &Shape::Flag),
            opt("AllowUsersToChangePassword", &Shape::Flag),
            opt("MaxPasswordAge", &MAX_PASSWORD_AGE),
            opt("PasswordReusePrevention", &PASSWORD_REUSE_PREVENTION),
            opt("HardExpiry", &Shape::Flag),
        ],
        writes: true,
        errors: &["LimitExceeded", "MalformedPolicyDocument", "NoSuchEntity", "ServiceFailure"],
        state: done!(set_policy),
        ..row!("iam", "UpdateAccountPasswordPolicy")
    },
    Row {
        about: About::Account,
        writes: true,
        errors: &["LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete_policy),
        ..row!("iam", "DeleteAccountPasswordPolicy")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            opt("UserName", &USER_NAME),
            opt("Password", &PASSWORD),
            opt("PasswordResetRequired", &Shape::Flag),
        ],
        writes: true,
        errors: &[
            "EntityAlreadyExists",
            "LimitExceeded",
            "NoSuchEntity",
            "PasswordPolicyViolation",
            "ServiceFailure",
        ],
        state: done!(create),
        ..row!("iam", "CreateLoginProfile")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &USER_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetLoginProfile")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("UserName", &USER_NAME),
            opt("Password", &PASSWORD),
            opt("PasswordResetRequired", &Shape::Flag),
        ],
        writes: true,
        errors: &[
            "EntityTemporarilyUnmodifiable",
            "LimitExceeded",
            "NoSuchEntity",
            "PasswordPolicyViolation",
            "ServiceFailure",
        ],
        state: done!(update),
        ..row!("iam", "UpdateLoginProfile")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &USER_NAME)],
        writes: true,
        errors: &["EntityTemporarilyUnmodifiable", "LimitExceeded", "NoSuchEntity", "ServiceFailure"],
        state: done!(delete),
        ..row!("iam", "DeleteLoginProfile")
    },
    Row {
        about: About::OwnUser,
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("OldPassword", &PASSWORD), req("NewPassword", &PASSWORD)],
        writes: true,
        errors: &[
            "EntityTemporarilyUnmodifiable",
            "InvalidUserType",
            "LimitExceeded",
            "NoSuchEntity",
            "PasswordPolicyViolation",
            "ServiceFailure",
        ],
        state: done!(change),
        ..row!("iam", "ChangePassword")
    },
];

async fn policy(call: &Call) -> Result<Reply, QueryError> {
    let policy = call.shared.identities.password_policy(call.account).await?;
    let mut reply = call.result();
    reply.structure("PasswordPolicy", |reply| {
        reply.value("MinimumPasswordLength", policy.length_min);
        reply.value("RequireSymbols", policy.symbols);
        reply.value("RequireNumbers", policy.numbers);
        reply.value("RequireUppercaseCharacters", policy.uppercase);
        reply.value("RequireLowercaseCharacters", policy.lowercase);
        reply.value("AllowUsersToChangePassword", policy.users_may_change);
        reply.value("ExpirePasswords", policy.age_max_days.is_some());
        if let Some(days) = policy.age_max_days {
            reply.value("MaxPasswordAge", days);
        }
        if let Some(count) = policy.reuse_prevented {
            reply.value("PasswordReusePrevention", count);
        }
        if let Some(hard) = policy.hard_expiry {
            reply.value("HardExpiry", hard);
        }
    });
    Ok(reply)
}

async fn set_policy(call: &Call) -> Result<Reply, QueryError> {
    let flag = |name| call.args.flag(name).unwrap_or_default();
    let number = |name| call.args.number(name).and_then(|number| u32::try_from(number).ok());
    let default = PasswordPolicy::default();
    let policy = PasswordPolicy {
        length_min: number("MinimumPasswordLength").unwrap_or(default.length_min),
        symbols: flag("RequireSymbols"),
        numbers: flag("RequireNumbers"),
        uppercase: flag("RequireUppercaseCharacters"),
        lowercase: flag("RequireLowercaseCharacters"),
        users_may_change: flag("AllowUsersToChangePassword"),
        age_max_days: number("MaxPasswordAge"),
        reuse_prevented: number("PasswordReusePrevention"),
        hard_expiry: call.args.flag("HardExpiry"),
    };
    call.shared.identities.set_password_policy(call.account, policy).await?;
    Ok(call.nothing())
}

async fn delete_policy(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_password_policy(call.account).await?;
    Ok(call.nothing())
}

/// The user: whom the request names, or who asks.
fn user(call: &Call) -> Result<&str, QueryError> {
    match whom(&call.principal, &call.args, "UserName")? {
        Whom::User(name) => Ok(name),
        Whom::Root => Err(QueryError::invalid_input(
            "The root of an account has no password here: UserName names a user.",
        )),
    }
}

fn shown(reply: &mut Reply, profile: &LoginProfile) {
    reply.structure("LoginProfile", |reply| {
        reply.text("UserName", &profile.user);
        reply.time("CreateDate", profile.created);
        reply.value("PasswordResetRequired", profile.reset_required);
    });
}

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let Some(password) = call.args.text("Password") else {
        return Err(QueryError::invalid_input("A user's login profile is made with a Password."));
    };
    let reset = call.args.flag("PasswordResetRequired").unwrap_or_default();
    let made = call.shared.identities.create_login(call.account, user(call)?, password, reset).await?;
    let mut reply = call.result();
    shown(&mut reply, &made);
    Ok(reply)
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let found = call.shared.identities.login(call.account, user(call)?).await?;
    let mut reply = call.result();
    shown(&mut reply, &found);
    Ok(reply)
}

async fn update(call: &Call) -> Result<Reply, QueryError> {
    let (password, reset) = (call.args.text("Password"), call.args.flag("PasswordResetRequired"));
    call.shared.identities.update_login(call.account, user(call)?, password, reset).await?;
    Ok(call.nothing())
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_login(call.account, user(call)?).await?;
    Ok(call.nothing())
}

async fn change(call: &Call) -> Result<Reply, QueryError> {
    let Whom::User(name) = whom(&call.principal, &call.args, "")? else {
        let message = "Only IAM Users can change their own password";
        return Err(QueryError::new(http::StatusCode::BAD_REQUEST, "InvalidUserType", message));
    };
    let (old, new) = (call.args.needed("OldPassword"), call.args.needed("NewPassword"));
    call.shared.identities.change_password(call.account, name, old, new).await?;
    Ok(call.nothing())
}
