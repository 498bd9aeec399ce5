"""Deduplication: switched on with firn, met by unmodified clients that save checkpoints."""

import io
import json

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1 << 20
PARTS = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB, max_concurrency=4)


def dedup(appliance, *arguments):
    return json.loads(appliance.firn("--json", "dedup", *arguments).stdout)


@pytest.fixture
def deduplicated(appliance, bucket):
    (row,) = dedup(appliance, "on", f"s3://{bucket}")
    assert (row["on"], row["written_bytes"], row["stored_bytes"]) == (True, 0, 0)
    return bucket


def figures(appliance, bucket):
    (row,) = dedup(appliance, "ls", f"s3://{bucket}")
    assert row["saved_bytes"] == max(row["written_bytes"] - row["stored_bytes"], 0)
    return row["written_bytes"], row["stored_bytes"]


def save(s3, bucket, key, body):
    s3.upload_fileobj(io.BytesIO(body), bucket, key, Config=PARTS)


def load(s3, bucket, key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_a_modified_checkpoint_that_boto3_sends_in_parts_costs_what_is_new(appliance, s3, deduplicated, chance):
    first = chance.randbytes(40 * MIB)
    save(s3, deduplicated, "step-1.pt", first)
    assert figures(appliance, deduplicated) == (len(first), len(first))
    # Some weights changed in place, and the header grew, which moves everything behind it.
    changed = bytearray(first)
    changed[20 * MIB : 20 * MIB + 1000] = chance.randbytes(1000)
    header = b"a longer header"
    second = header + bytes(changed)
    save(s3, deduplicated, "step-2.pt", second)
    written, stored = figures(appliance, deduplicated)
    # The sixth part has as many bytes as the header: too few to be deduplicated.
    assert written == len(first) + len(second) - len(header)
    assert stored - len(first) < len(second) / 10
    assert load(s3, deduplicated, "step-1.pt") == first
    assert load(s3, deduplicated, "step-2.pt") == second
    head = s3.head_object(Bucket=deduplicated, Key="step-2.pt")
    assert head["ContentLength"] == len(second) and head["ETag"].endswith('-6"')
    part = s3.get_object(Bucket=deduplicated, Key="step-2.pt", PartNumber=2)
    assert part["Body"].read() == second[8 * MIB : 16 * MIB]
    ranged = s3.get_object(Bucket=deduplicated, Key="step-2.pt", Range=f"bytes={19 * MIB}-{21 * MIB}")
    assert ranged["Body"].read() == second[19 * MIB : 21 * MIB + 1]
    # The same again costs nothing.
    save(s3, deduplicated, "step-2-again.pt", second)
    assert figures(appliance, deduplicated) == (written + len(changed), stored)
    # The first one goes, the second stays.
    s3.delete_object(Bucket=deduplicated, Key="step-1.pt")
    assert load(s3, deduplicated, "step-2.pt") == second


def test_du_and_stat_and_head_bucket_say_what_it_saves(appliance, s3, deduplicated, chance):
    body = chance.randbytes(3 * MIB)
    for key in ["a", "b", "c"]:
        s3.put_object(Bucket=deduplicated, Key=key, Body=body)
    expected = {"written_bytes": 9 * MIB, "stored_bytes": 3 * MIB, "saved_bytes": 6 * MIB}
    usage = json.loads(appliance.firn("--json", "du", f"s3://{deduplicated}").stdout)
    assert (usage["bytes"], usage["deduplication"]) == (9 * MIB, expected)
    stat = json.loads(appliance.firn("--json", "stat", f"s3://{deduplicated}").stdout)
    assert stat["deduplication"] == expected
    text = appliance.firn("du", f"s3://{deduplicated}").stdout
    assert b"6.0 MiB saved (66 %): 9.0 MiB written, 3.0 MiB stored" in text
    headers = s3.head_bucket(Bucket=deduplicated)["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-firn-dedup-stored-bytes"] == str(3 * MIB)
    below = json.loads(appliance.firn("--json", "du", f"s3://{deduplicated}/a").stdout)
    assert "deduplication" not in below


def test_it_is_switched_by_bucket_and_says_which_are_on(appliance, s3, bucket, deduplicated):
    (row,) = dedup(appliance, "off", f"s3://{deduplicated}")
    assert not row["on"]
    assert deduplicated in [row["bucket"] for row in dedup(appliance, "ls")]
    s3.put_object(Bucket=deduplicated, Key="k", Body=b"x" * MIB)
    assert figures(appliance, deduplicated) == (0, 0)
    refused = appliance.firn("dedup", "on", "s3://nobody-has-this-one", check=False)
    assert refused.returncode == 4
    with pytest.raises(ClientError):
        s3.head_bucket(Bucket="nobody-has-this-one")
