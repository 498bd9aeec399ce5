"""Passwords, second factors and `firn login`, with boto3 and aws-cli, unmodified."""

import base64
import csv
import hashlib
import hmac
import io
import json
import os
import re
import struct
import subprocess
import time

import pytest
from identities import allow, new_user, refused, service, session, trust

FIRST, SECOND = "Correct-horse-1", "Battery-staple-2"
WITH_MFA = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}


@pytest.fixture
def account(fresh):
    """An appliance of the test's own, and its root's client of IAM."""
    fresh.start()
    return fresh, service(fresh, "iam")


class Phone:
    """An authenticator app whose clock is behind, so that nobody has to wait for its next code."""

    def __init__(self, iam, user, name):
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
        assert made["QRCodePNG"].startswith(b"\x89PNG\r\n")
        self.iam, self.user, self.serial = iam, user, made["SerialNumber"]
        self.seed = base64.b32decode(made["Base32StringSeed"])
        self.step = int(time.time()) // 30 - 1000
        iam.enable_mfa_device(
            UserName=user,
            SerialNumber=self.serial,
            AuthenticationCode1=self.code(self.step),
            AuthenticationCode2=self.code(self.step + 1),
        )
        self.step += 1

    def code(self, step):
        digest = hmac.new(self.seed, struct.pack(">q", step), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"

    def shows(self):
        """A code that nobody has taken."""
        self.iam.resync_mfa_device(
            UserName=self.user,
            SerialNumber=self.serial,
            AuthenticationCode1=self.code(self.step + 1),
            AuthenticationCode2=self.code(self.step + 2),
        )
        self.step += 3
        return self.code(self.step)


def login(appliance, *arguments, lines, check=True):
    """`firn login` of somebody whose password is on stdin."""
    return appliance.firn("login", *arguments, "--password-stdin", "--json", input=lines.encode(), check=check)


def test_a_second_factor_opens_what_policies_ask_one_for_and_a_code_opens_once(account):
    appliance, iam = account
    keys = new_user(iam, "alice", allow(["s3:ListAllMyBuckets", "iam:ListUsers"], **WITH_MFA))
    sts, phone = service(appliance, "sts", keys), Phone(iam, "alice", "phone")
    refused("AccessDenied", 403, service(appliance, "s3", keys).list_buckets)
    refused("AccessDenied", 403, session(appliance, "s3", sts.get_session_token()["Credentials"]).list_buckets)
    code = phone.shows()
    refused("AccessDenied", 403, sts.get_session_token, SerialNumber=phone.serial)
    got = sts.get_session_token(SerialNumber=phone.serial, TokenCode=code)["Credentials"]
    session(appliance, "s3", got).list_buckets()
    assert [user["UserName"] for user in session(appliance, "iam", got).list_users()["Users"]] == ["alice"]
    refused("AccessDenied", 403, sts.get_session_token, SerialNumber=phone.serial, TokenCode=code)
    # A role whose trust asks for one.
    number = sts.get_caller_identity()["Account"]
    role = iam.create_role(
        RoleName="job", AssumeRolePolicyDocument=trust(f"arn:aws:iam::{number}:user/alice", **WITH_MFA)
    )["Role"]["Arn"]
    refused("AccessDenied", 403, sts.assume_role, RoleArn=role, RoleSessionName="one")
    sts.assume_role(RoleArn=role, RoleSessionName="one", SerialNumber=phone.serial, TokenCode=phone.shows())
    # What is listed, and what hangs on whom.
    assert [d["SerialNumber"] for d in iam.list_mfa_devices(UserName="alice")["MFADevices"]] == [phone.serial]
    listed = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert listed[0]["User"]["UserName"] == "alice" and "Base32StringSeed" not in listed[0]
    assert iam.get_mfa_device(SerialNumber=phone.serial, UserName="alice")["UserName"] == "alice"
    assert iam.get_account_summary()["SummaryMap"]["MFADevicesInUse"] == 1
    iam.tag_mfa_device(SerialNumber=phone.serial, Tags=[{"Key": "team", "Value": "a"}])
    assert iam.list_mfa_device_tags(SerialNumber=phone.serial)["Tags"] == [{"Key": "team", "Value": "a"}]
    iam.untag_mfa_device(SerialNumber=phone.serial, TagKeys=["team"])
    refused("DeleteConflict", 409, iam.delete_virtual_mfa_device, SerialNumber=phone.serial)
    taken = phone.code(phone.step)
    appliance.kill()
    appliance.start()
    sts, iam = service(appliance, "sts", keys), service(appliance, "iam")
    refused("AccessDenied", 403, sts.get_session_token, SerialNumber=phone.serial, TokenCode=taken)
    iam.deactivate_mfa_device(UserName="alice", SerialNumber=phone.serial)
    iam.delete_virtual_mfa_device(SerialNumber=phone.serial)
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []


def test_a_user_logs_in_by_a_password_and_a_code(account):
    appliance, iam = account
    new_user(iam, "alice", allow("s3:ListAllMyBuckets"))
    iam.create_login_profile(UserName="alice", Password=FIRST, PasswordResetRequired=True)
    refused("PasswordPolicyViolation", 400, iam.update_login_profile, UserName="alice", Password="short")
    first = login(appliance, "alice", lines=f"{FIRST}\n", check=False)
    assert first.returncode == 5 and "--new-password" in first.stderr.decode()
    login(appliance, "alice", "--new-password", lines=f"{FIRST}\n{SECOND}\n")
    got = json.loads(login(appliance, "alice", lines=f"{SECOND}\n").stdout)
    keys = (got["access_key_id"], got["secret_access_key"])
    service(appliance, "s3", keys, got["session_token"]).list_buckets()
    assert "PasswordLastUsed" in iam.get_user(UserName="alice")["User"]
    # Whoever it is that is not let in, it is told the same.
    told = set()
    for name, password in [("alice", FIRST), ("nobody", SECOND)]:
        error = json.loads(login(appliance, name, lines=f"{password}\n", check=False).stderr)["error"]
        told.add(re.sub(r"request [0-9a-f-]+", "", error.replace(name, "")))
    assert len(told) == 1, told
    phone = Phone(iam, "alice", "phone")
    assert login(appliance, "alice", lines=f"{SECOND}\n", check=False).returncode == 5
    code = phone.shows()
    login(appliance, "alice", "--code", code, lines=f"{SECOND}\n")
    assert login(appliance, "alice", "--code", code, lines=f"{SECOND}\n", check=False).returncode == 5
    # For a shell.
    done = appliance.firn("login", "alice", "--password-stdin", "--code", phone.shows(), input=f"{SECOND}\n".encode())
    script = done.stdout.decode() + '"$1" ls && test -n "$AWS_SESSION_TOKEN"'
    appliance.run("sh", "-c", script, "sh", appliance.binary)
    # A user goes with what it has.
    refused("DeleteConflict", 409, iam.delete_user, UserName="alice")
    removed = appliance.firn("user", "rm", "-r", "alice").stdout.decode()
    assert "the password of alice" in removed and phone.serial in removed


def test_accounts_have_rules_for_passwords(account):
    appliance, iam = account
    keys = new_user(iam, "alice")
    own = service(appliance, "iam", keys)
    refused("NoSuchEntity", 404, iam.get_account_password_policy)
    iam.create_login_profile(UserName="alice", Password=FIRST)
    refused("EntityAlreadyExists", 409, iam.create_login_profile, UserName="alice", Password=FIRST)
    refused("AccessDenied", 403, own.change_password, OldPassword=FIRST, NewPassword=SECOND)
    iam.update_account_password_policy(
        MinimumPasswordLength=12, RequireSymbols=True, AllowUsersToChangePassword=True, PasswordReusePrevention=3,
        MaxPasswordAge=90,
    )
    rules = own.get_account_password_policy()["PasswordPolicy"]
    assert rules["MinimumPasswordLength"] == 12 and rules["ExpirePasswords"] and not rules["RequireNumbers"]
    refused("PasswordPolicyViolation", 400, own.change_password, OldPassword=FIRST, NewPassword="Short-1")
    refused("PasswordPolicyViolation", 400, own.change_password, OldPassword=FIRST, NewPassword=FIRST)
    refused("AccessDenied", 403, own.change_password, OldPassword=SECOND, NewPassword=SECOND)
    own.change_password(OldPassword=FIRST, NewPassword=SECOND)
    login(appliance, "alice", lines=f"{SECOND}\n")
    assert iam.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"] is False
    iam.delete_login_profile(UserName="alice")
    refused("NoSuchEntity", 404, iam.get_login_profile, UserName="alice")
    iam.delete_account_password_policy()
    refused("NoSuchEntity", 404, iam.get_account_password_policy)


def test_passwords_are_not_guessed(account):
    appliance, iam = account
    new_user(iam, "alice")
    iam.create_login_profile(UserName="alice", Password=FIRST)
    told = [login(appliance, "alice", lines="wrong-1\n", check=False) for _ in range(9)]
    assert all(done.returncode == 5 for done in told)
    assert any(b"Try again in" in done.stderr for done in told)


def test_aws_cli_makes_and_uses_second_factors(account, aws, tmp_path):
    appliance, iam = account
    keys = new_user(iam, "alice", allow("s3:ListAllMyBuckets", **WITH_MFA))
    environment = {**os.environ, **appliance.environment()}

    def run(*arguments):
        done = subprocess.run(
            [aws, "--endpoint-url", appliance.endpoint, *arguments, "--output", "json"],
            env=environment, capture_output=True, text=True, check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    outfile = tmp_path / "code.png"
    run("iam", "create-virtual-mfa-device", "--virtual-mfa-device-name", "other", "--outfile", str(outfile),
        "--bootstrap-method", "QRCodePNG")
    assert outfile.read_bytes().startswith(b"\x89PNG\r\n")
    phone = Phone(iam, "alice", "phone")
    code = phone.shows()
    environment |= {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1]}
    got = run("sts", "get-session-token", "--serial-number", phone.serial, "--token-code", code)["Credentials"]
    environment |= {
        "AWS_ACCESS_KEY_ID": got["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": got["SecretAccessKey"],
        "AWS_SESSION_TOKEN": got["SessionToken"],
    }
    assert run("s3api", "list-buckets")["Buckets"] == []


def test_no_password_and_no_seed_is_on_the_disk_in_the_clear(account):
    appliance, iam = account
    new_user(iam, "alice")
    iam.create_login_profile(UserName="alice", Password=FIRST)
    phone = Phone(iam, "alice", "phone")
    login(appliance, "alice", "--code", phone.shows(), lines=f"{FIRST}\n")
    appliance.stop()
    canaries = [FIRST.encode(), phone.seed, base64.b32encode(phone.seed)]
    files = [path for path in appliance.directory.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        held = path.read_bytes()
        assert not any(canary in held for canary in canaries), path


def test_the_credential_report_is_csv_of_awss_columns(account):
    appliance, iam = account
    refused("ReportNotPresent", 410, iam.get_credential_report)
    keys = new_user(iam, "alice", allow("s3:ListAllMyBuckets"))
    iam.create_login_profile(UserName="alice", Password=FIRST)
    service(appliance, "s3", keys).list_buckets()
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    report = iam.get_credential_report()
    assert report["ReportFormat"] == "text/csv"
    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(report["Content"].decode()))}
    assert set(rows) == {"<root_account>", "alice"}
    assert rows["alice"]["password_enabled"] == "true" and rows["alice"]["access_key_1_active"] == "true"
    assert rows["alice"]["mfa_active"] == "false" and rows["alice"]["access_key_2_active"] == "false"
    assert rows["<root_account>"]["access_key_1_active"] == "true"
    # It is not made anew for four hours.
    new_user(iam, "bob")
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    assert iam.get_credential_report()["Content"] == report["Content"]


def test_the_access_advisor_tells_which_services_were_used(account):
    appliance, iam = account
    keys = new_user(iam, "alice", allow(["s3:ListAllMyBuckets", "kms:*"]))
    service(appliance, "s3", keys).list_buckets()
    arn = iam.get_user(UserName="alice")["User"]["Arn"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        # The note is written behind the answer.
        job = iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
        found = iam.get_service_last_accessed_details(JobId=job)
        assert found["JobStatus"] == "COMPLETED"
        used = {one["ServiceNamespace"]: one for one in found["ServicesLastAccessed"]}
        if "LastAuthenticated" in used["s3"]:
            break
    assert set(used) == {"kms", "s3"}
    assert used["s3"]["LastAuthenticatedEntity"] == arn and used["s3"]["TotalAuthenticatedEntities"] == 1
    assert used["kms"]["TotalAuthenticatedEntities"] == 0
    refused("NoSuchEntity", 404, iam.get_service_last_accessed_details, JobId="0" * 36)
    refused("NoSuchEntity", 404, iam.generate_service_last_accessed_details, Arn=arn + "x")
