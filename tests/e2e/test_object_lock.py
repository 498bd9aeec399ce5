"""Object lock as boto3 drives it: what is locked stays, however it is asked to go."""

import datetime
import json
import shutil
import subprocess

import pytest
from conftest import client, new_bucket
from s3_errors import refused

UNTIL = datetime.datetime(2090, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture
def lockable(s3):
    bucket = new_bucket(s3, ObjectLockEnabledForBucket=True)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    return bucket


def test_governance_yields_to_a_bypass_and_compliance_to_nobody(s3, lockable):
    for mode, gone in [("GOVERNANCE", True), ("COMPLIANCE", False)]:
        put = s3.put_object(
            Bucket=lockable, Key=mode, Body=b"x", ObjectLockMode=mode, ObjectLockRetainUntilDate=UNTIL
        )
        named = {"Bucket": lockable, "Key": mode, "VersionId": put["VersionId"]}
        head = s3.head_object(**named)
        assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == (mode, UNTIL)
        with refused("AccessDenied", 403):
            s3.delete_object(**named)
        one = {"Objects": [{"Key": mode, "VersionId": put["VersionId"]}]}
        errors = s3.delete_objects(Bucket=lockable, Delete=one)["Errors"]
        assert [error["Code"] for error in errors] == ["AccessDenied"]
        if gone:
            s3.delete_object(**named, BypassGovernanceRetention=True)
        else:
            with refused("AccessDenied", 403):
                s3.delete_object(**named, BypassGovernanceRetention=True)
            with refused("AccessDenied", 403):
                earlier = {"Mode": mode, "RetainUntilDate": UNTIL - datetime.timedelta(days=1)}
                s3.put_object_retention(**named, Retention=earlier, BypassGovernanceRetention=True)


def test_a_legal_hold_holds_until_it_is_turned_off(s3, lockable):
    put = s3.put_object(Bucket=lockable, Key="k", Body=b"x")
    named = {"Bucket": lockable, "Key": "k", "VersionId": put["VersionId"]}
    s3.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(**named)["LegalHold"]["Status"] == "ON"
    with refused("AccessDenied", 403):
        s3.delete_object(**named, BypassGovernanceRetention=True)
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    s3.delete_object(**named)


def test_a_default_retention_locks_puts_copies_and_uploads(s3, lockable):
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=lockable, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=lockable)["ObjectLockConfiguration"] == configuration
    versions = {"put": s3.put_object(Bucket=lockable, Key="put", Body=b"x")["VersionId"]}
    source = {"Bucket": lockable, "Key": "put"}
    versions["copy"] = s3.copy_object(Bucket=lockable, Key="copy", CopySource=source)["VersionId"]
    upload = s3.create_multipart_upload(Bucket=lockable, Key="parts")["UploadId"]
    named = {"Bucket": lockable, "Key": "parts", "UploadId": upload}
    part = s3.upload_part(**named, PartNumber=1, Body=b"part")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    versions["parts"] = s3.complete_multipart_upload(**named, MultipartUpload=parts)["VersionId"]
    for key, version in versions.items():
        assert s3.get_object_retention(Bucket=lockable, Key=key)["Retention"]["Mode"] == "COMPLIANCE", key
        with refused("AccessDenied", 403):
            s3.delete_object(Bucket=lockable, Key=key, VersionId=version, BypassGovernanceRetention=True)
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket=lockable, VersioningConfiguration={"Status": "Suspended"})
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=lockable)


def test_a_rehearsals_day_is_as_long_as_it_was_made(fresh):
    fresh.start("--debug-day", "10s")
    s3 = client(fresh)
    bucket = new_bucket(s3, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    head = s3.head_object(Bucket=bucket, Key="k")
    kept = (head["ObjectLockRetainUntilDate"] - head["LastModified"]).total_seconds()
    # Three of its days. HTTP dates have whole seconds, and the compliance clock may lag behind by some.
    assert 20 <= kept <= 31, kept
    # It says so wherever somebody looks.
    here = str(fresh.directory)
    assert json.loads(fresh.firn("status", here, "--json").stdout)["debug_day_ms"] == 10_000
    for verb in ("status", "doctor"):
        assert b"rehearsal" in fresh.firn(verb, here).stdout.lower(), verb
    assert "rehearsal" in fresh.log.read_text()


def offline(appliance, *arguments: str) -> bytes:
    """A verb of the appliance's directory while no server runs."""
    return subprocess.run([appliance.binary, *arguments], check=True, capture_output=True, timeout=60).stdout


def test_what_a_recovery_holds_is_counted_and_released_by_the_bucket(fresh, tmp_path):
    config, target, key = (tmp_path / name for name in ("firn.toml", "backup", "recovery.key"))
    config.write_text(f'[pool]\ndirectory = "{tmp_path}/pool"\n[backup]\ntarget = "{target}"\n')
    fresh.start("--config", str(config)).kill()
    made = offline(fresh, "backup", "key", str(fresh.directory), "--json")
    key.write_text(json.loads(made)["recovery_key"])
    fresh.start("--config", str(config))
    bucket = new_bucket(client(fresh), ObjectLockEnabledForBucket=True)
    put = client(fresh).put_object(Bucket=bucket, Key="k", Body=b"x")
    named = {"Bucket": bucket, "Key": "k", "VersionId": put["VersionId"]}
    fresh.firn("backup", "now", str(fresh.directory))
    fresh.kill()
    shutil.rmtree(fresh.directory)
    offline(fresh, "recover", str(fresh.directory), "--from", str(target), "--key", str(key))
    fresh.start("--config", str(config))

    here = str(fresh.directory)
    assert json.loads(fresh.firn("status", here, "--json").stdout)["held_locks"][0]["versions"] == 1
    assert b"1 version is held since a recovery: firn lock ls" in fresh.firn("status", here).stdout
    doctor = fresh.firn("doctor", here).stdout
    assert b"1 version in 1 bucket held" in doctor and b"firn lock release s3://BUCKET" in doctor
    assert f"s3://{bucket}  1 version".encode() in fresh.firn("lock", "ls", here).stdout
    asked = fresh.firn("lock", "release", f"s3://{bucket}", here, check=False)
    assert asked.returncode == 2 and b"1 version held since a recovery would be released" in asked.stdout
    with refused("AccessDenied", 403):
        client(fresh).delete_object(**named)
    assert b"1 version released" in fresh.firn("lock", "release", f"s3://{bucket}", here, "--yes").stdout
    client(fresh).delete_object(**named)
    assert json.loads(fresh.firn("status", here, "--json").stdout)["held_locks"] == []
