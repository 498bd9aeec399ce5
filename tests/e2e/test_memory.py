"""How much memory clients can make a server use."""

import pathlib
import re
import socket
import time
from urllib.parse import urlsplit

import conftest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BUDGET_MIB = 128
# What a connection costs besides its body, and what the server needs for itself under load.
OTHER_MIB = 96
CONNECTIONS = 300
BODY = 2 << 20
PATIENCE_S_MAX = 60


def resident_mib(appliance) -> float:
    status = pathlib.Path(f"/proc/{appliance.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def presigned(appliance, method: str, path: str) -> str:
    request = AWSRequest(method, appliance.endpoint + path)
    S3SigV4QueryAuth(Credentials(*appliance.keys), "s3", "us-east-1").add_auth(request)
    return request.url


def refused(appliance) -> int:
    """Requests that were told to slow down."""
    token = (appliance.directory / "admin-token").read_text().strip()
    metrics = appliance.probe("/metrics", token)[1].decode()
    return int(re.search(r"^firn_s3_bodies_refused_total (\d+)", metrics, re.M).group(1))


def stall(appliance, url: str, method: str) -> socket.socket:
    """Sends all of a body but its end, as far as the server takes it."""
    url = urlsplit(url)
    connection = socket.create_connection((url.hostname, url.port))
    head = f"{method} {url.path}?{url.query} HTTP/1.1\r\nhost: {url.netloc}\r\ncontent-length: {BODY}\r\n\r\n"
    connection.sendall(head.encode())
    connection.setblocking(False)
    return connection


def test_stalled_bodies_cost_no_more_memory_than_they_may(fresh, tmp_path):
    """300 bodies of 2 MiB that do not end, uploads and documents; without a bound they take some 700 MiB."""
    config = tmp_path / "firn.toml"
    config.write_text(f'[http]\nbodies = "{BUDGET_MIB}MiB"\n')
    fresh.start("--config", str(config))
    s3 = conftest.client(fresh)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="small", Body=b"hello")
    idle = resident_mib(fresh)
    kinds = [("PUT", "/bucket/large"), ("POST", "/bucket?delete=")]
    kinds = [(presigned(fresh, *kind), kind[0]) for kind in kinds]
    stalled = [stall(fresh, *kinds[number % 2]) for number in range(CONNECTIONS)]
    left = {connection: BODY - 1 for connection in stalled}
    piece, peak = b"x" * (64 << 10), idle
    deadline = time.monotonic() + PATIENCE_S_MAX
    while (left or not refused(fresh)) and time.monotonic() < deadline:
        moved = False
        for connection in list(left):
            try:
                left[connection] -= connection.send(piece[: left[connection]])
                moved = True
            except BlockingIOError:
                pass
            except OSError:
                left[connection] = 0
            if left[connection] == 0:
                del left[connection]
        peak = max(peak, resident_mib(fresh))
        if not moved:
            s3.get_object(Bucket="bucket", Key="small")["Body"].read()
            s3.put_object(Bucket="bucket", Key="small", Body=b"hello")
    assert refused(fresh) > 0
    assert peak - idle < BUDGET_MIB + OTHER_MIB, f"{idle:.0f} MiB idle, {peak:.0f} MiB at most"
    for connection in stalled:
        connection.close()
    # They are gone, so the next goes through, at the latest when those who still wait were told.
    patient = conftest.client(fresh, retries={"total_max_attempts": 8, "mode": "standard"})
    patient.put_object(Bucket="bucket", Key="large", Body=b"x" * BODY)
    print(f"{idle:.0f} MiB idle, {peak:.0f} MiB at most")
