//! Things of IAM as answers show them, and tags as requests bring them.

use crate::query::{Args, Reply};
use security::identity::{Group, ManagedPolicy, Role, Tag, User};

/// The tags that a request brings.
pub(super) fn tags_of(args: &Args) -> Vec<Tag> {
    let tag = |tag: &Args| Tag { key: tag.needed("Key").to_owned(), value: tag.needed("Value").to_owned() };
    args.structures("Tags").map(tag).collect()
}

/// `Tags`
pub(super) fn tags(reply: &mut Reply, tags: &[Tag]) {
    reply.list("Tags", tags, |reply, tag| {
        reply.text("Key", &tag.key);
        reply.text("Value", &tag.value);
    });
}

/// Tags, where there are any: a listing has none.
fn tags_if_any(reply: &mut Reply, all: &[Tag]) {
    if !all.is_empty() {
        tags(reply, all);
    }
}

fn boundary(reply: &mut Reply, arn: Option<&str>) {
    if let Some(arn) = arn {
        reply.structure("PermissionsBoundary", |reply| {
            reply.text("PermissionsBoundaryType", "Policy");
            reply.text("PermissionsBoundaryArn", arn);
        });
    }
}

/// Fields of a user.
pub(super) fn user(reply: &mut Reply, user: &User) {
    reply.text("Path", &user.path);
    reply.text("UserName", &user.name);
    reply.text("UserId", &user.id);
    reply.text("Arn", &user.arn);
    reply.time("CreateDate", user.created);
    if let Some(used) = user.password_used {
        reply.time("PasswordLastUsed", used);
    }
    boundary(reply, user.boundary.as_deref());
    tags_if_any(reply, &user.tags);
}

/// Fields of a group.
pub(super) fn group(reply: &mut Reply, group: &Group) {
    reply.text("Path", &group.path);
    reply.text("GroupName", &group.name);
    reply.text("GroupId", &group.id);
    reply.text("Arn", &group.arn);
    reply.time("CreateDate", group.created);
}

/// Fields of a role, its last use aside.
pub(super) fn role(reply: &mut Reply, role: &Role) {
    reply.text("Path", &role.path);
    reply.text("RoleName", &role.name);
    reply.text("RoleId", &role.id);
    reply.text("Arn", &role.arn);
    reply.time("CreateDate", role.created);
    reply.document("AssumeRolePolicyDocument", &role.trust);
    reply.optional("Description", role.description.as_deref());
    reply.value("MaxSessionDuration", role.max_session_secs);
    boundary(reply, role.boundary.as_deref());
    tags_if_any(reply, &role.tags);
}

/// Fields of a managed policy.
pub(super) fn policy(reply: &mut Reply, policy: &ManagedPolicy) {
    reply.text("PolicyName", &policy.name);
    reply.text("PolicyId", &policy.id);
    reply.text("Arn", &policy.arn);
    reply.text("Path", &policy.path);
    reply.text("DefaultVersionId", &policy.default_version);
    reply.value("AttachmentCount", policy.attachments);
    reply.value("PermissionsBoundaryUsageCount", policy.boundaries);
    reply.value("IsAttachable", policy.attachable);
    reply.optional("Description", policy.description.as_deref());
    reply.time("CreateDate", policy.created);
    reply.time("UpdateDate", policy.updated);
    tags_if_any(reply, &policy.tags);
}
