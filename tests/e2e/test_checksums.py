"""Checksums: verified before anything is visible, kept, told again, composite and full-object."""

import base64
import hashlib

import pytest
from conftest import client
from s3_errors import refused

PART = 5 << 20
# All that botocore computes with awscrt; MD5 as an additional checksum is sent as a value.
COMPUTED = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128"]
FULL = ["CRC32", "CRC32C", "CRC64NVME"]
COMPOSITE = ["CRC32", "CRC32C", "SHA1", "SHA256"]


@pytest.mark.parametrize("algorithm", COMPUTED)
def test_each_algorithm_is_verified_kept_and_told(s3, bucket, chance, algorithm):
    body = chance.randbytes(100_000)
    put = s3.put_object(Bucket=bucket, Key="o", Body=body, ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="o", ChecksumMode="ENABLED")
    # botocore verifies what it knows while this is read.
    assert got["Body"].read() == body
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert got["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("algorithm", COMPUTED)
def test_a_wrong_checksum_leaves_nothing(s3, bucket, algorithm):
    right = s3.put_object(Bucket=bucket, Key="right", Body=b"x", ChecksumAlgorithm=algorithm)
    wrong = {f"Checksum{algorithm}": right[f"Checksum{algorithm}"]}
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="o", Body=b"y", **wrong)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="o")


def test_md5_is_a_checksum_too(s3, bucket):
    value = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="o", Body=b"x", ChecksumMD5=value)
    assert s3.head_object(Bucket=bucket, Key="o", ChecksumMode="ENABLED")["ChecksumMD5"] == value
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="o2", Body=b"y", ChecksumMD5=value)


def test_a_wrong_content_md5_leaves_nothing(s3, bucket):
    digest = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="right", Body=b"x", ContentMD5=digest)
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="o", Body=b"y", ContentMD5=digest)
    with refused("InvalidDigest", 400):
        s3.put_object(Bucket=bucket, Key="o", Body=b"y", ContentMD5="no digest")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="o")


def upload(s3, bucket, bodies, algorithm, kind):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="o", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    parts = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(
            Bucket=bucket, Key="o", UploadId=begun["UploadId"], PartNumber=number, Body=body, ChecksumAlgorithm=algorithm
        )
        field = f"Checksum{algorithm}"
        parts.append({"PartNumber": number, "ETag": sent["ETag"], field: sent[field]})
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="o", UploadId=begun["UploadId"], MultipartUpload={"Parts": parts}
    )


@pytest.mark.parametrize("algorithm", FULL)
def test_parts_combine_to_the_checksum_of_the_whole(s3, bucket, chance, algorithm):
    bodies = [chance.randbytes(PART), chance.randbytes(12_345)]
    done = upload(s3, bucket, bodies, algorithm, "FULL_OBJECT")
    whole = s3.put_object(Bucket=bucket, Key="whole", Body=b"".join(bodies), ChecksumAlgorithm=algorithm)
    assert done[f"Checksum{algorithm}"] == whole[f"Checksum{algorithm}"]
    assert s3.head_object(Bucket=bucket, Key="o", ChecksumMode="ENABLED")["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("algorithm", COMPOSITE)
def test_a_composite_checksum_names_its_parts(s3, bucket, chance, algorithm):
    done = upload(s3, bucket, [chance.randbytes(PART), b"end"], algorithm, "COMPOSITE")
    assert done[f"Checksum{algorithm}"].endswith("-2")
    head = s3.head_object(Bucket=bucket, Key="o", ChecksumMode="ENABLED")
    assert (head["ChecksumType"], head[f"Checksum{algorithm}"]) == ("COMPOSITE", done[f"Checksum{algorithm}"])


def test_a_composite_completion_without_a_parts_checksum_is_refused(s3, bucket):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="o", ChecksumAlgorithm="SHA256")
    where = {"Bucket": bucket, "Key": "o", "UploadId": begun["UploadId"]}
    sent = s3.upload_part(**where, PartNumber=1, Body=b"x", ChecksumAlgorithm="SHA256")
    part = {"PartNumber": 1, "ETag": sent["ETag"]}
    with refused("InvalidRequest", 400):
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]})
    part["ChecksumSHA256"] = sent["ChecksumSHA256"]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [part]})


def test_a_composite_sha256_is_the_hash_of_the_hashes(s3, bucket, chance):
    bodies = [chance.randbytes(PART), b"end"]
    done = upload(s3, bucket, bodies, "SHA256", "COMPOSITE")
    hashes = b"".join(hashlib.sha256(body).digest() for body in bodies)
    assert done["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(hashes).digest()).decode() + "-2"


def test_the_default_checksum_is_crc64nvme(appliance, bucket):
    quiet = client(appliance, request_checksum_calculation="when_required")
    quiet.put_object(Bucket=bucket, Key="o", Body=b"x")
    head = quiet.head_object(Bucket=bucket, Key="o", ChecksumMode="ENABLED")
    assert head["ChecksumCRC64NVME"] and head["ChecksumType"] == "FULL_OBJECT"


@pytest.mark.parametrize("signed", [True, False])
def test_chunked_bodies_of_both_kinds_arrive_whole(appliance, bucket, chance, signed):
    # A stream that cannot be rewound goes out as aws-chunked with a trailer.
    body = chance.randbytes(3_000_000)
    sender = client(appliance, s3={"payload_signing_enabled": signed, "addressing_style": "path"})
    sender.put_object(Bucket=bucket, Key="o", Body=body, ChecksumAlgorithm="CRC32C")
    assert sender.get_object(Bucket=bucket, Key="o")["Body"].read() == body
