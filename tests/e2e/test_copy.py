"""Copies: same bytes, metadata as directed, conditions on the source."""

import pytest
from conftest import new_bucket
from s3_errors import refused


def source(bucket, key="source", version=None):
    return {"Bucket": bucket, "Key": key, **({"VersionId": version} if version else {})}


@pytest.mark.parametrize("size", [0, 100, 300_000])
def test_a_copy_has_the_bytes_etag_and_metadata_of_its_source(s3, bucket, chance, size):
    body = chance.randbytes(size)
    put = s3.put_object(Bucket=bucket, Key="source", Body=body, Metadata={"a": "1"}, ContentType="text/x-firn")
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source(bucket))
    assert copied["CopyObjectResult"]["ETag"] == put["ETag"]
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"a": "1"}, "text/x-firn")


def test_replacing_metadata_keeps_the_bytes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x", Metadata={"a": "1"})
    s3.copy_object(
        Bucket=bucket, Key="source", CopySource=source(bucket), MetadataDirective="REPLACE", Metadata={"b": "2"}
    )
    got = s3.get_object(Bucket=bucket, Key="source")
    assert (got["Body"].read(), got["Metadata"]) == (b"x", {"b": "2"})


def test_copying_onto_itself_without_a_change_is_refused(s3, bucket):
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="source", CopySource=source(bucket))


def test_a_copy_outlives_its_source_and_its_sources_bucket(s3, bucket, chance):
    body, other = chance.randbytes(100_000), new_bucket(s3)
    s3.put_object(Bucket=other, Key="source", Body=body)
    s3.copy_object(Bucket=bucket, Key="ö/copy", CopySource=source(other))
    s3.delete_object(Bucket=other, Key="source")
    s3.delete_bucket(Bucket=other)
    assert s3.get_object(Bucket=bucket, Key="ö/copy")["Body"].read() == body


def test_an_old_version_is_copied_by_its_id(s3, versioned):
    old = s3.put_object(Bucket=versioned, Key="source", Body=b"old")["VersionId"]
    s3.put_object(Bucket=versioned, Key="source", Body=b"new")
    copied = s3.copy_object(Bucket=versioned, Key="copy", CopySource=source(versioned, version=old))
    assert copied["CopySourceVersionId"] == old
    assert s3.get_object(Bucket=versioned, Key="copy")["Body"].read() == b"old"


def test_conditions_on_the_source_decide(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="source", Body=b"x")["ETag"]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source(bucket), CopySourceIfMatch=etag)
    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="copy2", CopySource=source(bucket), CopySourceIfNoneMatch=etag)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="copy2")


def test_a_source_that_is_not_there_is_named(s3, bucket):
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source(bucket, "nothing"))
    with refused("NoSuchBucket", 404):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=source("no-such-bucket-here"))
