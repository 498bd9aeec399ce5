"""Keys that clients bring along (SSE-C): through boto3, aws-cli and rclone, over TLS and on loopback; and what is left of them."""

import base64
import hashlib
import io
import itertools
import subprocess
import tarfile

import botocore.exceptions
import pytest
from conftest import client, installed, new_bucket
from test_at_rest import holding

KEYS = [bytes([0xA0 + number]) * 32 for number in range(3)]
MINE, THEIRS = KEYS[0], KEYS[1]


def brought(key: bytes | None) -> dict:
    return {} if key is None else {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


def of_source(key: bytes | None) -> dict:
    return {} if key is None else {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": key}


def refused(call, **parameters) -> tuple[int, str]:
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**parameters)
    response = error.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def in_parts(s3, bucket: str, key: str, body: bytes, by: bytes | None) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **brought(by))["UploadId"]
    parts, size = [], 5 << 20
    for number, at in enumerate(range(0, len(body), size), 1):
        sent = s3.upload_part(
            Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body[at : at + size], **brought(by)
        )
        parts.append({"PartNumber": number, "ETag": sent["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def opens_with_alone(s3, bucket: str, key: str, body: bytes, by: bytes | None) -> None:
    got = s3.get_object(Bucket=bucket, Key=key, **brought(by))
    assert got["Body"].read() == body
    if by is None:
        assert got["ServerSideEncryption"] == "AES256" and "SSECustomerAlgorithm" not in got
    else:
        assert got["SSECustomerKeyMD5"] == base64.b64encode(hashlib.md5(by).digest()).decode()
        assert "ServerSideEncryption" not in got and got["ETag"].strip('"') != hashlib.md5(body).hexdigest()
    for other in [None, *KEYS]:
        if other != by:
            assert refused(s3.get_object, Bucket=bucket, Key=key, **brought(other)) == (400, "InvalidRequest")
            assert refused(s3.head_object, Bucket=bucket, Key=key, **brought(other)) == (400, "400")


def test_objects_of_every_size_and_in_parts_are_read_with_their_key_alone(door, home, chance):
    s3 = client(door)
    for size in (0, 1, 4096, 4097, 300_000, 9_000_000):
        body = chance.randbytes(size)
        s3.put_object(Bucket=home, Key="k", Body=body, **brought(MINE))
        opens_with_alone(s3, home, "k", body, MINE)
    body = chance.randbytes(11 << 20)
    in_parts(s3, home, "parts", body, MINE)
    opens_with_alone(s3, home, "parts", body, MINE)
    for first, last in [(0, 0), (5, 1000), ((5 << 20) - 3, (5 << 20) + 70_000), (0, (11 << 20) - 1)]:
        got = s3.get_object(Bucket=home, Key="parts", Range=f"bytes={first}-{last}", **brought(MINE))
        assert got["Body"].read() == body[first : last + 1]
    got = s3.get_object(Bucket=home, Key="parts", PartNumber=2, **brought(MINE))
    assert got["Body"].read() == body[5 << 20 : 10 << 20]
    attributes = {"Bucket": home, "Key": "parts", "ObjectAttributes": ["ObjectSize"]}
    # boto3 encodes the key and adds its digest everywhere but here.
    encoded = {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(MINE).decode(),
        "SSECustomerKeyMD5": base64.b64encode(hashlib.md5(MINE).digest()).decode(),
    }
    assert s3.get_object_attributes(**attributes, **encoded)["ObjectSize"] == len(body)
    assert refused(s3.get_object_attributes, **attributes)[0] == 400


def test_copies_go_in_every_direction(s3, bucket, chance):
    bodies = {"small": chance.randbytes(100), "large": chance.randbytes(200_000), "parts": chance.randbytes(6 << 20)}
    keys = [None, MINE, THEIRS]
    for by, (kind, body) in itertools.product(keys[:2], bodies.items()):
        name = f"{kind}-{keys.index(by)}"
        if kind == "parts":
            in_parts(s3, bucket, name, body, by)
        else:
            s3.put_object(Bucket=bucket, Key=name, Body=body, **brought(by))
        for to in keys:
            copied = f"{name}-to-{keys.index(to)}"
            s3.copy_object(Bucket=bucket, Key=copied, CopySource=f"{bucket}/{name}", **of_source(by), **brought(to))
            opens_with_alone(s3, bucket, copied, body, to)
            if to is None and kind != "parts":
                assert s3.head_object(Bucket=bucket, Key=copied)["ETag"].strip('"') == hashlib.md5(body).hexdigest()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="gathered", **brought(THEIRS))["UploadId"]
    parts = []
    for number, by in enumerate(keys[:2], 1):
        copied = s3.upload_part_copy(
            Bucket=bucket,
            Key="gathered",
            UploadId=upload,
            PartNumber=number,
            CopySource=f"{bucket}/parts-{keys.index(by)}",
            **of_source(by),
            **brought(THEIRS),
        )
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(
        Bucket=bucket, Key="gathered", UploadId=upload, MultipartUpload={"Parts": parts}, **brought(THEIRS)
    )
    opens_with_alone(s3, bucket, "gathered", bodies["parts"] * 2, THEIRS)


def test_links_carry_their_keys_in_headers(s3, bucket, appliance):
    s3.put_object(Bucket=bucket, Key="k", Body=b"linked", **brought(MINE))
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k", **brought(MINE)})
    secret = base64.b64encode(MINE).decode()
    assert secret not in url
    headers = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": secret,
        "x-amz-server-side-encryption-customer-key-MD5": base64.b64encode(hashlib.md5(MINE).digest()).decode(),
    }
    given = itertools.chain.from_iterable(("-H", f"{name}: {value}") for name, value in headers.items())
    shown = subprocess.run(
        [installed("curl"), "-sS", *given, url],
        capture_output=True,
        check=True,
    )
    assert shown.stdout == b"linked"


def test_aws_cli_brings_keys(door, home, aws, tmp_path, chance):
    body = chance.randbytes(9 << 20)
    (tmp_path / "file").write_bytes(body)
    (tmp_path / "key").write_bytes(MINE)
    copy = [aws, "s3", "cp", "--sse-c", "AES256", "--sse-c-key", f"fileb://{tmp_path}/key"]
    door.run(*copy, tmp_path / "file", f"s3://{home}/k")
    opens_with_alone(client(door), home, "k", body, MINE)
    door.run(*copy, f"s3://{home}/k", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == body
    copied = [*copy, "--sse-c-copy-source", "AES256", "--sse-c-copy-source-key", f"fileb://{tmp_path}/key"]
    door.run(*copied, f"s3://{home}/k", f"s3://{home}/copied")
    opens_with_alone(client(door), home, "copied", body, MINE)


def test_rclone_brings_keys(secured, rclone, tmp_path, chance):
    # It sends none in the clear, not to its own machine either.
    s3 = client(secured)
    bucket = new_bucket(s3)
    tree = {"small": chance.randbytes(100), "large": chance.randbytes(300_000)}
    for name, body in tree.items():
        (tmp_path / "tree").mkdir(exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(body)
    secret = "0123456789abcdef0123456789ABCDEF"
    access, signs = secured.keys
    remote = f":s3,provider=Other,access_key_id={access},secret_access_key={signs},region=us-east-1,"
    remote += f"endpoint='{secured.endpoint}',force_path_style=true:{bucket}"
    keyed = ["env", "-u", "AWS_CA_BUNDLE", rclone, "--ca-cert", secured.ca_bundle, "--config", "/dev/null"]
    keyed += ["--s3-sse-customer-algorithm", "AES256", "--s3-sse-customer-key", secret]
    secured.run(*keyed, "sync", tmp_path / "tree", remote)
    for name, body in tree.items():
        opens_with_alone(s3, bucket, name, body, secret.encode())
    secured.run(*keyed, "sync", remote, tmp_path / "back")
    assert {name: (tmp_path / "back" / name).read_bytes() for name in tree} == tree


WAYS = ["inline", "record", "records", "part", "entry", "form", "copied"]


def marker(way: str) -> bytes:
    return f"CANARY-{way}-0123456789abcdefghijklmnopqrstuvwxyz\n".encode()


@pytest.mark.parametrize("ends", ["killed", "stopped"])
def test_neither_bytes_nor_keys_of_a_customer_lie_on_the_disk(fresh, ends):
    fresh.start()
    s3 = client(fresh)
    bucket, logs = new_bucket(s3), new_bucket(s3)
    fresh.firn("dedup", "on", f"s3://{bucket}")
    bodies = {way: marker(way) * times for way, times in [("inline", 1), ("record", 500), ("records", 100_000)]}
    for way, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=way, Body=body, **brought(MINE))
    in_parts(s3, bucket, "part", marker("part") * 200_000, MINE)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="never-completed", **brought(MINE))["UploadId"]
    s3.upload_part(
        Bucket=bucket, Key="never-completed", UploadId=upload, PartNumber=1, Body=marker("part") * 9, **brought(MINE)
    )
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("entry")
        entry.size = len(marker("entry"))
        tar.addfile(entry, io.BytesIO(marker("entry")))
    extract = {"snowball-auto-extract": "true"}
    s3.put_object(Bucket=bucket, Key="a.tar", Body=archive.getvalue(), Metadata=extract, **brought(MINE))
    opens_with_alone(s3, bucket, "entry", marker("entry"), MINE)
    s3.copy_object(
        Bucket=bucket, Key="copied", CopySource=f"{bucket}/records", **of_source(MINE), **brought(THEIRS)
    )
    opens_with_alone(s3, bucket, "copied", bodies["records"], THEIRS)
    refused(s3.get_object, Bucket=bucket, Key="inline", **brought(THEIRS))
    if ends == "killed":
        fresh.kill()
    else:
        assert fresh.stop() == 0
    secrets = [marker(way)[:-1] for way in WAYS]
    for key in (MINE, THEIRS):
        secrets += [key, base64.b64encode(key), key.hex().encode()]
    secrets += [hashlib.md5(marker("inline")).digest(), hashlib.md5(marker("inline")).hexdigest().encode()]
    assert holding(fresh.directory, secrets) == []
    log = fresh.log.read_bytes()
    assert log and not any(secret in log for secret in secrets)
    assert any(name.endswith(".log") for name, _ in holding(fresh.directory, [b"never-completed"]))
    # What was stored is read after it, with its key.
    fresh.start()
    opens_with_alone(client(fresh), bucket, "records", bodies["records"], MINE)
