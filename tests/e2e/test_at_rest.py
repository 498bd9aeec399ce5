"""Nothing that was stored lies readable on the disk, in no file of the directory and in no backup, however it came in."""

import io
import mmap
import pathlib
import subprocess
import tarfile

import pytest
from conftest import client, new_bucket

WAYS = ["inline", "record", "records", "part", "small-part", "deduplicated", "entry", "large-entry", "copied"]


def marker(way: str) -> bytes:
    return f"MARKER-{way}-0123456789abcdefghijklmnopqrstuvwxyz\n".encode()


def body(way: str, length: int) -> bytes:
    return marker(way) * (length // len(marker(way)) + 1)


def store(s3, plain: str, deduplicated: str) -> None:
    s3.put_object(Bucket=plain, Key="inline", Body=marker("inline"))
    s3.put_object(Bucket=plain, Key="record", Body=body("record", 20_000))
    s3.put_object(Bucket=plain, Key="records", Body=body("records", 9 << 20))
    upload = s3.create_multipart_upload(Bucket=plain, Key="never-completed")["UploadId"]
    for number, part in [(1, body("part", 300_000)), (2, marker("small-part"))]:
        s3.upload_part(Bucket=plain, Key="never-completed", UploadId=upload, PartNumber=number, Body=part)
    s3.put_object(Bucket=deduplicated, Key="d", Body=body("deduplicated", 6 << 20))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for way, length in [("entry", 100), ("large-entry", 900_000)]:
            data = body(way, length)
            entry = tarfile.TarInfo(way)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    extract = {"snowball-auto-extract": "true"}
    s3.put_object(Bucket=plain, Key="archive.tar", Body=archive.getvalue(), Metadata=extract)
    s3.put_object(Bucket=deduplicated, Key="copied", Body=body("copied", 200_000))
    s3.copy_object(Bucket=plain, Key="copied", CopySource=f"{deduplicated}/copied", ChecksumAlgorithm="SHA1")


def holding(root: pathlib.Path, texts: list[bytes]) -> list[tuple[str, bytes]]:
    """Files below a directory, and which of these texts they hold."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size > 0:
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
                found += [(str(path), text) for text in texts if held.find(text) >= 0]
    return found


@pytest.mark.parametrize("ends", ["killed", "stopped"])
def test_nothing_stored_lies_readable_on_the_disk(fresh, tmp_path, ends):
    target = tmp_path / "backup"
    target.mkdir()
    config = tmp_path / "firn.toml"
    config.write_text(f'[backup]\ntarget = "{target}"\n')
    fresh.start("--config", str(config)).stop()
    subprocess.run([fresh.binary, "backup", "key", fresh.directory], capture_output=True, check=True)
    fresh.start("--config", str(config))
    s3 = client(fresh)
    plain, deduplicated = new_bucket(s3), new_bucket(s3)
    fresh.firn("dedup", "on", f"s3://{deduplicated}")
    store(s3, plain, deduplicated)
    for way in ("inline", "records", "entry", "large-entry", "copied"):
        assert marker(way) in s3.get_object(Bucket=plain, Key=way)["Body"].read(), way
    fresh.firn("backup", "now")
    if ends == "killed":
        fresh.kill()
    else:
        assert fresh.stop() == 0
    texts = [marker(way)[:-1] for way in WAYS]
    assert holding(fresh.directory, texts) == []
    assert holding(target, texts) == []
    # The look itself finds what is there: keys are not secret.
    assert any(name.endswith(".log") for name, _ in holding(fresh.directory, [b"never-completed"]))
    assert any(target.rglob("*"))
