"""Bucket policies with boto3 and aws-cli: who is let in, who is kept out, what is refused."""

import datetime
import io
import json

import boto3
import pytest
import requests
from accounts import OTHER, OTHER_ACCOUNT, three
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from conftest import client, client_of
from s3_errors import refused


@pytest.fixture
def accounts(fresh):
    """Three clients of one appliance: the root of its account, the root of another, and nobody."""
    root, other, nobody = three(fresh)
    root.create_bucket(Bucket="data")
    root.put_object(Bucket="data", Key="open/a", Body=b"a")
    root.put_object(Bucket="data", Key="shut/b", Body=b"b")
    return root, other, nobody


def statement(effect, principal, actions, *resources, **more):
    arns = [f"arn:aws:s3:::{name}" for name in resources or ("data", "data/*")]
    return {"Effect": effect, "Principal": principal, "Action": actions, "Resource": arns, **more}


def put(s3, *statements, bucket="data"):
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    return text


def test_a_policy_shares_with_an_account_and_with_everybody(accounts):
    root, other, nobody = accounts
    them = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    text = put(
        root,
        statement("Allow", them, ["s3:GetObject", "s3:PutObject"], "data/open/*"),
        statement("Allow", them, "s3:ListBucket", "data", Condition={"StringLike": {"s3:prefix": "open/*"}}),
    )
    assert root.get_bucket_policy(Bucket="data")["Policy"] == text
    assert root.get_bucket_policy_status(Bucket="data")["PolicyStatus"] == {"IsPublic": False}
    assert other.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"
    other.put_object(Bucket="data", Key="open/c", Body=b"c")
    listed = other.list_objects_v2(Bucket="data", Prefix="open/")["Contents"]
    assert [entry["Key"] for entry in listed] == ["open/a", "open/c"]
    for denied in (
        lambda: other.get_object(Bucket="data", Key="shut/b"),
        lambda: other.put_object(Bucket="data", Key="shut/c", Body=b"c"),
        lambda: other.list_objects_v2(Bucket="data"),
        lambda: other.delete_object(Bucket="data", Key="open/a"),
        lambda: nobody.get_object(Bucket="data", Key="open/a"),
        lambda: other.get_bucket_policy(Bucket="data"),
    ):
        with refused("AccessDenied", 403):
            denied()
    put(root, statement("Allow", "*", "s3:GetObject", "data/open/*"))
    assert root.get_bucket_policy_status(Bucket="data")["PolicyStatus"] == {"IsPublic": True}
    assert nobody.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"
    root.delete_bucket_policy(Bucket="data")
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket="data", Key="open/a")
    with refused("NoSuchBucketPolicy", 404):
        root.get_bucket_policy(Bucket="data")


def test_a_deny_binds_the_owner_too_and_never_locks_them_out_of_the_policy(accounts):
    root, _, _ = accounts
    put(root, statement("Deny", "*", "s3:*"))
    for denied in (
        lambda: root.get_object(Bucket="data", Key="open/a"),
        lambda: root.list_objects_v2(Bucket="data"),
        lambda: root.delete_object(Bucket="data", Key="open/a"),
        lambda: root.get_public_access_block(Bucket="data"),
    ):
        with refused("AccessDenied", 403):
            denied()
    assert "Deny" in root.get_bucket_policy(Bucket="data")["Policy"]
    root.delete_bucket_policy(Bucket="data")
    assert root.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"


def test_a_policy_outlives_a_kill(accounts, fresh):
    root, other, _ = accounts
    marker = fresh.directory / "catalog" / "format"
    assert marker.read_bytes()[8] == 1
    put(root, statement("Allow", {"AWS": OTHER_ACCOUNT}, "s3:GetObject", "data/open/*"))
    assert marker.read_bytes()[8] == 2, "no firn from before policies opens it"
    fresh.kill()
    fresh.start()
    other = client_of(fresh, OTHER)
    assert other.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"
    with refused("AccessDenied", 403):
        other.get_object(Bucket="data", Key="shut/b")


