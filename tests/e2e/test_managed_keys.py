"""Objects in the envelope of a managed key (SSE-KMS): through boto3 and aws-cli, unmodified; who reads them, until when, and what is left."""

import base64
import hashlib
import io
import json
import tarfile

import boto3.s3.transfer
import pytest
from conftest import client, client_of, new_bucket
from identities import allow, deny, new_user, policy, refused, service
from test_at_rest import holding


@pytest.fixture
def account(fresh):
    """An appliance of the test's own, with its root's clients of S3, KMS and IAM."""
    fresh.start()
    return fresh, client(fresh), service(fresh, "kms"), service(fresh, "iam")


def new_key(kms) -> str:
    return kms.create_key()["KeyMetadata"]["Arn"]


def by(arn, **more) -> dict:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn, **more}


def says(answer, arn, bucket_key=False) -> None:
    assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", arn)
    assert answer.get("BucketKeyEnabled", False) == bucket_key


def reads(s3, bucket, key, body, arn, bucket_key=False) -> None:
    got = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    says(got, arn, bucket_key)
    assert got["ETag"].strip('"') != hashlib.md5(body).hexdigest()
    says(s3.head_object(Bucket=bucket, Key=key), arn, bucket_key)


def test_objects_uploads_and_copies_have_the_key_that_was_named(account, chance):
    fresh, s3, kms, _ = account
    bucket, arn = new_bucket(s3), new_key(kms)
    kms.create_alias(AliasName="alias/mine", TargetKeyId=arn)
    for size in (0, 1, 4096, 4097, 300_000, 9_000_000):
        body = chance.randbytes(size)
        for name in (arn, arn.rsplit("/", 1)[1], "alias/mine"):
            says(s3.put_object(Bucket=bucket, Key="k", Body=body, **by(name)), arn)
        reads(s3, bucket, "k", body, arn)
    # In parts, as boto3 sends them by itself, checksums included.
    body = chance.randbytes(20 << 20)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(io.BytesIO(body), bucket, "parts", Config=config, ExtraArgs=by(arn))
    reads(s3, bucket, "parts", body, arn)
    for first, last in [(0, 0), ((5 << 20) - 3, (5 << 20) + 70_000)]:
        got = s3.get_object(Bucket=bucket, Key="parts", Range=f"bytes={first}-{last}")
        assert got["Body"].read() == body[first : last + 1]
    sink = io.BytesIO()
    s3.download_fileobj(bucket, "parts", sink, Config=config)
    assert sink.getvalue() == body
    # Nobody names a key: the account's own for S3.
    own = s3.put_object(Bucket=bucket, Key="own", Body=b"x", ServerSideEncryption="aws:kms")["SSEKMSKeyId"]
    assert kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["Arn"] == own
    other = new_key(kms)
    source = {"Bucket": bucket, "Key": "parts"}
    says(s3.copy_object(Bucket=bucket, Key="copied", CopySource=source, **by(other)), other)
    reads(s3, bucket, "copied", body, other)
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=source)
    assert s3.head_object(Bucket=bucket, Key="plain")["ServerSideEncryption"] == "AES256"
    # What was rotated, killed and started again is read as before.
    kms.rotate_key_on_demand(KeyId=arn)
    fresh.kill()
    fresh.start()
    reads(client(fresh), bucket, "parts", body, arn)


def test_a_bucket_encrypts_by_default_and_its_policy_can_demand_it(account):
    _, s3, kms, _ = account
    bucket, arn, other = new_bucket(s3), new_key(kms), new_key(kms)
    rule = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn},
        "BucketKeyEnabled": True,
    }
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
    says(s3.put_object(Bucket=bucket, Key="k", Body=b"x"), arn, bucket_key=True)
    reads(s3, bucket, "k", b"x", arn, bucket_key=True)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("entry")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"entry"))
    says(
        s3.put_object(
            Bucket=bucket, Key="a.tar", Body=archive.getvalue(), Metadata={"snowball-auto-extract": "true"}
        ),
        arn,
        bucket_key=True,
    )
    reads(s3, bucket, "entry", b"entry", arn, bucket_key=True)
    refused("NotImplemented", 501, s3.put_object, Bucket=bucket, Key="k", ServerSideEncryption="aws:kms:dsse")
    unencrypted = {
        **deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*"),
        "Principal": "*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    }
    elsewhere = {
        **deny("s3:PutObject", f"arn:aws:s3:::{bucket}/*"),
        "Principal": "*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": arn}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(unencrypted, elsewhere))
    for more in ({}, {"ServerSideEncryption": "AES256"}, by(other), by(other.rsplit("/", 1)[1])):
        refused("AccessDenied", 403, s3.put_object, Bucket=bucket, Key="k", Body=b"x", **more)
    for name in (arn, arn.rsplit("/", 1)[1]):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **by(name))


def test_a_disabled_key_serves_nobody_at_once_and_a_deleted_one_never_again(account):
    _, s3, kms, _ = account
    bucket, arn = new_bucket(s3), new_key(kms)
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret", **by(arn))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="p", **by(arn))["UploadId"]
    part = {"Bucket": bucket, "Key": "p", "UploadId": upload, "PartNumber": 1, "Body": b"x"}
    for stop, code in [
        (lambda: kms.disable_key(KeyId=arn), "KMS.DisabledException"),
        (lambda: kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7), "KMS.KMSInvalidStateException"),
    ]:
        stop()
        refused(code, 400, s3.get_object, Bucket=bucket, Key="k")
        refused(code, 400, s3.get_object, Bucket=bucket, Key="k", Range="bytes=0-1")
        refused(code, 400, s3.put_object, Bucket=bucket, Key="new", Body=b"x", **by(arn))
        refused(code, 400, s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/k")
        refused(code, 400, s3.upload_part, **part)
        says(s3.head_object(Bucket=bucket, Key="k"), arn)
        assert s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectSize"])["ObjectSize"] == 6
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    kms.cancel_key_deletion(KeyId=arn)
    kms.enable_key(KeyId=arn)
    reads(s3, bucket, "k", b"secret", arn)
    refused("KMS.NotFoundException", 400, s3.put_object, Bucket=bucket, Key="n", **by("alias/none"))


def test_users_need_the_key_besides_the_bucket(account):
    fresh, s3, kms, iam = account
    bucket, arn = new_bucket(s3), new_key(kms)
    number = service(fresh, "sts").get_caller_identity()["Account"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"secret", **by(arn))
    context = {
        "StringEquals": {
            "kms:ViaService": "s3.us-east-1.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{bucket}/k",
        }
    }
    everything = allow("s3:*")
    none = client_of(fresh, new_user(iam, "none", everything))
    reader = client_of(fresh, new_user(iam, "reader", everything, allow("kms:Decrypt", arn, Condition=context)))
    writer = client_of(fresh, new_user(iam, "writer", everything, allow("kms:GenerateDataKey", arn)))
    told = refused("AccessDenied", 403, none.get_object, Bucket=bucket, Key="k")
    assert f"arn:aws:iam::{number}:user/none is not authorized to perform: kms:Decrypt on resource: {arn}" in told
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"secret"
    told = refused("AccessDenied", 403, reader.put_object, Bucket=bucket, Key="k", Body=b"x", **by(arn))
    assert "kms:GenerateDataKey" in told
    writer.put_object(Bucket=bucket, Key="w", Body=b"x", **by(arn))
    refused("AccessDenied", 403, writer.get_object, Bucket=bucket, Key="w")
    refused("AccessDenied", 403, reader.get_object, Bucket=bucket, Key="w")
    granted = kms.create_grant(
        KeyId=arn, GranteePrincipal=f"arn:aws:iam::{number}:user/none", Operations=["Decrypt", "GenerateDataKey"]
    )
    assert none.get_object(Bucket=bucket, Key="k")["Body"].read() == b"secret"
    none.put_object(Bucket=bucket, Key="n", Body=b"x", **by(arn))
    kms.revoke_grant(KeyId=arn, GrantId=granted["GrantId"])
    refused("AccessDenied", 403, none.get_object, Bucket=bucket, Key="k")
    locked = policy(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{number}:root"}, "Action": "kms:*", "Resource": "*"},
        {**deny("kms:Decrypt"), "Principal": {"AWS": f"arn:aws:iam::{number}:user/reader"}},
    )
    kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=locked)
    refused("AccessDenied", 403, reader.get_object, Bucket=bucket, Key="k")
    reads(s3, bucket, "k", b"secret", arn)


