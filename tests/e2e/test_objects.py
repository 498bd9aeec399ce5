"""Objects come back as they were sent."""

import hashlib

import pytest
from s3_errors import refused

SIZES = [0, 1, 4095, 4096, 4097, 65_536, 1_048_577, 9_000_001]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back_byte_for_byte(s3, bucket, chance, size):
    body = chance.randbytes(size)
    put = s3.put_object(Bucket=bucket, Key="o", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="o")
    assert got["Body"].read() == body
    assert (got["ContentLength"], got["ETag"]) == (size, put["ETag"])


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-0", 0, 0), ("bytes=10-70000", 10, 70_000), ("bytes=-5", 199_995, 199_999), ("bytes=199999-", 199_999, 199_999), ("bytes=65530-999999", 65_530, 199_999)],
)
def test_ranges_and_suffix_ranges_give_exactly_their_bytes(s3, bucket, chance, asked, first, last):
    body = chance.randbytes(200_000)
    s3.put_object(Bucket=bucket, Key="o", Body=body)
    got = s3.get_object(Bucket=bucket, Key="o", Range=asked)
    assert got["Body"].read() == body[first : last + 1]
    assert got["ContentRange"] == f"bytes {first}-{last}/200000"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_beyond_the_end_is_invalid(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"12345")
    with refused("InvalidRange", 416):
        s3.get_object(Bucket=bucket, Key="o", Range="bytes=5-9")


def test_system_and_user_metadata_are_kept(s3, bucket):
    sent = {
        "ContentType": "text/x-firn",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
        "Metadata": {"colour": "white", "two-words": "a b"},
    }
    s3.put_object(Bucket=bucket, Key="o", Body=b"x", **sent)
    head = s3.head_object(Bucket=bucket, Key="o")
    assert {name: head[name] for name in sent} == sent


def test_response_overrides_change_the_answer_and_not_the_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x", ContentType="text/plain")
    got = s3.get_object(Bucket=bucket, Key="o", ResponseContentType="text/csv", ResponseCacheControl="no-cache")
    assert (got["ContentType"], got["CacheControl"]) == ("text/csv", "no-cache")
    assert s3.head_object(Bucket=bucket, Key="o")["ContentType"] == "text/plain"


def test_keys_that_look_like_paths_are_just_keys(s3, bucket):
    keys = ["a", "a/", "a/b", "a//b", "a/./b", "a/../b", "..", ".", "/", "//", " ", "ü/☃", "a+b%20c&d=e?f#g", "x" * 1024]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    listed = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(keys, key=str.encode)


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="o")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="o")
    s3.delete_object(Bucket=bucket, Key="o")


def test_many_objects_are_deleted_at_once(s3, bucket):
    keys = [f"k{number:03}" for number in range(50)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    asked = {"Objects": [{"Key": key} for key in [*keys[:40], "never-there"]]}
    answer = s3.delete_objects(Bucket=bucket, Delete=asked)
    assert len(answer["Deleted"]) == 41 and "Errors" not in answer
    left = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == keys[40:]


def test_attributes_say_size_etag_and_parts(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="o", Body=b"12345", ChecksumAlgorithm="SHA256")
    asked = ["ETag", "Checksum", "ObjectSize", "StorageClass"]
    said = s3.get_object_attributes(Bucket=bucket, Key="o", ObjectAttributes=asked)
    assert said["ETag"] == put["ETag"].strip('"')
    assert (said["ObjectSize"], said["StorageClass"]) == (5, "STANDARD")
    assert said["Checksum"]["ChecksumSHA256"] == put["ChecksumSHA256"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="CRC32")["UploadId"]
    parts = []
    for number, body in [(1, b"x" * (5 << 20)), (2, b"end")]:
        named = {"Bucket": bucket, "Key": "parts", "UploadId": upload, "PartNumber": number}
        part = s3.upload_part(**named, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    said = s3.get_object_attributes(Bucket=bucket, Key="parts", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert (said["TotalPartsCount"], said["IsTruncated"]) == (2, False)
    told = [(part["PartNumber"], part["Size"], part["ChecksumCRC32"]) for part in said["Parts"]]
    assert told == [(1, 5 << 20, parts[0]["ChecksumCRC32"]), (2, 3, parts[1]["ChecksumCRC32"])]


def test_conditional_reads_follow_etag_and_time(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    modified = s3.head_object(Bucket=bucket, Key="o")["LastModified"]
    assert s3.get_object(Bucket=bucket, Key="o", IfMatch=put["ETag"])["Body"].read() == b"x"
    with refused("PreconditionFailed", 412):
        s3.get_object(Bucket=bucket, Key="o", IfMatch='"other"')
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key="o", IfNoneMatch=put["ETag"])
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key="o", IfModifiedSince=modified)