def test_what_is_no_policy_is_refused_with_its_place(accounts):
    root, _, _ = accounts
    for text, place in (
        ("{", "line 1, column 1"),
        ('{"Version":"2012-10-17","Statement":[{"Principal":"*","Action":"s3:*","Resource":"*"}]}', "Statement[0]"),
        (json.dumps({"Statement": statement("Allow", {"AWS": "arn:aws:iam::111122223333:user/x"}, "s3:*")}), "Principal"),
        (json.dumps({"Statement": statement("Allow", "*", "s3:Fetch*")}), "Statement[0].Action"),
        (json.dumps({"Statement": statement("Allow", "*", "s3:*", "other/*")}), "Statement[0].Resource"),
    ):
        with pytest.raises(ClientError) as error:
            root.put_bucket_policy(Bucket="data", Policy=text)
        said = error.value.response
        assert (said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"]) == ("MalformedPolicy", 400)
        assert place in said["Error"]["Message"], said
    with refused("NoSuchBucketPolicy", 404):
        root.get_bucket_policy(Bucket="data")


def test_a_bucket_that_takes_no_plain_uploads_and_no_plain_http(accounts):
    """The two policies that every guide begins with."""
    root, _, _ = accounts
    put(
        root,
        statement(
            "Deny",
            "*",
            "s3:PutObject",
            "data/*",
            Condition={"Null": {"s3:x-amz-server-side-encryption": "true"}},
        ),
    )
    with refused("AccessDenied", 403):
        root.put_object(Bucket="data", Key="new", Body=b"x")
    root.put_object(Bucket="data", Key="new", Body=b"x", ServerSideEncryption="AES256")
    put(root, statement("Deny", "*", "s3:*", Condition={"Bool": {"aws:SecureTransport": "false"}}))
    with refused("AccessDenied", 403):
        root.get_object(Bucket="data", Key="new")


def test_an_upload_in_parts_is_as_encrypted_as_it_was_begun(accounts):
    root, _, _ = accounts
    wanted = {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}
    put(root, statement("Deny", "*", "s3:PutObject", "data/*", Condition=wanted))
    parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    body = b"x" * (6 << 20)
    with pytest.raises(ClientError) as error:
        root.upload_fileobj(io.BytesIO(body), "data", "large", Config=parts)
    assert error.value.response["Error"]["Code"] == "AccessDenied"
    encrypted = {"ServerSideEncryption": "AES256"}
    root.upload_fileobj(io.BytesIO(body), "data", "large", Config=parts, ExtraArgs=encrypted)
    found = root.head_object(Bucket="data", Key="large")
    assert (found["ContentLength"], found["ETag"][-3:]) == (len(body), '-2"')


def test_nothing_is_replaced_where_a_policy_demands_it(accounts):
    """The example of S3's guide to conditional writes."""
    root, _, _ = accounts
    wanted = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    put(root, statement("Deny", "*", "s3:PutObject", "data/*", Condition=wanted))
    with refused("AccessDenied", 403):
        root.put_object(Bucket="data", Key="once", Body=b"x")
    root.put_object(Bucket="data", Key="once", Body=b"x", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        root.put_object(Bucket="data", Key="once", Body=b"y", IfNoneMatch="*")
    upload = root.create_multipart_upload(Bucket="data", Key="parts")["UploadId"]
    part = root.upload_part(Bucket="data", Key="parts", UploadId=upload, PartNumber=1, Body=b"x")
    whole = {
        "Bucket": "data",
        "Key": "parts",
        "UploadId": upload,
        "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    }
    with refused("AccessDenied", 403):
        root.complete_multipart_upload(**whole)
    root.complete_multipart_upload(**whole, IfNoneMatch="*")


def test_a_presigned_urls_parameters_count_for_the_policy_and_the_object(accounts, fresh):
    """As SDKs for JavaScript and Go presign: headers of the request stand in the URL."""
    root, _, _ = accounts
    wanted = {"StringNotEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}}
    put(root, statement("Deny", "*", "s3:PutObject", "data/*", Condition=wanted))
    credentials = Credentials(*fresh.keys)
    for storage_class, status in (("STANDARD", 403), ("STANDARD_IA", 200)):
        url = f"{fresh.endpoint}/data/hoisted?x-amz-storage-class={storage_class}&x-amz-meta-colour=blue"
        request = AWSRequest(method="PUT", url=url)
        S3SigV4QueryAuth(credentials, "s3", "us-east-1", expires=600).add_auth(request)
        assert requests.put(request.url, data=b"x", timeout=30).status_code == status, storage_class
    found = root.head_object(Bucket="data", Key="hoisted")
    assert (found["StorageClass"], found["Metadata"]) == ("STANDARD_IA", {"colour": "blue"})


def test_old_presigned_urls_and_forms_know_how_they_are_signed(accounts, fresh):
    root, _, _ = accounts
    signed = boto3.client(
        "s3",
        endpoint_url=fresh.endpoint,
        region_name="us-east-1",
        aws_access_key_id=fresh.keys[0],
        aws_secret_access_key=fresh.keys[1],
        config=Config(signature_version="s3v4"),
    )
    url = signed.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "open/a"}, ExpiresIn=600)
    form = signed.generate_presigned_post("data", "open/form", ExpiresIn=600)
    assert requests.get(url, timeout=30).status_code == 200
    put(root, statement("Deny", "*", "s3:GetObject", Condition={"NumericGreaterThan": {"s3:signatureAge": "-1"}}))
    assert requests.get(url, timeout=30).status_code == 403
    assert root.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"
    put(root, statement("Deny", "*", "s3:*", Condition={"StringNotEquals": {"s3:authType": "REST-HEADER"}}))
    assert requests.get(url, timeout=30).status_code == 403
    answer = requests.post(form["url"], data=form["fields"], files={"file": b"x"}, timeout=30)
    assert answer.status_code == 403
    put(root, statement("Deny", "*", "s3:PutObject", "data/shut/*"))
    answer = requests.post(form["url"], data=form["fields"], files={"file": b"x"}, timeout=30)
    assert answer.status_code == 204


def test_retention_is_bounded_by_a_policy(accounts):
    root, _, _ = accounts
    root.create_bucket(Bucket="kept", ObjectLockEnabledForBucket=True)
    put(
        root,
        statement(
            "Deny",
            "*",
            "s3:PutObjectRetention",
            "kept/*",
            Condition={"NumericGreaterThan": {"s3:object-lock-remaining-retention-days": "10"}},
        ),
        bucket="kept",
    )
    root.put_object(Bucket="kept", Key="k", Body=b"x")

    def retain(days):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
        root.put_object_retention(Bucket="kept", Key="k", Retention=retention)

    with refused("AccessDenied", 403):
        retain(30)
    retain(5)


def test_public_access_is_blocked_for_policies(accounts):
    root, other, nobody = accounts
    root.put_public_access_block(Bucket="data", PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    public = statement("Allow", "*", "s3:GetObject", "data/*")
    with refused("AccessDenied", 403):
        put(root, public)
    put(root, {**public, "Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}})
    assert nobody.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"
    root.delete_public_access_block(Bucket="data")
    put(root, public, statement("Allow", {"AWS": OTHER_ACCOUNT}, "s3:ListBucket", "data"))
    root.put_public_access_block(Bucket="data", PublicAccessBlockConfiguration={"RestrictPublicBuckets": True})
    with refused("AccessDenied", 403):
        nobody.get_object(Bucket="data", Key="open/a")
    with refused("AccessDenied", 403):
        other.list_objects_v2(Bucket="data")
    assert root.get_object(Bucket="data", Key="open/a")["Body"].read() == b"a"


def test_the_aws_cli_sets_and_shows_a_policy(accounts, fresh, aws, tmp_path):
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement("Allow", "*", "s3:GetObject", "data/open/*")]})
    document = tmp_path / "policy.json"
    document.write_text(text)
    fresh.run(aws, "s3api", "put-bucket-policy", "--bucket", "data", "--policy", f"file://{document}")
    shown = fresh.run(aws, "s3api", "get-bucket-policy", "--bucket", "data", "--query", "Policy", "--output", "text")
    assert json.loads(shown.stdout) == json.loads(text)
