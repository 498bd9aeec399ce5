"""Users, groups, roles, policies and sessions with boto3 and aws-cli, unmodified."""

import json
import os
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError
from identities import allow, deny, new_user, policy, refused, service, session, trust


@pytest.fixture
def account(fresh):
    """An appliance of the test's own, and its root's client of IAM."""
    fresh.start()
    return fresh, service(fresh, "iam")


def account_id(appliance):
    return service(appliance, "sts").get_caller_identity()["Account"]


def test_a_user_is_made_shown_renamed_and_deleted(account):
    appliance, iam = account
    number = account_id(appliance)
    made = iam.create_user(UserName="Alice", Path="/lab/", Tags=[{"Key": "team", "Value": "Ärzte"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{number}:user/lab/Alice" and made["UserId"].startswith("AIDA")
    assert made["Tags"] == [{"Key": "team", "Value": "Ärzte"}]
    shown = iam.get_user(UserName="alice")["User"]
    assert shown == made
    refused("EntityAlreadyExists", 409, iam.create_user, UserName="ALICE")
    refused("NoSuchEntity", 404, iam.get_user, UserName="bob")
    iam.update_user(UserName="Alice", NewUserName="Alys", NewPath="/")
    assert iam.get_user(UserName="Alys")["User"]["Arn"] == f"arn:aws:iam::{number}:user/Alys"
    assert iam.get_user(UserName="Alys")["User"]["UserId"] == made["UserId"]
    iam.tag_user(UserName="Alys", Tags=[{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}])
    assert iam.list_user_tags(UserName="Alys")["Tags"] == [{"Key": "team", "Value": "b"}, {"Key": "x", "Value": ""}]
    iam.untag_user(UserName="Alys", TagKeys=["team"])
    assert iam.list_user_tags(UserName="Alys")["Tags"] == [{"Key": "x", "Value": ""}]
    key = iam.create_access_key(UserName="Alys")["AccessKey"]
    assert len(key["AccessKeyId"]) == 20 and len(key["SecretAccessKey"]) == 40 and key["Status"] == "Active"
    refused("DeleteConflict", 409, iam.delete_user, UserName="Alys")
    iam.delete_access_key(UserName="Alys", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="Alys")
    refused("NoSuchEntity", 404, iam.delete_user, UserName="Alys")
    assert iam.list_users()["Users"] == []
    # The root is told who it is.
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{number}:root"


def test_keys_are_two_and_their_last_use_is_told(account):
    appliance, iam = account
    keys = new_user(iam, "alice", allow("s3:*"))
    assert iam.get_access_key_last_used(AccessKeyId=keys[0])["AccessKeyLastUsed"]["ServiceName"] == "N/A"
    service(appliance, "s3", keys).create_bucket(Bucket="bucket")
    used = iam.get_access_key_last_used(AccessKeyId=keys[0])
    assert used["UserName"] == "alice"
    second = iam.create_access_key(UserName="alice")["AccessKey"]["AccessKeyId"]
    refused("LimitExceeded", 409, iam.create_access_key, UserName="alice")
    listed = iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]
    assert {key["AccessKeyId"] for key in listed} == {keys[0], second}
    assert all("SecretAccessKey" not in key for key in listed)
    iam.update_access_key(UserName="alice", AccessKeyId=keys[0], Status="Inactive")
    refused("InvalidAccessKeyId", 403, service(appliance, "s3", keys).list_buckets)
    refused("InvalidClientTokenId", 403, service(appliance, "sts", keys).get_caller_identity)
    assert service(appliance, "sts").get_access_key_info(AccessKeyId=second)["Account"] == account_id(appliance)


def test_policies_are_attached_versioned_and_counted(account):
    appliance, iam = account
    keys = new_user(iam, "alice")
    s3 = service(appliance, "s3", keys)
    text = policy(allow("s3:ListAllMyBuckets"))
    made = iam.create_policy(PolicyName="Lists", PolicyDocument=text, Description="d", Path="/a/")["Policy"]
    arn = made["Arn"]
    assert made["DefaultVersionId"] == "v1" and made["AttachmentCount"] == 0 and made["IsAttachable"]
    refused("AccessDenied", 403, s3.list_buckets)
    iam.attach_user_policy(UserName="alice", PolicyArn=arn)
    s3.list_buckets()
    assert iam.list_attached_user_policies(UserName="alice")["AttachedPolicies"] == [
        {"PolicyName": "Lists", "PolicyArn": arn}
    ]
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == "alice"
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == json.loads(text)
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(deny("s3:*")), SetAsDefault=True)
    assert made["PolicyVersion"]["VersionId"] == "v2" and made["PolicyVersion"]["IsDefaultVersion"]
    refused("AccessDenied", 403, s3.list_buckets)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    s3.list_buckets()
    refused("DeleteConflict", 409, iam.delete_policy_version, PolicyArn=arn, VersionId="v1")
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v2", "v1"]
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    refused("DeleteConflict", 409, iam.delete_policy, PolicyArn=arn)
    iam.detach_user_policy(UserName="alice", PolicyArn=arn)
    refused("NoSuchEntity", 404, iam.detach_user_policy, UserName="alice", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    assert iam.list_policies(Scope="Local")["Policies"] == []
    message = refused("MalformedPolicyDocument", 400, iam.create_policy, PolicyName="x", PolicyDocument='{"Statement":[{}]}')
    assert "Statement" in message


def test_groups_give_their_members_what_they_have(account):
    appliance, iam = account
    keys = new_user(iam, "alice")
    group = iam.create_group(GroupName="readers")["Group"]
    assert group["GroupId"].startswith("AGPA")
    iam.put_group_policy(GroupName="readers", PolicyName="reads", PolicyDocument=policy(allow("s3:List*")))
    got = iam.get_group_policy(GroupName="readers", PolicyName="reads")
    assert got["PolicyDocument"]["Statement"][0]["Action"] == "s3:List*"
    iam.add_user_to_group(GroupName="readers", UserName="alice")
    assert [user["UserName"] for user in iam.get_group(GroupName="readers")["Users"]] == ["alice"]
    assert iam.list_groups_for_user(UserName="alice")["Groups"][0]["GroupName"] == "readers"
    service(appliance, "s3", keys).list_buckets()
    refused("DeleteConflict", 409, iam.delete_group, GroupName="readers")
    iam.remove_user_from_group(GroupName="readers", UserName="alice")
    refused("AccessDenied", 403, service(appliance, "s3", keys).list_buckets)
    iam.delete_group_policy(GroupName="readers", PolicyName="reads")
    iam.delete_group(GroupName="readers")


def test_a_boundary_bounds_and_says_so(account):
    appliance, iam = account
    keys = new_user(iam, "alice", allow("*"))
    arn = iam.create_policy(PolicyName="only-s3", PolicyDocument=policy(allow("s3:*")))["Policy"]["Arn"]
    own = service(appliance, "iam", keys)
    assert len(own.list_users()["Users"]) == 1
    iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=arn)
    assert iam.get_user(UserName="alice")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    message = refused("AccessDenied", 403, own.list_users)
    assert "because no permissions boundary allows the iam:ListUsers action" in message
    service(appliance, "s3", keys).list_buckets()
    iam.delete_user_permissions_boundary(UserName="alice")
    own.list_users()


def test_who_is_denied_is_told_who_what_and_why(account):
    appliance, iam = account
    keys = new_user(iam, "alice")
    own, number = service(appliance, "iam", keys), account_id(appliance)
    message = refused("AccessDenied", 403, own.create_user, UserName="bob", Path="/x/")
    assert message == (
        f"User: arn:aws:iam::{number}:user/alice is not authorized to perform: iam:CreateUser on resource: "
        f"arn:aws:iam::{number}:user/x/bob because no identity-based policy allows the iam:CreateUser action"
    )
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=policy(allow("*"), deny("iam:CreateUser")))
    message = refused("AccessDenied", 403, own.create_user, UserName="bob")
    assert message.endswith("with an explicit deny in an identity-based policy")
    # By path, by tag, and by both names of a renaming.
    iam.create_user(UserName="bob", Path="/x/", Tags=[{"Key": "team", "Value": "a"}])
    iam.put_user_policy(
        UserName="alice",
        PolicyName="p",
        PolicyDocument=policy(
            allow("iam:GetUser", f"arn:aws:iam::{number}:user/x/*"),
            allow("iam:UpdateUser", f"arn:aws:iam::{number}:user/x/*"),
            allow("iam:DeleteUser", Condition={"StringEquals": {"aws:ResourceTag/team": "a"}}),
            allow("iam:TagUser", Condition={"ForAllValues:StringEquals": {"aws:TagKeys": ["colour"]}}),
        ),
    )
    own.get_user(UserName="bob")
    refused("AccessDenied", 403, own.get_user, UserName="alice")
    refused("AccessDenied", 403, own.update_user, UserName="bob", NewPath="/y/")
    own.update_user(UserName="bob", NewUserName="rob", NewPath="/x/z/")
    own.tag_user(UserName="rob", Tags=[{"Key": "colour", "Value": "red"}])
    refused("AccessDenied", 403, own.tag_user, UserName="rob", Tags=[{"Key": "team", "Value": "b"}])
    refused("AccessDenied", 403, own.delete_user, UserName="alice")
    own.delete_user(UserName="rob")


