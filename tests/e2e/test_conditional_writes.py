"""Conditional writes: decided in the commit, one winner."""

import concurrent.futures

import botocore.exceptions
import pytest
from conftest import client
from s3_errors import refused
from test_multipart import begin, finish, send


def test_if_none_match_creates_once(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="o", Body=b"2", IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == b"1"
    s3.delete_object(Bucket=bucket, Key="o")
    s3.put_object(Bucket=bucket, Key="o", Body=b"3", IfNoneMatch="*")


def test_if_match_replaces_only_what_was_seen(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="o", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="o", Body=b"2", IfMatch=first)
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="o", Body=b"3", IfMatch=first)
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="nothing", Body=b"3", IfMatch=first)


def test_a_delete_marker_counts_as_absence(s3, versioned):
    s3.put_object(Bucket=versioned, Key="o", Body=b"1")
    s3.delete_object(Bucket=versioned, Key="o")
    s3.put_object(Bucket=versioned, Key="o", Body=b"2", IfNoneMatch="*")


def test_deletion_can_ask_for_what_was_seen(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="o", Body=b"1")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.delete_object(Bucket=bucket, Key="o", IfMatch='"other"')
    s3.delete_object(Bucket=bucket, Key="o", IfMatch=etag)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="o")


def test_completion_can_ask_for_absence(s3, bucket):
    upload = begin(s3, bucket)
    etags = {1: send(s3, bucket, upload, 1, b"late")}
    s3.put_object(Bucket=bucket, Key="o", Body=b"early")
    with refused("PreconditionFailed", 412):
        finish(s3, bucket, upload, etags, IfNoneMatch="*")
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == b"early"


@pytest.mark.parametrize("completion", [False, True], ids=["put", "complete"])
def test_of_many_racing_writers_exactly_one_wins(appliance, s3, bucket, completion):
    """Here through a real client; the full count of rounds is `cargo xtask soak conditional`."""
    writers = 16
    clients = [client(appliance) for _ in range(writers)]

    def race(key, number, prepared):
        body = b"%d" % number
        try:
            if completion:
                finish(clients[number], bucket, prepared[0], {1: prepared[1]}, key, IfNoneMatch="*")
            else:
                clients[number].put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict")
            return None
        return body

    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        for round_number in range(10):
            key = f"round-{round_number}"
            prepared = [None] * writers
            if completion:
                for number in range(writers):
                    upload = begin(s3, bucket, key)
                    prepared[number] = (upload, send(s3, bucket, upload, 1, b"%d" % number, key))
            bodies = list(pool.map(race, [key] * writers, range(writers), prepared))
            winners = [body for body in bodies if body is not None]
            assert len(winners) == 1
            assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == winners[0]
