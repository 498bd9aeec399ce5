"""What administrators keep backups and shares with, through both doors: restic, s3cmd, s3fs."""

import os
import pathlib
import shutil
import subprocess

import pytest
from conftest import client, installed
from trees import prune, same


@pytest.fixture
def restic(door, home, tmp_path) -> list[str]:
    """restic with its repository."""
    cacert = ["--cacert", door.ca_bundle] if door.ca_bundle else []
    where = [f"RESTIC_REPOSITORY=s3:{door.endpoint}/{home}/backups", "RESTIC_PASSWORD=of the test"]
    return ["env", *where, installed("restic"), "--cache-dir", str(tmp_path / "cache"), *cacert]


def test_restic_backs_up_checks_restores_and_prunes(door, home, restic, tree, tmp_path):
    door.run(*restic, "init")
    door.run(*restic, "backup", ".", cwd=tree)
    (tree / "large1").unlink()
    (tree / "d0" / "added").write_bytes(b"since the first")
    door.run(*restic, "backup", ".", cwd=tree)
    door.run(*restic, "check", "--read-data")
    door.run(*restic, "restore", "latest", "--target", tmp_path / "back")
    same(tree, tmp_path / "back")
    before = kept(door, home)
    door.run(*restic, "forget", "--keep-last", "1", "--prune", "--max-unused", "0")
    assert kept(door, home) < before - 15_000_000, "the file that only the first snapshot had is gone"
    door.run(*restic, "check", "--read-data")
    shutil.rmtree(tmp_path / "back")
    door.run(*restic, "restore", "latest", "--target", tmp_path / "back")
    same(tree, tmp_path / "back")


def kept(door, bucket: str) -> int:
    """Bytes of all objects."""
    pages = client(door).get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return sum(entry["Size"] for page in pages for entry in page.get("Contents", []))


@pytest.fixture
def s3cmd(door) -> list[str]:
    access, secret = door.keys
    address = door.endpoint.split("//")[1]
    transport = [f"--ca-certs={door.ca_bundle}"] if door.ca_bundle else ["--no-ssl"]
    keys = [f"--access_key={access}", f"--secret_key={secret}"]
    doors = [f"--host={address}", f"--host-bucket={address}"]
    return [installed("s3cmd"), f"--config={os.devnull}", *keys, *doors, *transport, "--no-progress"]


def test_s3cmd_there_and_back(door, home, s3cmd, tree, tmp_path):
    door.run(*s3cmd, "sync", f"{tree}/", f"s3://{home}/t/")
    again = door.run(*s3cmd, "sync", f"{tree}/", f"s3://{home}/t/").stdout
    assert b"upload:" not in again, "what is there already is not sent again"
    (tmp_path / "back").mkdir()
    door.run(*s3cmd, "sync", f"s3://{home}/t/", f"{tmp_path}/back/")
    same(tree, tmp_path / "back")


def test_s3cmd_verbs(door, s3cmd, tmp_path, chance):
    bucket = "made-by-s3cmd-" + door.endpoint.split(":")[0]
    body = chance.randbytes(33_000_000)
    (tmp_path / "large").write_bytes(body)
    door.run(*s3cmd, "mb", f"s3://{bucket}")
    # 15 MB is its default: three parts.
    door.run(*s3cmd, "put", tmp_path / "large", f"s3://{bucket}/large")
    door.run(*s3cmd, "cp", f"s3://{bucket}/large", f"s3://{bucket}/copied")
    door.run(*s3cmd, "mv", f"s3://{bucket}/copied", f"s3://{bucket}/moved")
    door.run(*s3cmd, "modify", "--add-header=x-amz-meta-colour:blue", f"s3://{bucket}/moved")
    assert "colour" in door.run(*s3cmd, "info", f"s3://{bucket}/moved").stdout.decode()
    door.run(*s3cmd, "get", f"s3://{bucket}/moved", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == body
    used = door.run(*s3cmd, "du", f"s3://{bucket}").stdout.split()
    assert int(used[0]) == 2 * len(body)
    door.run(*s3cmd, "del", "--recursive", "--force", f"s3://{bucket}")
    door.run(*s3cmd, "rb", f"s3://{bucket}")
    assert bucket not in door.run(*s3cmd, "ls").stdout.decode()


@pytest.fixture
def mount(door, home, tmp_path):
    """The bucket, mounted by s3fs; called again after `unmount`, mounted anew."""
    s3fs, fusermount = installed("s3fs"), installed("fusermount")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("there is no /dev/fuse")
    point = tmp_path / "mnt"
    point.mkdir()
    options = ["-o", f"url={door.endpoint}", "-o", "use_path_request_style", "-o", f"logfile={tmp_path / 's3fs.log'}"]
    trust = [f"CURL_CA_BUNDLE={door.ca_bundle}"] if door.ca_bundle else []

    def mounted() -> pathlib.Path:
        # It stays behind as a daemon: with pipes of ours, its end would be waited for.
        done = door.run("env", *trust, "sh", "-c", '"$@" >/dev/null 2>&1', "sh", s3fs, home, point, *options)
        assert done.returncode == 0 and os.path.ismount(point), log(tmp_path)
        return point

    def unmount() -> None:
        subprocess.run([fusermount, "-u", point], check=True, timeout=60)

    mounted.unmount = unmount
    yield mounted
    if os.path.ismount(point):
        unmount()


def log(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "s3fs.log"
    return path.read_text(errors="replace")[-2000:] if path.exists() else "s3fs wrote no log"


def test_s3fs_mounts_a_bucket(mount, tree, tmp_path):
    prune(tree)
    point = mount()
    shutil.copytree(tree, point / "t")
    same(tree, point / "t")
    os.rename(point / "t" / "d1", point / "t" / "moved")
    os.rename(tree / "d1", tree / "moved")
    for top in (tree, point / "t"):
        with open(top / "large0", "ab") as grown:
            grown.write(b"appended")
        with open(top / "large1", "r+b") as patched:
            patched.seek(10_000_000)
            patched.write(b"in the middle")
        (top / "a+b").unlink()
        (top / "empty").write_bytes(b"no longer")
    os.chmod(point / "t" / "100%", 0o640)
    os.utime(point / "t" / "100%", (1_000_000_000, 1_000_000_000))
    mount.unmount()
    mount()
    same(tree, point / "t")
    found = os.stat(point / "t" / "100%")
    assert (found.st_mode & 0o777, found.st_mtime) == (0o640, 1_000_000_000)
    shutil.rmtree(point / "t")
    assert os.listdir(point) == []
