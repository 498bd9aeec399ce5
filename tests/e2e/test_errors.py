"""Errors: S3's codes, S3's shape, and nothing done."""

import json
import socket

import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import client_of
from s3_errors import refused


def send_signed(appliance, method, path, body=b"", headers=None, unsigned=None, region="us-east-1"):
    """A request signed by botocore, with headers added after the signature."""
    request = AWSRequest(method, appliance.endpoint + path, data=body, headers=headers or {})
    S3SigV4Auth(Credentials(*appliance.keys), "s3", region).add_auth(request)
    sent = {**dict(request.headers), **(unsigned or {})}
    return requests.request(method, request.url, data=body, headers=sent, timeout=30)


def code_of(answer):
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def test_what_is_not_there_is_named(s3, bucket):
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="nothing")
    with refused("NoSuchBucket", 404):
        s3.list_objects_v2(Bucket="no-such-bucket-here")
    with refused("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key="o", UploadId="nothing", PartNumber=1, Body=b"x")


def test_a_refusal_has_code_message_resource_and_request_id(appliance, bucket):
    answer = send_signed(appliance, "GET", f"/{bucket}/nothing")
    assert answer.headers["Content-Type"].startswith("application/xml")
    for part in ("<Error>", "<Code>NoSuchKey</Code>", "<Message>", "<RequestId>"):
        assert part in answer.text
    asked = answer.headers["x-amz-request-id"]
    assert asked in answer.text
    for _ in range(500):
        said = [json.loads(line) for line in appliance.log.read_text().splitlines() if asked in line]
        if said:
            break
        # The line comes behind the answer: each look asks something else in between.
        appliance.probe("/livez")
    assert [(line["request_id"], line["status"]) for line in said] == [(asked, 404)], "the log names it by that id"


def test_wrong_keys_are_told_apart(appliance, bucket):
    access, secret = appliance.keys
    with refused("SignatureDoesNotMatch", 403):
        client_of(appliance, (access, "x" * 40)).list_objects_v2(Bucket=bucket)
    with refused("InvalidAccessKeyId", 403):
        client_of(appliance, ("AKIAXXXXXXXXXXXXXXXX", secret)).list_objects_v2(Bucket=bucket)


def test_another_region_gets_the_right_one_named(appliance, bucket):
    answer = send_signed(appliance, "GET", f"/{bucket}?list-type=2", region="eu-west-1")
    assert code_of(answer) == (400, "AuthorizationHeaderMalformed")
    assert "<Region>us-east-1</Region>" in answer.text


def test_an_unsigned_amz_header_is_never_honoured(appliance, s3, bucket):
    answer = send_signed(appliance, "PUT", f"/{bucket}/o", b"x", unsigned={"x-amz-meta-added": "later"})
    assert answer.status_code in (400, 403)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="o")


def test_a_body_that_is_not_what_was_signed_is_refused(appliance, s3, bucket):
    request = AWSRequest("PUT", f"{appliance.endpoint}/{bucket}/o", data=b"what was signed")
    S3SigV4Auth(Credentials(*appliance.keys), "s3", "us-east-1").add_auth(request)
    headers = {**dict(request.headers), "x-amz-content-sha256": request.headers["X-Amz-Content-SHA256"]}
    headers.pop("X-Amz-Content-SHA256")
    answer = requests.put(request.url, data=b"what was sent..", headers=headers, timeout=30)
    assert code_of(answer)[0] in (400, 403)
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="o")


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("?delete", b"<not xml", (400, "MalformedXML")),
        ("?versioning", b"<VersioningConfiguration><Status>Perhaps</Status></VersioningConfiguration>", (400, "MalformedXML")),
        ("?delete", b'<!DOCTYPE x [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>', (400, "MalformedXML")),
    ],
)
def test_hostile_xml_is_malformed(appliance, bucket, path, body, wanted):
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    method = "POST" if path == "?delete" else "PUT"
    answer = send_signed(appliance, method, f"/{bucket}{path}", body, headers={"Content-MD5": digest})
    assert code_of(answer) == wanted


def test_a_key_that_is_too_long_is_refused(s3, bucket):
    with refused("KeyTooLongError", 400):
        s3.put_object(Bucket=bucket, Key="x" * 1025, Body=b"x")


def test_too_much_metadata_is_refused(s3, bucket):
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="o", Body=b"x", Metadata={"a": "x" * 2100})


def test_an_object_beyond_five_gigabytes_is_refused_before_its_body(appliance, bucket):
    request = AWSRequest("PUT", f"{appliance.endpoint}/{bucket}/o", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    S3SigV4Auth(Credentials(*appliance.keys), "s3", "us-east-1").add_auth(request)
    head = [f"PUT /{bucket}/o HTTP/1.1", f"Host: {appliance.endpoint[7:]}", f"Content-Length: {(5 << 30) + 1}"]
    head += [f"{name}: {value}" for name, value in request.headers.items()]
    answer = raw(appliance, ("\r\n".join(head) + "\r\nExpect: 100-continue\r\n\r\n").encode())
    assert answer.startswith(b"HTTP/1.1 400") and b"EntityTooLarge" in answer


def test_a_head_that_is_too_large_and_one_that_is_no_http_are_answered_and_cut(appliance):
    answer = raw(appliance, b"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 100_000 + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400") and b"<Code>RequestHeaderSectionTooLarge</Code>" in answer
    answer = raw(appliance, b"\x16\x03\x01 this is no http\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400") and b"<Code>BadRequest</Code>" in answer


def raw(appliance, data: bytes) -> bytes:
    """Sends bytes, returns what comes until the server closes or has nothing more to say for a second."""
    host, port = appliance.endpoint[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        try:
            stream.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        stream.settimeout(1)
        answer = b""
        try:
            while chunk := stream.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer
