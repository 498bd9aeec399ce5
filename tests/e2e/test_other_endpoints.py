"""firn's verbs at S3 servers that are not firn: what they bring in comes back the same, and what goes is what was named.

Moto's is always among them. Any other one is added by FIRN_OTHER_ENDPOINT=http://KEY:SECRET@HOST:PORT.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import urllib.parse

import pytest
from trees import same

PROGRAMS = pathlib.Path(__file__).with_name("programs")
NOT_FOUND = 4
# Larger files go in parts.
PARTS_ABOVE = 16 << 20


@dataclasses.dataclass
class Elsewhere:
    """An endpoint, and firn as its client: no appliance of ours is in reach."""

    binary: str
    endpoint: str
    keys: tuple[str, str] = ("anybody", "anything")

    def firn(self, *arguments, code: int = 0, **more) -> bytes:
        access, secret = self.keys
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **more,
        }
        command = [self.binary, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=300)
        assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stderr.decode()}"
        return done.stdout

    def json(self, *arguments) -> dict:
        return json.loads(self.firn("--json", *arguments))

    def keys_of(self, place: str) -> list[str]:
        return [json.loads(line)["key"] for line in self.firn("--json", "ls", "-r", place).splitlines()]


@pytest.fixture(scope="session")
def moto(binary, further):
    program = [further / "bin" / "python3", PROGRAMS / "moto_s3.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(program, **pipes) as server:
        yield Elsewhere(binary, server.stdout.readline().decode().strip())
        server.stdin.close()


@pytest.fixture(scope="session")
def other(binary):
    url = urllib.parse.urlsplit(os.environ["FIRN_OTHER_ENDPOINT"])
    return Elsewhere(binary, f"{url.scheme}://{url.hostname}:{url.port}", (url.username, url.password))


@pytest.fixture(params=["moto", *(["other"] if "FIRN_OTHER_ENDPOINT" in os.environ else [])])
def elsewhere(request) -> Elsewhere:
    return request.getfixturevalue(request.param)


@pytest.fixture
def place(elsewhere, chance):
    """A bucket there, gone afterwards."""
    uri = f"s3://firn-e2e-{chance.randrange(1 << 40):x}"
    assert elsewhere.json("mb", uri)["created"]
    yield uri
    elsewhere.firn("rb", "--force", uri)
    elsewhere.firn("ls", uri, code=NOT_FOUND)


def files(top: pathlib.Path) -> dict[str, int]:
    return {str(path.relative_to(top)): path.stat().st_size for path in top.rglob("*") if path.is_file()}


def test_a_tree_is_synced_there_and_back(elsewhere, place, tree, tmp_path):
    found = files(tree)
    there = elsewhere.json("sync", tree, f"{place}/t/")
    assert (there["uploaded"], there["bytes"], there["failed"]) == (len(found), sum(found.values()), [])
    again = elsewhere.json("sync", tree, f"{place}/t/")
    assert (again["uploaded"], again["skipped"]) == (0, len(found)), "what is there is not sent twice"
    back = elsewhere.json("sync", f"{place}/t/", tmp_path / "back")
    assert back["downloaded"] == len(found)
    # Moto keeps no checksum of what came in parts: firn says of how many it had to believe the length alone.
    assert back["unverified"] in (0, sum(size > PARTS_ABOVE for size in found.values()))
    same(tree, tmp_path / "back")

    # Large files go in parts: one changed byte is found by content, and one file that went goes there, too.
    large = bytearray((tree / "large0").read_bytes())
    large[-1] ^= 1
    (tree / "large0").write_bytes(large)
    os.utime(tree / "large0", (1, 1))
    shutil.rmtree(tree / "d3")
    changed = elsewhere.json("sync", "--checksum", "--delete", tree, f"{place}/t/")
    assert (changed["uploaded"], changed["removed"]) == (1, len(found) - len(files(tree)))
    elsewhere.firn("sync", "--delete", f"{place}/t/", tmp_path / "back")
    same(tree, tmp_path / "back")


def test_it_is_listed_counted_and_told_as_it_is(elsewhere, place, tree):
    found = files(tree)
    elsewhere.firn("cp", "-r", tree, f"{place}/t")
    # S3's order is that of bytes.
    assert elsewhere.keys_of(place) == sorted((f"t/{name}" for name in found), key=str.encode)
    level = [json.loads(line) for line in elsewhere.firn("--json", "ls", f"{place}/t/").splitlines()]
    assert [line["prefix"] for line in level if "prefix" in line] == [f"t/d{number}/" for number in range(7)]
    assert sorted(line["key"] for line in level if "key" in line) == sorted(f"t/{name}" for name in found if "/" not in name)
    usage = elsewhere.json("du", f"{place}/t")
    assert (usage["objects"], usage["bytes"]) == (len(found), sum(found.values()))
    for name in ("a+b", "ünïcode", "q?x=1&y#z", "100%", "empty"):
        stat = elsewhere.json("stat", f"{place}/t/{name}")
        assert (stat["size"], stat["etag"]) == (found[name], hashlib.md5((tree / name).read_bytes()).hexdigest())
    large = (tree / "large0").read_bytes()
    assert elsewhere.json("stat", f"{place}/t/large0")["etag"].endswith("-3")
    assert elsewhere.firn("cat", f"{place}/t/large0") == large
    assert elsewhere.firn("cat", f"{place}/t/large0", "--range", "8388600-8388700") == large[8388600:8388701]
    assert elsewhere.firn("cat", f"{place}/t/large0", "--range", "-7") == large[-7:]


def test_what_is_moved_and_removed_is_what_was_named(elsewhere, place, tree, tmp_path):
    found = files(tree)
    elsewhere.firn("cp", "-r", tree, f"{place}/t")
    copied = elsewhere.json("sync", f"{place}/t/", f"{place}/u/")
    assert copied["copied"] == len(found)
    elsewhere.firn("mv", f"{place}/u/large1", f"{place}/moved")
    assert elsewhere.firn("cat", f"{place}/moved") == (tree / "large1").read_bytes()
    elsewhere.firn("stat", f"{place}/u/large1", code=NOT_FOUND)
    elsewhere.firn("cp", tree / "a+b", f"{place}/u/d30")
    elsewhere.firn("rm", "-r", "--dry-run", f"{place}/u/d3")
    assert len(elsewhere.keys_of(f"{place}/u")) == len(found)
    elsewhere.firn("rm", "-r", f"{place}/u/d3")
    left = {f"u/{name}" for name in found if not name.startswith("d3/")} - {"u/large1"} | {"u/d30"}
    assert set(elsewhere.keys_of(f"{place}/u")) == left, "a directory goes, not what begins like it"
    elsewhere.firn("mv", "-r", f"{place}/t", tmp_path / "back")
    same(tree, tmp_path / "back")
    assert set(elsewhere.keys_of(place)) == left | {"moved"}
    elsewhere.firn("cat", f"{place}/t/a+b", code=NOT_FOUND)
    elsewhere.firn("rm", "-r", f"{place}/t", code=NOT_FOUND)


def test_bucket_settings_and_uploads_are_made_and_given_up(elsewhere, place, tree, tmp_path):
    elsewhere.firn("mb", "--versioning", place)
    assert elsewhere.json("stat", place)["versioning"] == "enabled"
    elsewhere.firn("cp", tree / "a+b", f"{place}/k")
    elsewhere.firn("rm", f"{place}/k")
    elsewhere.firn("stat", f"{place}/k", code=NOT_FOUND)
    assert len(elsewhere.firn("--json", "ls", "--versions", place).splitlines()) == 2
    elsewhere.firn("mv", tree / "large0", f"{place}/large", XDG_STATE_HOME=str(tmp_path))
    assert not (tree / "large0").exists()
    assert elsewhere.firn("ls", "--uploads", place) == b""
    rules = tmp_path / "rules.json"
    rules.write_text('{"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": "p"}, "Expiration": {"Days": 1}}]}')
    elsewhere.firn("lifecycle", "set", place, rules)
    assert b"a" in elsewhere.firn("lifecycle", "show", place)
    elsewhere.firn("lifecycle", "rm", place)
