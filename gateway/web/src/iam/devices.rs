//! Second factors: virtual devices of users.

use super::shapes::{
    ASSIGNMENT_STATUS, AUTHENTICATION_CODE, EXISTING_USER_NAME, MARKER, MAX_ITEMS, PATH, SERIAL_NUMBER,
    TAG_KEYS, TAGS, USER_NAME, VIRTUAL_MFA_DEVICE_NAME,
};
use super::{qr, show};
use crate::query::shape::{opt, req};
use crate::query::{About, Call, QueryError, Reply, Row, done, row};
use crate::query::{Whom, whom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use security::identity::{Device, Tag};

/// Their rows.
pub(super) static ROWS: &[Row] = &[
    Row {
        about: About::New("mfa", "VirtualMFADeviceName"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys"],
        parameters: &[
            opt("Path", &PATH),
            req("VirtualMFADeviceName", &VIRTUAL_MFA_DEVICE_NAME),
            opt("Tags", &TAGS),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityAlreadyExists",
            "InvalidInput",
            "LimitExceeded",
            "ServiceFailure",
        ],
        state: done!(create),
        ..row!("iam", "CreateVirtualMFADevice")
    },
    Row {
        about: About::Device("SerialNumber"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("SerialNumber", &SERIAL_NUMBER)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "DeleteConflict",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(delete),
        ..row!("iam", "DeleteVirtualMFADevice")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("UserName", &EXISTING_USER_NAME),
            req("SerialNumber", &SERIAL_NUMBER),
            req("AuthenticationCode1", &AUTHENTICATION_CODE),
            req("AuthenticationCode2", &AUTHENTICATION_CODE),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityAlreadyExists",
            "EntityTemporarilyUnmodifiable",
            "InvalidAuthenticationCode",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(enable),
        ..row!("iam", "EnableMFADevice")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("UserName", &EXISTING_USER_NAME),
            req("SerialNumber", &SERIAL_NUMBER),
            req("AuthenticationCode1", &AUTHENTICATION_CODE),
            req("AuthenticationCode2", &AUTHENTICATION_CODE),
        ],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidAuthenticationCode",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(resync),
        ..row!("iam", "ResyncMFADevice")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[opt("UserName", &EXISTING_USER_NAME), req("SerialNumber", &SERIAL_NUMBER)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "EntityTemporarilyUnmodifiable",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(deactivate),
        ..row!("iam", "DeactivateMFADevice")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("SerialNumber", &SERIAL_NUMBER), opt("UserName", &USER_NAME)],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(get),
        ..row!("iam", "GetMFADevice")
    },
    Row {
        about: About::Named("user", "UserName"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            opt("UserName", &EXISTING_USER_NAME),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["NoSuchEntity", "ServiceFailure"],
        state: done!(list),
        ..row!("iam", "ListMFADevices")
    },
    Row {
        about: About::Account,
        parameters: &[
            opt("AssignmentStatus", &ASSIGNMENT_STATUS),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        state: done!(list_all),
        ..row!("iam", "ListVirtualMFADevices")
    },
    Row {
        about: About::Device("SerialNumber"),
        keys: &["aws:RequestTag/NAME", "aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("SerialNumber", &SERIAL_NUMBER), req("Tags", &TAGS)],
        writes: true,
        errors: &[
            "ConcurrentModification",
            "InvalidInput",
            "LimitExceeded",
            "NoSuchEntity",
            "ServiceFailure",
        ],
        state: done!(tag),
        ..row!("iam", "TagMFADevice")
    },
    Row {
        about: About::Device("SerialNumber"),
        keys: &["aws:TagKeys", "aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[req("SerialNumber", &SERIAL_NUMBER), req("TagKeys", &TAG_KEYS)],
        writes: true,
        errors: &["ConcurrentModification", "InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(untag),
        ..row!("iam", "UntagMFADevice")
    },
    Row {
        about: About::Device("SerialNumber"),
        keys: &["aws:ResourceTag/NAME", "iam:ResourceTag/NAME"],
        parameters: &[
            req("SerialNumber", &SERIAL_NUMBER),
            opt("Marker", &MARKER),
            opt("MaxItems", &MAX_ITEMS),
        ],
        errors: &["InvalidInput", "NoSuchEntity", "ServiceFailure"],
        state: done!(tags),
        ..row!("iam", "ListMFADeviceTags")
    },
];

fn serial(call: &Call) -> &str {
    call.args.needed("SerialNumber")
}

fn codes(call: &Call) -> [&str; 2] {
    [call.args.needed("AuthenticationCode1"), call.args.needed("AuthenticationCode2")]
}

/// The root of an account has no device here.
fn of_root(serial: &str) -> QueryError {
    let message = format!("MFA Device {serial} is not the root's: second factors are of users here.");
    QueryError::new(http::StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

async fn create(call: &Call) -> Result<Reply, QueryError> {
    let (args, tags) = (&call.args, show::tags_of(&call.args));
    let name = args.needed("VirtualMFADeviceName");
    let identities = &call.shared.identities;
    let made = identities.create_device(call.account, args.text("Path"), name, &tags).await?;
    let issuer = identities.alias(call.account).await?.unwrap_or_else(|| call.account.to_string());
    let picture = qr::picture(&qr::uri(&made.name, &issuer, &made.seed));
    let mut reply = call.result();
    reply.structure("VirtualMFADevice", |reply| {
        reply.text("SerialNumber", &made.serial);
        // The model's type is bytes, which are shown in base 64.
        reply.text("Base32StringSeed", &STANDARD.encode(made.seed.as_bytes()));
        if let Some(picture) = &picture {
            reply.text("QRCodePNG", &STANDARD.encode(picture.as_slice()));
        }
        show::tags(reply, &made.tags);
    });
    Ok(reply)
}

async fn delete(call: &Call) -> Result<Reply, QueryError> {
    call.shared.identities.delete_device(call.account, serial(call)).await?;
    Ok(call.nothing())
}

async fn enable(call: &Call) -> Result<Reply, QueryError> {
    let (user, identities) = (call.args.needed("UserName"), &call.shared.identities);
    identities.enable_device(call.account, user, serial(call), codes(call)).await?;
    Ok(call.nothing())
}

async fn resync(call: &Call) -> Result<Reply, QueryError> {
    let (user, identities) = (call.args.needed("UserName"), &call.shared.identities);
    identities.resync_device(call.account, user, serial(call), codes(call)).await?;
    Ok(call.nothing())
}

async fn deactivate(call: &Call) -> Result<Reply, QueryError> {
    let Whom::User(user) = whom(&call.principal, &call.args, "UserName")? else {
        return Err(of_root(serial(call)));
    };
    call.shared.identities.deactivate_device(call.account, user, serial(call)).await?;
    Ok(call.nothing())
}

fn shown(reply: &mut Reply, device: &Device) {
    if let Some((user, _)) = &device.user {
        reply.text("UserName", &user.name);
    }
    reply.text("SerialNumber", &device.serial);
    if let Some((_, enabled)) = &device.user {
        reply.time("EnableDate", *enabled);
    }
}

async fn get(call: &Call) -> Result<Reply, QueryError> {
    let Whom::User(user) = whom(&call.principal, &call.args, "UserName")? else {
        return Err(of_root(serial(call)));
    };
    let device = call.shared.identities.device(call.account, serial(call), Some(user)).await?;
    let mut reply = call.result();
    shown(&mut reply, &device);
    Ok(reply)
}

async fn list(call: &Call) -> Result<Reply, QueryError> {
    let mut reply = call.result();
    match whom(&call.principal, &call.args, "UserName")? {
        Whom::User(user) => {
            let page = call.shared.identities.devices(call.account, user, call.paging()).await?;
            reply.list("MFADevices", &page.items, shown);
            call.paged(&mut reply, page.next.as_deref())?;
        }
        Whom::Root => {
            reply.texts("MFADevices", []);
            reply.value("IsTruncated", false);
        }
    }
    Ok(reply)
}

async fn list_all(call: &Call) -> Result<Reply, QueryError> {
    let assigned = match call.args.text("AssignmentStatus") {
        Some("Assigned") => Some(true),
        Some("Unassigned") => Some(false),
        _ => None,
    };
    let page = call.shared.identities.all_devices(call.account, assigned, call.paging()).await?;
    let mut reply = call.result();
    reply.list("VirtualMFADevices", &page.items, |reply, device| {
        reply.text("SerialNumber", &device.serial);
        if let Some((user, enabled)) = &device.user {
            reply.structure("User", |reply| show::user(reply, user));
            reply.time("EnableDate", *enabled);
        }
    });
    call.paged(&mut reply, page.next.as_deref())?;
    Ok(reply)
}

async fn tag(call: &Call) -> Result<Reply, QueryError> {
    let tags = show::tags_of(&call.args);
    call.shared.identities.retag_device(call.account, serial(call), (&tags, &[])).await?;
    Ok(call.nothing())
}

async fn untag(call: &Call) -> Result<Reply, QueryError> {
    let keys = call.args.texts("TagKeys");
    call.shared.identities.retag_device(call.account, serial(call), (&[], &keys)).await?;
    Ok(call.nothing())
}

async fn tags(call: &Call) -> Result<Reply, QueryError> {
    let all = call.shared.identities.device(call.account, serial(call), None).await?.tags;
    let paging = call.paging();
    let behind = paging.after.and_then(|after| all.iter().position(|tag| tag.key == after));
    let rest = all.get(behind.map_or(0, |at| at + 1)..).unwrap_or_default();
    let page: &[Tag] = rest.get(..paging.limit).unwrap_or(rest);
    let mut reply = call.result();
    show::tags(&mut reply, page);
    call.paged(&mut reply, page.last().filter(|_| page.len() < rest.len()).map(|tag| tag.key.as_str()))?;
    Ok(reply)
}
