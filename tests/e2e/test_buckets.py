"""Buckets: made, listed, located, and removed only when empty."""

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requests
from conftest import new_bucket
from s3_errors import refused


def test_a_bucket_is_listed_from_its_making_to_its_removal(s3):
    name = new_bucket(s3)
    assert name in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket=name)
    s3.delete_bucket(Bucket=name)
    assert name not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    with refused("404", 404):
        s3.head_bucket(Bucket=name)


def test_buckets_are_listed_in_pages(s3):
    wanted = [new_bucket(s3) for _ in range(5)]
    found, token = [], None
    while True:
        more = {"ContinuationToken": token} if token else {}
        page = s3.list_buckets(MaxBuckets=2, **more)
        assert len(page["Buckets"]) <= 2
        found += [entry["Name"] for entry in page["Buckets"]]
        token = page.get("ContinuationToken")
        if not token:
            break
    assert found == sorted(found) and set(wanted) <= set(found)


def test_a_bucket_that_is_not_empty_stays(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == b"x"


def test_old_versions_keep_a_bucket(s3, versioned):
    s3.put_object(Bucket=versioned, Key="o", Body=b"x")
    s3.delete_object(Bucket=versioned, Key="o")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=versioned)


def test_the_location_of_us_east_1_is_none(s3, bucket):
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "-dash", "dash-", "a..b", "192.168.0.1", "x" * 64])
def test_names_that_s3_refuses_are_refused(appliance, name):
    assert put_bucket(appliance, name) == (400, "InvalidBucketName")


def put_bucket(appliance, name) -> tuple[int, str]:
    """A signed PUT of a bucket whose name botocore itself would refuse: status and code of the answer."""
    request = botocore.awsrequest.AWSRequest("PUT", f"{appliance.endpoint}/{name}", data=b"")
    credentials = botocore.credentials.Credentials(*appliance.keys)
    botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    answer = requests.put(request.url, headers=dict(request.headers), timeout=30)
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]