def test_roles_are_assumed_by_whom_they_trust(account):
    appliance, iam = account
    number = account_id(appliance)
    keys = new_user(iam, "alice", allow("sts:AssumeRole"))
    document = trust(f"arn:aws:iam::{number}:user/alice", Condition={"StringEquals": {"sts:ExternalId": "42"}})
    role = iam.create_role(RoleName="job", AssumeRolePolicyDocument=document, MaxSessionDuration=7200, Description="d")["Role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(document) and role["RoleId"].startswith("AROA")
    iam.put_role_policy(RoleName="job", PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    sts = service(appliance, "sts", keys)
    wanted = {"RoleArn": role["Arn"], "RoleSessionName": "one"}
    refused("AccessDenied", 403, sts.assume_role, **wanted)
    refused("ValidationError", 400, sts.assume_role, **wanted, ExternalId="42", DurationSeconds=7201)
    got = sts.assume_role(**wanted, ExternalId="42", Policy=policy(allow("s3:ListAllMyBuckets")))
    assert got["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{number}:assumed-role/job/one"
    assert 0 < got["PackedPolicySize"] <= 100
    s3 = session(appliance, "s3", got["Credentials"])
    s3.list_buckets()
    refused("AccessDenied", 403, s3.create_bucket, Bucket="bucket")
    who = session(appliance, "sts", got["Credentials"]).get_caller_identity()
    assert who["UserId"] == f"{role['RoleId']}:one"
    iam.update_assume_role_policy(RoleName="job", PolicyDocument=trust("*"))
    iam.update_role(RoleName="job", MaxSessionDuration=3600)
    assert iam.get_role(RoleName="job")["Role"]["MaxSessionDuration"] == 3600
    assert [role["RoleName"] for role in iam.list_roles()["Roles"]] == ["job"]
    iam.delete_role_policy(RoleName="job", PolicyName="p")
    iam.delete_role(RoleName="job")
    with pytest.raises(ClientError):
        s3.list_buckets()


def test_listings_are_paged_by_the_sdks_own_paginators(account):
    _, iam = account
    for at in range(7):
        iam.create_user(UserName=f"user-{at}", Path="/a/" if at % 2 else "/b/")
        iam.create_group(GroupName=f"group-{at}")
    pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Users"]) for page in pages] == [3, 3, 1]
    names = [user["UserName"] for page in pages for user in page["Users"]]
    assert names == [f"user-{at}" for at in range(7)]
    assert len(iam.list_users(PathPrefix="/a/")["Users"]) == 3
    groups = iam.get_paginator("list_groups").paginate(PaginationConfig={"PageSize": 1, "MaxItems": 4})
    assert len(groups.build_full_result()["Groups"]) == 4


def test_an_account_has_an_alias_and_a_summary(account):
    _, iam = account
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="the-lab")
    assert iam.list_account_aliases()["AccountAliases"] == ["the-lab"]
    refused("NoSuchEntity", 404, iam.delete_account_alias, AccountAlias="other")
    iam.delete_account_alias(AccountAlias="the-lab")
    new_user(iam, "alice")
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] == 1 and summary["Groups"] == 0 and summary["AccessKeysPerUserQuota"] == 2


def test_what_was_made_is_there_after_a_restart(account):
    appliance, iam = account
    keys = new_user(iam, "alice", allow("s3:ListAllMyBuckets"))
    assert appliance.stop() == 0
    appliance.start()
    service(appliance, "s3", keys).list_buckets()
    assert service(appliance, "sts", keys).get_caller_identity()["Arn"].endswith(":user/alice")
    appliance.kill()
    appliance.start()
    service(appliance, "s3", keys).list_buckets()


def test_iam_is_signed_for_the_appliances_region_or_for_where_aws_has_it(fresh, monkeypatch):
    monkeypatch.setenv("FIRN_REGION", "eu-central-1")
    fresh.start()
    for name, call in [("iam", "list_users"), ("sts", "get_caller_identity")]:
        for region in ["eu-central-1", "us-east-1"]:
            getattr(service(fresh, name, region=region), call)()
        refused("IncompleteSignature", 400, getattr(service(fresh, name, region="eu-west-1"), call))


def test_aws_cli_speaks_iam_and_sts(account, aws):
    appliance, _ = account
    environment = {**os.environ, **appliance.environment()}

    def run(*arguments, succeeds=True):
        done = subprocess.run(
            [aws, "--endpoint-url", appliance.endpoint, *arguments],
            env=environment, capture_output=True, text=True, check=False,
        )
        assert (done.returncode == 0) == succeeds, done.stderr
        return done.stdout if succeeds else done.stderr

    run("iam", "create-user", "--user-name", "alice", "--tags", "Key=team,Value=a b")
    run("iam", "put-user-policy", "--user-name", "alice", "--policy-name", "p", "--policy-document", policy(allow("s3:*")))
    assert json.loads(run("iam", "get-user", "--user-name", "alice", "--output", "json"))["User"]["UserName"] == "alice"
    assert run("iam", "list-users", "--query", "Users[].UserName", "--output", "text").strip() == "alice"
    key = json.loads(run("iam", "create-access-key", "--user-name", "alice", "--output", "json"))["AccessKey"]
    assert account_id(appliance) in run("sts", "get-caller-identity")
    environment |= {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    assert "user/alice" in run("sts", "get-caller-identity")
    assert "AccessDenied" in run("iam", "list-users", succeeds=False)
    run("s3api", "create-bucket", "--bucket", "of-alice")


def test_sessions_and_clocks_of_a_rehearsal_are_real_ones(fresh):
    # Scaled by such a day, the quarter of an hour of the session, and of the skew that is allowed, would be a millisecond.
    fresh.start("--debug-day", "100ms")
    iam = service(fresh, "iam")
    keys = new_user(iam, "alice", allow("sts:AssumeRole"))
    arn = iam.create_role(RoleName="job", AssumeRolePolicyDocument=trust("*"))["Role"]["Arn"]
    iam.put_role_policy(RoleName="job", PolicyName="p", PolicyDocument=policy(allow("s3:*")))
    sts = service(fresh, "sts", keys)
    got = sts.assume_role(RoleArn=arn, RoleSessionName="one", DurationSeconds=900)["Credentials"]
    left = got["Expiration"] - datetime.now(timezone.utc)
    assert timedelta(minutes=10) < left <= timedelta(minutes=16), left
    s3 = session(fresh, "s3", got)
    s3.create_bucket(Bucket="bucket")
    put = s3.put_object(Bucket="bucket", Key="k", Body=b"x")["ResponseMetadata"]["HTTPHeaders"]
    assert put["x-firn-debug-day"] == "100ms"
    modified = s3.head_object(Bucket="bucket", Key="k")["LastModified"]
    assert abs(modified - datetime.now(timezone.utc)) < timedelta(minutes=5), "what is shown is real"
