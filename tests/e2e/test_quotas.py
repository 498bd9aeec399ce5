"""Quotas: set with firn, met by unmodified clients."""

import concurrent.futures
import json

import pytest
from botocore.exceptions import ClientError
from conftest import client
from s3_errors import refused

KIB = 1024


def full():
    return refused("QuotaExceeded", 403)


def quota(appliance, *arguments):
    return json.loads(appliance.firn("--json", "quota", *arguments).stdout)


def put(s3, bucket, key, size):
    return s3.put_object(Bucket=bucket, Key=key, Body=b"x" * size)


def test_a_full_quota_answers_403_quota_exceeded_and_deletes_make_room(appliance, s3, bucket):
    put(s3, bucket, "there", 600)
    (row,) = quota(appliance, "set", f"s3://{bucket}", "--bytes", "1KiB")
    assert (row["state"], row["used_bytes"], row["limit_bytes"]) == ("fine", 600, 1024)
    with full():
        put(s3, bucket, "more", 500)
    with pytest.raises(ClientError, match="quota of the bucket, 1024 bytes") as told:
        put(s3, bucket, "more", 500)
    assert told.value.response["Error"]["BucketName"] == bucket
    with full():
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/there")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="up")["UploadId"]
    named = {"Bucket": bucket, "Key": "up", "UploadId": upload}
    with full():
        s3.upload_part(**named, PartNumber=1, Body=b"y" * 500)
    etag = s3.upload_part(**named, PartNumber=1, Body=b"y" * 400)["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    put(s3, bucket, "fill", 100)
    with full():
        s3.complete_multipart_upload(**named, MultipartUpload=parts)
    # What adds nothing is taken.
    put(s3, bucket, "there", 600)
    put(s3, bucket, "there", 100)
    s3.complete_multipart_upload(**named, MultipartUpload=parts)
    with full():
        put(s3, bucket, "more", 500)
    s3.delete_object(Bucket=bucket, Key="up")
    put(s3, bucket, "more", 500)
    put(s3, bucket, "rest", 324)
    with full():
        s3.create_multipart_upload(Bucket=bucket, Key="hopeless")
    appliance.firn("quota", "rm", f"s3://{bucket}")
    put(s3, bucket, "much", 5 * KIB)
    assert appliance.firn("quota", "rm", f"s3://{bucket}", check=False).returncode == 4


def test_a_large_upload_that_can_not_fit_is_refused_before_its_body_is_sent(appliance, s3, bucket):
    quota(appliance, "set", f"s3://{bucket}", "--bytes", "2MiB")
    with full():
        put(s3, bucket, "large", 3 << 20)
    put(s3, bucket, "fits", 2 << 20)
    with full():
        put(s3, bucket, "one", 1 << 20)


def test_many_clients_at_once_fill_a_prefix_exactly(appliance, s3, bucket):
    for n in range(20):
        put(s3, bucket, f"runs/before-{n}", 100)
        put(s3, bucket, f"other/{n}", 100)
    (row,) = quota(appliance, "set", f"s3://{bucket}/runs/", "--bytes", "5000", "--objects", "1000")
    assert (row["state"], row["used_bytes"], row["used_objects"]) == ("fine", 2000, 20)

    def one(n):
        try:
            put(s3, bucket, f"runs/{n}", 100)
            return 1
        except ClientError as error:
            assert error.response["Error"]["Code"] == "QuotaExceeded"
            return 0

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(one, range(64))) == 30
    stored = s3.list_objects_v2(Bucket=bucket, Prefix="runs/")["Contents"]
    assert sum(entry["Size"] for entry in stored) == 5000
    put(s3, bucket, "other/more", 10 * KIB)
    (row,) = quota(appliance, "ls", f"s3://{bucket}/runs/")
    assert (row["state"], row["percent"], row["used_bytes"]) == ("full", 100, 5000)


def test_versions_count_and_markers_do_not(appliance, s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    quota(appliance, "set", f"s3://{bucket}", "--objects", "2")
    first = put(s3, bucket, "k", 1)["VersionId"]
    put(s3, bucket, "k", 1)
    with full():
        put(s3, bucket, "k", 1)
    s3.delete_object(Bucket=bucket, Key="k")
    with full():
        put(s3, bucket, "k", 1)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    put(s3, bucket, "k", 1)


def test_who_runs_it_is_warned_before_and_kill_9_changes_nothing(fresh):
    fresh.start()
    s3 = client(fresh)
    s3.create_bucket(Bucket="warned")
    put(s3, "warned", "a/k", 90)
    quota(fresh, "set", "s3://warned/a/", "--bytes", "100")
    quota(fresh, "set", "s3://warned", "--objects", "1000", "--warn", "50")
    status = json.loads(fresh.firn("--json", "status").stdout)
    assert status["quotas"]["set"] == 2 and status["quotas"]["not_fine"] == 1
    (worst,) = status["quotas"]["worst"]
    assert (worst["prefix"], worst["state"], worst["percent"]) == ("a/", "near", 90)
    near = [f for f in json.loads(fresh.firn("--json", "doctor").stdout)["findings"] if f["check"] == "quota"]
    assert near[0]["ok"] and "90 % full" in near[0]["detail"] and "firn quota set" in near[0]["fix"]
    put(s3, "warned", "a/more", 10)
    fresh.kill()
    fresh.start()
    s3 = client(fresh)
    with full():
        put(s3, "warned", "a/one", 1)
    doctor = fresh.firn("--json", "doctor", check=False)
    found = [f for f in json.loads(doctor.stdout)["findings"] if f["check"] == "quota"]
    assert doctor.returncode == 1 and not found[0]["ok"]
    assert "writes that add to it are refused" in found[0]["detail"]
    # Log and metrics are what the first look after the start saw: soon.
    token = (fresh.directory / "admin-token").read_text().strip()
    seen = (fresh.probe("/metrics", token)[1].decode().splitlines() for _ in range(1_000))
    assert any("firn_quotas_full 1" in lines for lines in seen)
    assert "a quota is full" in fresh.log.read_text()
