"""Server access logs as boto3 asks for them, each record taken apart by the expression of the S3 user guide."""

import datetime
import re

import pytest
import urllib3
from botocore.exceptions import ClientError
from conftest import client, client_of
from s3_errors import refused

# "Querying access logs for requests by using Amazon Athena": the user guide's own table definition, and the source region that
# records end with since.
RECORD = re.compile(
    r"^([^ ]*) ([^ ]*) \[(.*?)\] ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) "
    r'("[^"]*"|-) (-|[0-9]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ("[^"]*"|-) '
    r'("[^"]*"|-) ([^ ]*)(?: ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*))? ([^ ]*)$'
)
FIELDS = (
    "owner bucket time ip requester request_id operation key request status code sent size total turn_around referer agent "
    "version host_id signature cipher authentication host tls access_point acl_required region"
).split()


def records(s3, bucket, prefix) -> list[dict]:
    """All records below a prefix, in order of their objects' keys."""
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            answer = s3.get_object(Bucket=bucket, Key=entry["Key"])
            assert answer["ContentType"] == "text/plain"
            for line in answer["Body"].read().decode("ascii").splitlines():
                match = RECORD.match(line)
                assert match, line
                found.append(dict(zip(FIELDS, match.groups(), strict=True)))
    return found


def logging(s3, source, target, prefix="logs/", **more):
    wanted = {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": prefix, **more}}
    s3.put_bucket_logging(Bucket=source, BucketLoggingStatus=wanted)
    return wanted["LoggingEnabled"]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_every_request_is_a_record_after_a_stop(fresh, tls):
    doors = ["--tls"] if tls else []
    fresh.start(*doors)
    s3 = client(fresh)
    for name in ("photos", "logs"):
        s3.create_bucket(Bucket=name)
    wanted = logging(
        s3, "photos", "logs", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    )
    assert s3.get_bucket_logging(Bucket="photos")["LoggingEnabled"] == wanted
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    put = s3.put_object(Bucket="photos", Key='a b/"é".jpg', Body=b"x" * 5000)
    s3.get_object(Bucket="photos", Key='a b/"é".jpg', Range="bytes=0-99")["Body"].read()
    with pytest.raises(ClientError):
        s3.get_object(Bucket="photos", Key="absent")
    with pytest.raises(ClientError):
        client_of(fresh, None).get_object(Bucket="photos", Key="absent")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": 'a b/"é".jpg'})
    pool = urllib3.PoolManager(ca_certs=fresh.ca_bundle, retries=False)
    hostile = {"User-Agent": 'evil" 200 - \t"', "Referer": 'http://r.test/?q="x"'}
    assert pool.request("GET", url, headers=hostile).status == 200
    s3.copy_object(Bucket="photos", Key="copy", CopySource={"Bucket": "photos", "Key": 'a b/"é".jpg'})
    s3.delete_objects(Bucket="photos", Delete={"Objects": [{"Key": "copy"}, {"Key": "other"}]})
    assert fresh.stop() == 0
    fresh.start(*doors)
    s3 = client(fresh)
    assert s3.get_bucket_logging(Bucket="photos")["LoggingEnabled"] == wanted
    owner = s3.list_buckets()["Owner"]["ID"]
    [place] = {
        entry["Key"].rpartition("/")[0] for entry in s3.list_objects_v2(Bucket="logs", Prefix="logs/")["Contents"]
    }
    assert re.fullmatch(r"logs/\d{12}/us-east-1/photos/\d{4}/\d\d/\d\d", place), place
    found = records(s3, "logs", "logs/")
    key = "a%20b/%22%C3%A9%22.jpg"
    # Of two connections the later request may be recorded first.
    assert sorted((r["operation"], r["key"], r["status"], r["code"]) for r in found) == sorted([
        ("REST.GET.LOGGING_STATUS", "-", "200", "-"),
        ("REST.PUT.VERSIONING", "-", "200", "-"),
        ("REST.PUT.OBJECT", key, "200", "-"),
        ("REST.GET.OBJECT", key, "206", "-"),
        ("REST.GET.OBJECT", "absent", "404", "NoSuchKey"),
        ("REST.GET.OBJECT", "absent", "403", "AccessDenied"),
        ("REST.GET.OBJECT", key, "200", "-"),
        ("REST.COPY.OBJECT", "copy", "200", "-"),
        ("REST.COPY.OBJECT_GET", key, "200", "-"),
        ("REST.POST.MULTI_OBJECT_DELETE", "-", "200", "-"),
        ("BATCH.DELETE.OBJECT", "copy", "204", "-"),
        ("BATCH.DELETE.OBJECT", "other", "204", "-"),
    ])
    for record in found:
        assert (record["owner"], record["bucket"], record["ip"]) == (owner, "photos", "127.0.0.1")
        at = datetime.datetime.strptime(record["time"], "%d/%b/%Y:%H:%M:%S %z")
        assert abs((datetime.datetime.now(datetime.UTC) - at).total_seconds()) < 300
        assert record["tls"] == ("TLSv1.3" if tls else "-") and (record["cipher"] != "-") == tls
    by_status = {(r["operation"], r["status"]): r for r in found}
    put_record, get = by_status["REST.PUT.OBJECT", "200"], by_status["REST.GET.OBJECT", "206"]
    nobody, link = by_status["REST.GET.OBJECT", "403"], by_status["REST.GET.OBJECT", "200"]
    assert put_record["request_id"] == put["ResponseMetadata"]["RequestId"]
    assert put_record["host_id"] == put["ResponseMetadata"]["HostId"]
    assert (put_record["version"], put_record["size"]) == (put["VersionId"], "5000")
    assert put_record["agent"].startswith('"Boto3/') and put_record["signature"] == "SigV4"
    assert (get["sent"], get["size"], get["requester"]) == ("100", "5000", owner)
    assert (nobody["requester"], nobody["authentication"]) == ("-", "-")
    assert (link["authentication"], link["requester"]) == ("QueryString", owner)
    assert "X-Amz-Signature=REDACTED" in link["request"]
    assert link["agent"] == '"evil%22 200 - %09%22"' and link["referer"] == '"http://r.test/?q=%22x%22"'


def test_a_bucket_that_is_logged_into_itself_falls_silent(fresh):
    fresh.start()
    s3 = client(fresh)
    s3.create_bucket(Bucket="own")
    logging(s3, "own", "own")
    for _ in range(3):
        assert fresh.stop() == 0
        fresh.start()
    s3 = client(fresh)
    # Nobody asked for anything of it, so nothing is there; what the stops wrote is of the requests before them.
    first = records(s3, "own", "logs/")
    assert first == []
    assert fresh.stop() == 0
    fresh.start()
    s3 = client(fresh)
    second = records(s3, "own", "logs/")
    assert sorted(r["operation"] for r in second) == ["REST.GET.BUCKET", "REST.PUT.OBJECT"]
    assert {r["requester"] for r in second if r["operation"] == "REST.PUT.OBJECT"} == {"svc:firn-log-delivery"}


def test_a_kill_loses_what_was_not_written_and_nothing_else(fresh):
    fresh.start()
    s3 = client(fresh)
    for name in ("photos", "logs"):
        s3.create_bucket(Bucket=name)
    logging(s3, "photos", "logs")
    s3.put_object(Bucket="photos", Key="before", Body=b"x")
    fresh.kill()
    fresh.start()
    s3 = client(fresh)
    s3.head_object(Bucket="photos", Key="before")
    assert fresh.stop() == 0
    fresh.start()
    assert [r["operation"] for r in records(client(fresh), "logs", "logs/")] == ["REST.HEAD.OBJECT"]


def test_targets_of_nobody_are_refused(s3, bucket):
    with refused("InvalidTargetBucketForLogging", 400):
        logging(s3, bucket, "absent-bucket")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