def test_aws_cli_encrypts_by_a_managed_key(account, aws, tmp_path, chance):
    fresh, s3, kms, _ = account
    bucket, arn = new_bucket(s3), new_key(kms)
    body = chance.randbytes(20 << 20)
    (tmp_path / "file").write_bytes(body)
    copy = [aws, "s3", "cp", "--sse", "aws:kms", "--sse-kms-key-id", arn]
    fresh.run(*copy, tmp_path / "file", f"s3://{bucket}/k")
    reads(s3, bucket, "k", body, arn)
    fresh.run(aws, "s3", "cp", f"s3://{bucket}/k", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == body
    fresh.run(*copy, f"s3://{bucket}/k", f"s3://{bucket}/copied")
    reads(s3, bucket, "copied", body, arn)
    context = base64.b64encode(json.dumps({"team": "red"}).encode()).decode()
    put = ["--bucket", bucket, "--key", "c", "--body", tmp_path / "file", "--server-side-encryption", "aws:kms"]
    put += ["--ssekms-key-id", arn, "--ssekms-encryption-context", context, "--bucket-key-enabled"]
    says(json.loads(fresh.run(aws, "s3api", "put-object", *put).stdout), arn, bucket_key=True)
    reads(s3, bucket, "c", body, arn, bucket_key=True)
    kms.disable_key(KeyId=arn)
    done = fresh.run(aws, "s3", "cp", f"s3://{bucket}/k", tmp_path / "never", check=False)
    assert done.returncode != 0 and b"KMS.DisabledException" in done.stderr, done.stderr
    assert not (tmp_path / "never").exists()


WAYS = ["inline", "record", "records", "part", "entry", "copied"]


def marker(way: str) -> bytes:
    return f"CANARY-{way}-0123456789abcdefghijklmnopqrstuvwxyz\n".encode()


@pytest.mark.parametrize("ends", ["killed", "stopped"])
def test_nothing_that_a_managed_key_closes_lies_readable_on_the_disk(account, ends):
    fresh, s3, kms, _ = account
    bucket, arn = new_bucket(s3), new_key(kms)
    fresh.firn("dedup", "on", f"s3://{bucket}")
    bodies = {way: marker(way) * times for way, times in [("inline", 1), ("record", 500), ("records", 100_000)]}
    for way, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=way, Body=body, **by(arn))
    upload = s3.create_multipart_upload(Bucket=bucket, Key="never-completed", **by(arn))["UploadId"]
    s3.upload_part(Bucket=bucket, Key="never-completed", UploadId=upload, PartNumber=1, Body=marker("part") * 9)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("entry")
        entry.size = len(marker("entry"))
        tar.addfile(entry, io.BytesIO(marker("entry")))
    extract = {"snowball-auto-extract": "true"}
    s3.put_object(Bucket=bucket, Key="a.tar", Body=archive.getvalue(), Metadata=extract, **by(arn))
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/records", **by(new_key(kms)))
    if ends == "killed":
        fresh.kill()
    else:
        assert fresh.stop() == 0
    secrets = [marker(way)[:-1] for way in WAYS]
    secrets += [hashlib.md5(marker("inline")).digest(), hashlib.md5(marker("inline")).hexdigest().encode()]
    assert holding(fresh.directory, secrets) == []
    log = fresh.log.read_bytes()
    assert log and not any(secret in log for secret in secrets)
    assert any(name.endswith(".log") for name, _ in holding(fresh.directory, [b"never-completed"]))
    fresh.start()
    reads(client(fresh), bucket, "records", bodies["records"], arn)
