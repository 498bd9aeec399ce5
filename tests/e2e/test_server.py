"""The server: secure from its first start, durable, exclusive, and gone cleanly when asked."""

import concurrent.futures
import json
import os
import pathlib
import pty
import re
import resource
import signal
import socket
import stat
import subprocess
import threading
import time

import botocore.exceptions
import pytest
from appliance import Appliance, NotReady
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import client, new_bucket


def test_the_first_object_through_aws_cli_is_in_within_ten_seconds(fresh, aws, tmp_path):
    (tmp_path / "hello.txt").write_text("hello")
    begun = time.monotonic()
    fresh.start()
    fresh.run(aws, "s3", "mb", "s3://first")
    fresh.run(aws, "s3", "cp", tmp_path / "hello.txt", "s3://first/hello.txt")
    taken = time.monotonic() - begun
    assert fresh.run(aws, "s3", "cp", "s3://first/hello.txt", "-").stdout == b"hello"
    assert taken < 10, f"{taken:.1f} s"


def test_secrets_are_for_their_owner_only_and_never_logged(fresh):
    fresh.start()
    for name in ("credentials", "admin-token", "master.key"):
        assert stat.S_IMODE((fresh.directory / name).stat().st_mode) == 0o600, name
    _, secret = fresh.keys
    token = (fresh.directory / "admin-token").read_text().strip()
    client(fresh).list_buckets()
    log = fresh.log.read_text()
    assert secret not in log and token not in log
    assert fresh.endpoint.startswith("http://127.0.0.1:")


def output_on_a_terminal(appliance: Appliance, *arguments: str) -> str:
    """What a start and its end print where a person watches."""
    ours, theirs = pty.openpty()
    doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    command = [appliance.binary, "server", str(appliance.directory), *doors, *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text, stopped = "", False
    try:
        while chunk := os.read(ours, 65536):
            text += chunk.decode(errors="replace")
            # The banner ends with the commands to try next; all of it is written before the doors serve.
            if "firn env" in text and not stopped:
                client(appliance).list_buckets()
                process.send_signal(signal.SIGTERM)
                stopped = True
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    return text


def test_the_secret_is_shown_once_and_only_on_a_terminal(fresh):
    first = output_on_a_terminal(fresh)
    key, secret = fresh.keys
    assert first.count(secret) == 1 and first.count("AGE-SECRET-KEY") == 1
    again = output_on_a_terminal(fresh)
    assert not any(shown in again for shown in (key, secret, "AGE-SECRET-KEY"))
    # No request scrolls the keys away, unless it is asked for.
    assert "request_id" not in first + again
    assert "request_id" in output_on_a_terminal(fresh, "--log", "info")


def test_no_secret_keeps_them_off_a_terminal_too(fresh):
    first = output_on_a_terminal(fresh, "--no-secret")
    secrets = (*fresh.keys, "AGE-SECRET-KEY")
    assert not any(shown in first for shown in secrets)
    # A recovery key that nobody saw would make backups that nobody opens.
    assert not (fresh.directory / "recovery.pub").exists()
    later = output_on_a_terminal(fresh)
    assert not any(shown in later for shown in secrets), "a first start there is once"


def test_kill_9_loses_nothing_that_was_acknowledged(fresh, chance):
    """Four writers until the kill; then everything acknowledged is there, whole."""
    fresh.start()
    bucket = new_bucket(client(fresh))
    acknowledged, enough = {}, threading.Event()

    def write(writer: int) -> None:
        own = client(fresh)
        random_bytes = chance.randbytes(400_000)
        for number in range(100_000):
            key, body = f"{writer}/{number}", random_bytes[: (number * 7919) % 400_000]
            try:
                own.put_object(Bucket=bucket, Key=key, Body=body)
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                return
            acknowledged[key] = body
            if len(acknowledged) > 150:
                enough.set()

    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, writer) for writer in range(4)]
            assert enough.wait(60)
            fresh.kill()
            for writer in writers:
                writer.result()
        enough.clear()
        fresh.start()
        own = client(fresh)
        for key, body in acknowledged.items():
            assert own.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key
        acknowledged.clear()


