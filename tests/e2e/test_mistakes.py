"""What firn's verbs say of what is in no list of objects, and of what is locked: by unmodified clients made, by firn seen."""

import datetime
import json

import pytest
from conftest import new_bucket
from s3_errors import refused

MIB = 1 << 20


def document(appliance, *arguments, code=0):
    ended = appliance.firn("--json", *arguments, check=False)
    assert ended.returncode == code, ended
    return json.loads(ended.stdout) if ended.stdout else json.loads(ended.stderr)


def told(appliance, *arguments, check=True):
    """What people read on stdout."""
    return appliance.firn(*arguments, check=check).stdout.decode()


def begin(s3, bucket, key, *sizes):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    for number, size in enumerate(sizes, 1):
        s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=b"p" * size)
    return upload


def test_unfinished_uploads_are_shown_and_given_up(appliance, s3, bucket):
    begin(s3, bucket, "d/one", 100, 200)
    begin(s3, bucket, "d/two", 300)
    kept = begin(s3, bucket, "dd", 400)
    s3.put_object(Bucket=bucket, Key="d/whole", Body=b"w")
    assert document(appliance, "du", f"s3://{bucket}")["unfinished"] == {"uploads": 3, "bytes": 1000}
    assert document(appliance, "du", f"s3://{bucket}/d")["unfinished"] == {"uploads": 2, "bytes": 600}
    assert document(appliance, "stat", f"s3://{bucket}")["unfinished"] == {"uploads": 3, "bytes": 1000}
    assert "3 uploads" in told(appliance, "du", f"s3://{bucket}")
    listed = told(appliance, "--json", "ls", "--uploads", f"s3://{bucket}/d").splitlines()
    lines = [json.loads(line) for line in listed]
    assert [(line["kind"], line["key"], line["parts"], line["bytes"]) for line in lines] == [
        ("upload", "d/one", 2, 300),
        ("upload", "d/two", 1, 300),
    ]
    tried = document(appliance, "rm", "--uploads", "--dry-run", f"s3://{bucket}/d")
    assert (tried["dry_run"], tried["uploads"], tried["bytes"]) == (True, 2, 600)
    assert document(appliance, "rm", "--uploads", f"s3://{bucket}/d")["uploads"] == 2
    (left,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert left["UploadId"] == kept
    s3.delete_object(Bucket=bucket, Key="d/whole")
    removed = document(appliance, "rb", "--dry-run", f"s3://{bucket}")
    assert (removed["unfinished_uploads"], removed["unfinished_bytes"]) == (1, 400)
    assert "1 unfinished upload" in told(appliance, "rb", f"s3://{bucket}")


def test_an_upload_that_a_quota_refuses_for_good_leaves_no_parts(appliance, s3, bucket, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(b"l" * (24 * MIB))
    appliance.firn("quota", "set", f"s3://{bucket}", "--bytes", "20MiB")
    ended = appliance.firn("cp", str(large), f"s3://{bucket}/large", check=False)
    assert ended.returncode == 5 and b"its parts are removed again" in ended.stderr, ended
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.fixture
def locked(s3):
    """A bucket with object lock: one version that a legal hold keeps, and one that nothing does."""
    name = new_bucket(s3, ObjectLockEnabledForBucket=True)
    s3.put_object(Bucket=name, Key="free", Body=b"f")
    version = s3.put_object(Bucket=name, Key="held", Body=b"h")["VersionId"]
    s3.put_object_legal_hold(Bucket=name, Key="held", LegalHold={"Status": "ON"})
    yield name, version
    s3.put_object_legal_hold(Bucket=name, Key="held", VersionId=version, LegalHold={"Status": "OFF"})


def test_a_dry_run_ends_as_the_real_run_does_under_object_lock(appliance, s3, locked):
    bucket, version = locked
    tried = document(appliance, "rb", "--force", "--dry-run", f"s3://{bucket}", code=3)
    assert (tried["removed"], tried["failed"][0]["key"]) == (1, "held")
    assert [gone["key"] for gone in tried["would_remove"]] == ["free"]
    assert "would remove bucket" not in told(appliance, "rb", "--force", "--dry-run", f"s3://{bucket}", check=False)
    document(appliance, "rm", "-r", "--versions", "--dry-run", f"s3://{bucket}", code=3)
    one = ["rm", f"s3://{bucket}/held", "--version-id", version]
    tried = document(appliance, *one, "--dry-run", code=5)
    assert "object lock" in tried["error"] and "firn stat --version-id" in tried["hint"]
    # The real runs.
    refusal = document(appliance, *one, code=5)
    assert "firn stat --version-id" in refusal["hint"]
    document(appliance, "rm", "-r", "--versions", f"s3://{bucket}", code=3)
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="free")
    s3.get_object(Bucket=bucket, Key="held")


def test_stat_shows_what_holds_a_version(appliance, s3, locked):
    bucket, version = locked
    assert document(appliance, "stat", f"s3://{bucket}")["object_lock"]["default_mode"] is None
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    shown = document(appliance, "stat", f"s3://{bucket}")["object_lock"]
    assert shown == {"default_mode": "GOVERNANCE", "default_period": "1 day"}
    assert "object lock on; new versions are held 1 day" in told(appliance, "stat", f"s3://{bucket}")
    held = document(appliance, "stat", f"s3://{bucket}/held", "--version-id", version)["lock"]
    assert (held["legal_hold"], held["mode"]) == (True, None)
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3600)
    s3.put_object_retention(
        Bucket=bucket, Key="held", VersionId=version, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
    )
    held = document(appliance, "stat", f"s3://{bucket}/held")["lock"]
    assert (held["mode"], held["retain_until"][:10]) == ("GOVERNANCE", until.strftime("%Y-%m-%d"))
    assert "legal hold     on" in told(appliance, "stat", f"s3://{bucket}/held")
    s3.put_object_retention(
        Bucket=bucket, Key="held", VersionId=version, Retention={}, BypassGovernanceRetention=True
    )


def test_a_bucket_without_a_lock_shows_none(appliance, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"k")
    assert document(appliance, "stat", f"s3://{bucket}")["object_lock"] is None
    assert document(appliance, "stat", f"s3://{bucket}/k")["lock"] is None
