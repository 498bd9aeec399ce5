"""The same clients over TLS, against a CA that each is told to believe; and what TLS itself promises on the wire."""

import os
import shutil
import socket
import ssl
import subprocess

import botocore.exceptions
import pytest
from conftest import client, new_bucket
from test_clients import (  # noqa: F401
    test_aws_s3_sync_there_and_back,
    test_firn_sync_there_and_back,
    test_parquet_is_written_and_read_by_columns,
    test_rclone_sync_and_check,
    test_s5cmd_there_and_back,
)


@pytest.fixture
def appliance(secured):
    """What the tests above run against here."""
    return secured


@pytest.fixture
def s3(secured):
    return client(secured)


@pytest.fixture
def bucket(s3) -> str:
    return new_bucket(s3)


def test_boto3_there_and_back(s3, bucket, chance):
    assert s3.meta.endpoint_url.startswith("https://")
    for size in (0, 1000, 300_000, 9_000_000):
        body = chance.randbytes(size)
        s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm="CRC32")
        got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert got["Body"].read() == body
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["k"]


def test_nobody_believes_the_certificate_untold(secured):
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(secured, ssl.create_default_context())
    with pytest.raises(botocore.exceptions.SSLError):
        client(secured, verify=True).list_buckets()


def connect(secured, context: ssl.SSLContext) -> str:
    host, port = secured.endpoint.split("//")[1].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=host) as secure:
            return secure.version()


def test_versions(secured):
    """TLS 1.2 and 1.3 are spoken, 1.1 is not, whatever the client would take."""
    for version, spoken in (("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3"), ("TLSv1_1", None)):
        context = ssl.create_default_context(cafile=secured.ca_bundle)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
        if spoken:
            assert connect(secured, context) == spoken
        else:
            with pytest.raises(ssl.SSLError):
                connect(secured, context)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("flag", "spoken"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_curl_speaks_both_versions_of_http(secured, s3, bucket, flag, spoken):
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    done = subprocess.run(
        ["curl", "-sS", flag, "--cacert", secured.ca_bundle, "-w", " %{http_version}", url],
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode() == f"hello {spoken}"


def test_virtual_hosts_are_in_the_certificate(secured, s3, bucket):
    """`BUCKET.s3.localhost`, whoever resolves it."""
    context = ssl.create_default_context(cafile=secured.ca_bundle)
    host, port = secured.endpoint.split("//")[1].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=f"{bucket}.s3.localhost") as secure:
            secure.sendall(f"GET / HTTP/1.1\r\nhost: {bucket}.s3.localhost\r\nconnection: close\r\n\r\n".encode())
            answer = b""
            while piece := secure.recv(4096):
                answer += piece
    assert b"403 Forbidden" in answer and f"<Resource>/{bucket}</Resource>".encode() in answer


def test_the_admin_door_beyond_loopback_speaks_tls_and_the_verbs_follow(fresh):
    doors = ["--http", "127.0.0.1:0", "--admin", "0.0.0.0:0", "--tls"]
    fresh.launch([fresh.binary, "server", str(fresh.directory), *doors], dict(os.environ))
    assert fresh.admin.startswith("https://127.0.0.1:")
    assert fresh.probe("/readyz")[0] == 200
    for verb in ("status", "doctor"):
        assert fresh.firn(verb, str(fresh.directory)).returncode == 0
    fresh.firn("mb", "s3://over-tls")