def test_a_restart_keeps_keys_buckets_versions_and_uploads(fresh):
    fresh.start()
    keys, s3 = fresh.keys, client(fresh)
    bucket = new_bucket(s3, versioned=True)
    ids = [s3.put_object(Bucket=bucket, Key="o", Body=body)["VersionId"] for body in (b"1", b"2")]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    assert fresh.stop() == 0
    fresh.start()
    s3 = client(fresh)
    assert fresh.keys == keys
    listed = [entry["VersionId"] for entry in s3.list_object_versions(Bucket=bucket)["Versions"]]
    assert listed == ids[::-1]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == b"part"


def begin_put(appliance: Appliance, bucket: str, body: bytes) -> socket.socket:
    """A connection on which the server has asked for the body of a PUT: it is in the middle of this request."""
    request = AWSRequest("PUT", f"{appliance.endpoint}/{bucket}/o", data=body)
    S3SigV4Auth(Credentials(*appliance.keys), "s3", "us-east-1").add_auth(request)
    host, port = appliance.endpoint[7:].split(":")
    lines = [f"PUT /{bucket}/o HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
    lines += ["Expect: 100-continue", *(f"{name}: {value}" for name, value in request.headers.items())]
    stream = socket.create_connection((host, int(port)), timeout=60)
    stream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
    assert stream.recv(65536).startswith(b"HTTP/1.1 100")
    return stream


def test_sigterm_drains_what_is_under_way(fresh, chance):
    fresh.start()
    bucket = new_bucket(client(fresh))
    body = chance.randbytes(2_000_000)
    with begin_put(fresh, bucket, body) as stream:
        fresh.terminate()
        stream.sendall(body)
        assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    assert fresh.await_exit() == 0
    fresh.start()
    assert client(fresh).get_object(Bucket=bucket, Key="o")["Body"].read() == body


def test_what_is_under_way_is_waited_for_as_long_as_configured(fresh, tmp_path):
    config = tmp_path / "firn.toml"
    config.write_text('[http]\ndrain = "1s"\n')
    fresh.start("--config", str(config))
    with begin_put(fresh, new_bucket(client(fresh)), b"never sent"):
        begun = time.monotonic()
        assert fresh.stop() == 0
        # Half a minute is what it waits unless it is told otherwise.
        assert 1 <= time.monotonic() - begun < 20


def test_a_second_signal_ends_at_once(fresh):
    fresh.start()
    host, port = fresh.endpoint[7:].split(":")
    with begin_put(fresh, new_bucket(client(fresh)), b"never sent"):
        begun = time.monotonic()
        fresh.terminate()
        try:
            # The first one is seen once nobody is let in any more.
            while True:
                socket.create_connection((host, int(port)), timeout=60).close()
        except ConnectionError:
            pass
        fresh.terminate()
        assert fresh.await_exit() == 130
        assert time.monotonic() - begun < 20


def test_the_limit_of_open_files_is_raised_to_what_is_allowed(fresh):
    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    command = [fresh.binary, "server", str(fresh.directory), *doors]
    low = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, allowed))  # noqa: E731
    fresh.launch(command, dict(os.environ), preexec_fn=low)
    raised, _ = resource.prlimit(fresh.process.pid, resource.RLIMIT_NOFILE)
    assert raised == min(65_536, allowed if allowed != resource.RLIM_INFINITY else 65_536)


