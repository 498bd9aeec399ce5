"""Who may write a key can begin an upload of it, and nobody else's file goes into that one."""

import json

import pytest
from accounts import OTHER_ACCOUNT, three
from botocore.exceptions import ClientError
from conftest import client_of
from identities import new_user, service

SIZE = 20 << 20


@pytest.fixture
def secret(tmp_path, chance):
    file = tmp_path / "secret.bin"
    file.write_bytes(chance.randbytes(SIZE))
    return file


def test_a_users_open_upload_takes_no_file_of_roots(fresh, secret):
    s3, _, nobody = three(fresh)
    s3.create_bucket(Bucket="shared", ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket="shared")
    given = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:PutObjectAcl"], "Resource": "arn:aws:s3:::shared/*"}
    mallory = client_of(fresh, new_user(service(fresh, "iam"), "mallory", given))
    upload = mallory.create_multipart_upload(
        Bucket="shared",
        Key="secret.bin",
        ACL="public-read",
        ChecksumAlgorithm="CRC64NVME",
        ContentType="text/html",
        Metadata={"by": "mallory"},
        WebsiteRedirectLocation="https://evil.example/",
    )["UploadId"]
    fresh.firn("cp", secret, "s3://shared/secret.bin")
    head = s3.head_object(Bucket="shared", Key="secret.bin")
    assert (head["Metadata"], head["ContentType"] == "text/html", "WebsiteRedirectLocation" in head) == ({}, False, False)
    grants = s3.get_object_acl(Bucket="shared", Key="secret.bin")["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL"]
    with pytest.raises(ClientError, match="AccessDenied"):
        nobody.get_object(Bucket="shared", Key="secret.bin")
    (left,) = s3.list_multipart_uploads(Bucket="shared")["Uploads"]
    assert left["UploadId"] == upload


def test_an_open_upload_of_another_account_takes_no_file_of_its_owners(fresh, secret):
    s3, other, _ = three(fresh)
    s3.create_bucket(Bucket="shared", ObjectOwnership="ObjectWriter")
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": OTHER_ACCOUNT},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::shared/*",
    }
    s3.put_bucket_policy(Bucket="shared", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    other.create_multipart_upload(Bucket="shared", Key="secret.bin", ChecksumAlgorithm="CRC64NVME")
    body = secret.read_bytes()
    fresh.firn("mv", secret, "s3://shared/secret.bin")
    assert not secret.exists()
    assert s3.get_object(Bucket="shared", Key="secret.bin")["Body"].read() == body
    with pytest.raises(ClientError, match="AccessDenied"):
        other.get_object(Bucket="shared", Key="secret.bin")
