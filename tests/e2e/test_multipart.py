"""Multipart: any order, listed, completed at once or not at all, idempotent."""

import hashlib

import boto3.s3.transfer
from s3_errors import refused

PART = 5 << 20


def begin(s3, bucket, key="o", **more):
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]


def send(s3, bucket, upload, number, body, key="o", **more):
    return s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body, **more)["ETag"]


def finish(s3, bucket, upload, etags, key="o", **more):
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **more
    )


def test_parts_sent_in_any_order_make_one_object(s3, bucket, chance):
    bodies = {1: chance.randbytes(PART), 7: chance.randbytes(PART + 1), 10_000: chance.randbytes(11)}
    upload = begin(s3, bucket, Metadata={"colour": "white"}, ContentType="text/x-firn")
    etags = {number: send(s3, bucket, upload, number, bodies[number]) for number in (10_000, 1, 7)}
    done = finish(s3, bucket, upload, etags)
    digests = b"".join(hashlib.md5(bodies[number]).digest() for number in sorted(bodies))
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="o")
    assert got["Body"].read() == b"".join(bodies[number] for number in sorted(bodies))
    assert (got["Metadata"], got["ContentType"]) == ({"colour": "white"}, "text/x-firn")


def test_a_part_number_reads_one_part(s3, bucket, chance):
    bodies = [chance.randbytes(PART), chance.randbytes(99)]
    upload = begin(s3, bucket)
    finish(s3, bucket, upload, {n: send(s3, bucket, upload, n, body) for n, body in enumerate(bodies, 1)})
    for number, body in enumerate(bodies, 1):
        got = s3.get_object(Bucket=bucket, Key="o", PartNumber=number)
        assert (got["Body"].read(), got["PartsCount"]) == (body, 2)


def test_a_part_sent_again_replaces_the_first(s3, bucket):
    upload = begin(s3, bucket)
    send(s3, bucket, upload, 1, b"first")
    etag = send(s3, bucket, upload, 1, b"second")
    finish(s3, bucket, upload, {1: etag})
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == b"second"


def test_completing_twice_says_the_same(s3, versioned):
    upload = begin(s3, versioned, ChecksumAlgorithm="CRC64NVME")
    etags = {1: send(s3, versioned, upload, 1, b"x", ChecksumAlgorithm="CRC64NVME")}
    answers = [finish(s3, versioned, upload, etags) for _ in range(2)]
    for answer in answers:
        del answer["ResponseMetadata"]
    assert answers[0] == answers[1]
    assert answers[0]["VersionId"] and answers[0]["ChecksumCRC64NVME"], answers[0]


def test_nothing_is_visible_before_completion_and_nothing_after_abortion(s3, bucket):
    upload = begin(s3, bucket)
    send(s3, bucket, upload, 1, b"x")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    s3.abort_multipart_upload(Bucket=bucket, Key="o", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="o", UploadId=upload)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_uploads_and_parts_are_listed_in_pages(s3, bucket):
    uploads = {(key, begin(s3, bucket, key)) for key in ("a", "a", "b", "c/d")}
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    assert {(entry["Key"], entry["UploadId"]) for page in pages for entry in page.get("Uploads", [])} == uploads
    upload = next(upload for key, upload in uploads if key == "b")
    for number in (5, 1, 3):
        send(s3, bucket, upload, number, b"x" * number, "b")
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="b", UploadId=upload, PaginationConfig={"PageSize": 2}
    )
    found = [(part["PartNumber"], part["Size"]) for page in pages for part in page["Parts"]]
    assert found == [(1, 1), (3, 3), (5, 5)]


def test_wrong_lists_of_parts_are_refused_and_leave_the_upload(s3, bucket):
    upload = begin(s3, bucket)
    etags = {1: send(s3, bucket, upload, 1, b"small"), 2: send(s3, bucket, upload, 2, b"last")}
    with refused("EntityTooSmall", 400):
        finish(s3, bucket, upload, etags)
    with refused("InvalidPart", 400):
        finish(s3, bucket, upload, {1: '"00000000000000000000000000000000"'})
    with refused("InvalidPart", 400):
        finish(s3, bucket, upload, {3: etags[1]})
    backwards = [{"PartNumber": 2, "ETag": etags[2]}, {"PartNumber": 1, "ETag": etags[1]}]
    with refused("InvalidPartOrder", 400):
        s3.complete_multipart_upload(
            Bucket=bucket, Key="o", UploadId=upload, MultipartUpload={"Parts": backwards}
        )
    finish(s3, bucket, upload, {2: etags[2]})
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == b"last"


def test_part_numbers_beyond_ten_thousand_are_refused(s3, bucket):
    upload = begin(s3, bucket)
    with refused("InvalidArgument", 400):
        send(s3, bucket, upload, 10_001, b"x")


def test_parts_are_copied_by_range(s3, bucket, chance):
    source = chance.randbytes(PART * 2)
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload = begin(s3, bucket)
    etags = {}
    for number, (first, last) in enumerate([(0, PART - 1), (PART, PART + 9)], 1):
        answer = s3.upload_part_copy(
            Bucket=bucket,
            Key="o",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={first}-{last}",
        )
        etags[number] = answer["CopyPartResult"]["ETag"]
    finish(s3, bucket, upload, etags)
    assert s3.get_object(Bucket=bucket, Key="o")["Body"].read() == source[: PART + 10]


def test_boto3s_own_transfer_sends_and_fetches_in_parts(s3, bucket, chance, tmp_path):
    body = chance.randbytes(40_000_003)
    (tmp_path / "in").write_bytes(body)
    config = boto3.s3.transfer.TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    s3.upload_file(str(tmp_path / "in"), bucket, "o", Config=config)
    s3.download_file(bucket, "o", str(tmp_path / "out"), Config=config)
    assert (tmp_path / "out").read_bytes() == body