def test_idle_connections_take_no_descriptor_from_writes(fresh):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
    command = [fresh.binary, "server", str(fresh.directory), *doors]
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))  # noqa: E731
    fresh.launch(command, dict(os.environ), preexec_fn=few)
    assert "fewer connections than http.connections" in fresh.log.read_text()
    s3 = client(fresh)
    bucket = new_bucket(s3)
    host, port = fresh.endpoint[7:].split(":")
    enough = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
    idle = []
    try:
        for _ in range(1100):
            stream = socket.socket()
            stream.setblocking(False)
            stream.connect_ex((host, int(port)))
            idle.append(stream)
        for n in range(240):
            s3.put_object(Bucket=bucket, Key=str(n), Body=os.urandom(4096))
        assert len(os.listdir(f"/proc/{fresh.process.pid}/fd")) < 1024 - 64
    finally:
        for stream in idle:
            stream.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_credentials_that_were_removed_are_made_anew_with_a_warning(fresh):
    fresh.start()
    assert fresh.stop() == 0
    (fresh.directory / "credentials").unlink()
    fresh.start()
    assert "was gone and is made anew" in fresh.log.read_text()


def test_a_directory_in_use_is_refused_and_unharmed(fresh, binary):
    fresh.start()
    second = Appliance(binary, fresh.directory)
    second.log = fresh.log.with_suffix(".second")
    addresses = fresh.endpoint, fresh.admin
    with pytest.raises(NotReady, match="in use|another"):
        second.start()
    assert (fresh.endpoint, fresh.admin) == addresses
    client(fresh).list_buckets()


def test_a_directory_of_a_newer_firn_is_refused_and_unchanged(fresh):
    fresh.start()
    assert fresh.stop() == 0
    marker = fresh.directory / "firn.json"
    newer = json.loads(marker.read_text())
    newer["version"] = newer["version"] + 1
    text = json.dumps(newer, separators=(",", ":"))
    marker.chmod(0o600)
    marker.write_text(text)
    with pytest.raises(NotReady, match="newer"):
        fresh.start()
    assert marker.read_text() == text


def test_a_directory_that_holds_something_else_is_refused(fresh):
    fresh.directory.mkdir()
    (fresh.directory / "thesis.tex").write_text("do not touch")
    with pytest.raises(NotReady):
        fresh.start()
    assert sorted(path.name for path in fresh.directory.iterdir()) == ["thesis.tex"]


def test_probes_are_open_and_the_rest_wants_the_token(appliance):
    assert appliance.probe("/livez")[0] == 200
    assert appliance.probe("/readyz")[0] == 200
    for path in ("/metrics", "/v1/status", "/v1/doctor", "/v1/workers"):
        assert appliance.probe(path)[0] == 401, path
        assert appliance.probe(path, "wrong")[0] == 401, path
    token = (appliance.directory / "admin-token").read_text().strip()
    status, document = appliance.probe("/v1/status", token)
    assert status == 200 and isinstance(json.loads(document), dict)
    status, metrics = appliance.probe("/metrics", token)
    assert status == 200 and re.search(rb"^firn_\w+", metrics, re.M)


def test_firn_env_sets_up_aws_cli(appliance, binary, aws):
    script = 'eval "$("$1" env "$2")" && exec "$3" s3 ls'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # What a shell may have been left with points elsewhere, and would go before what is set.
    environment.update(AWS_SESSION_TOKEN="stale", AWS_PROFILE="gone", AWS_ENDPOINT_URL_S3="http://127.0.0.1:1")
    environment.update(AWS_DEFAULT_PROFILE="gone", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true")
    done = subprocess.run(
        ["sh", "-c", script, "sh", binary, str(appliance.directory), aws],
        env=environment,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_memory_stays_bounded_whatever_the_objects_size(fresh, tmp_path):
    fresh.start()
    s3 = client(fresh)
    bucket = new_bucket(s3)
    with open(tmp_path / "big", "wb") as big:
        big.truncate(700 << 20)
    with open(tmp_path / "big", "rb") as big:
        s3.put_object(Bucket=bucket, Key="o", Body=big)
    for chunk in s3.get_object(Bucket=bucket, Key="o")["Body"].iter_chunks(1 << 20):
        assert not any(chunk)
    status = pathlib.Path(f"/proc/{fresh.process.pid}/status").read_text()
    peak_kib = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
    assert peak_kib < 500 << 10, f"{peak_kib} KiB"
