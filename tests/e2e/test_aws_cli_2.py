"""aws-cli 2 at its defaults, through both doors: it sends CRC64NVME in a trailer and checks what it gets."""

import json
import pathlib
import ssl
import urllib.request

import pytest
from conftest import client, new_bucket
from test_clients import test_aws_s3_sync_there_and_back  # noqa: F401


@pytest.fixture
def appliance(door):
    """What the test above runs against here."""
    return door


@pytest.fixture
def bucket(door) -> str:
    return new_bucket(client(door))


@pytest.fixture
def aws(further) -> str:
    return str(further / "bin" / "aws")


def test_uploads_carry_crc64nvme_and_downloads_are_checked(appliance, bucket, tree, tmp_path, aws):
    """The checksum is of the whole object, in parts or not."""
    for name in ("d0/e0/file 0.bin", "large0"):
        appliance.run(aws, "s3", "cp", tree / name, f"s3://{bucket}/{name}", "--only-show-errors")
        got = tmp_path / pathlib.Path(name).name
        answer = json.loads(appliance.run(aws, "s3api", "get-object", "--bucket", bucket, "--key", name, got).stdout)
        assert (answer["ChecksumType"], len(answer["ChecksumCRC64NVME"])) == ("FULL_OBJECT", 12), answer
        assert got.read_bytes() == (tree / name).read_bytes()


def test_high_level_verbs(appliance, tmp_path, aws):
    (tmp_path / "note").write_text("first light")
    bucket = "made-by-aws-cli-2-" + appliance.endpoint.split(":")[0]
    appliance.run(aws, "s3", "mb", f"s3://{bucket}")
    appliance.run(aws, "s3", "cp", tmp_path / "note", f"s3://{bucket}/a/note", "--only-show-errors")
    appliance.run(aws, "s3", "mv", f"s3://{bucket}/a/note", f"s3://{bucket}/b/note", "--only-show-errors")
    listed = appliance.run(aws, "s3", "ls", "--recursive", f"s3://{bucket}").stdout.decode()
    assert listed.split()[2:] == ["11", "b/note"], listed
    appliance.run(aws, "s3", "cp", "-", f"s3://{bucket}/piped", input=b"from a pipe")
    assert appliance.run(aws, "s3", "cp", f"s3://{bucket}/piped", "-").stdout == b"from a pipe"
    url = appliance.run(aws, "s3", "presign", f"s3://{bucket}/b/note").stdout.decode().strip()
    believed = ssl.create_default_context(cafile=appliance.ca_bundle)
    with urllib.request.urlopen(url, timeout=10, context=believed if appliance.ca_bundle else None) as answer:
        assert answer.read() == b"first light"
    appliance.run(aws, "s3", "rb", "--force", f"s3://{bucket}")
