"""Archives that become objects: written by tar and Python, sent by boto3, aws-cli and firn, packed, cut, hostile, and killed over."""

import io
import json
import tarfile
import threading

import botocore.exceptions
import pytest
from conftest import client, installed, new_bucket
from s3_errors import refused
from trees import same

EXTRACT = {"snowball-auto-extract": "true"}


def archive(*members, form=tarfile.PAX_FORMAT) -> bytes:
    """Members are names and bodies, or whole TarInfos and bodies."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for info, body in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return made.getvalue()


def special(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def keys(s3, bucket) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def told(answer) -> dict[str, int]:
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    return {name: int(headers[f"x-firn-ingest-{name}"]) for name in ("objects", "bytes", "skipped", "refused")}


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar", "oldgnu"])
@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
def test_what_tar_writes_comes_back_as_it_was(appliance, s3, bucket, tree, tmp_path, form, packing):
    installed(packing or "tar")
    for name in ("large0", "large1"):
        (tree / name).unlink()
    (tree / ("long " + "n" * 150)).write_bytes(b"a name beyond ustar's hundred bytes")
    deep = tree / "/".join(["directory"] * 20)
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"a path beyond them")
    if form == "ustar":
        (tree / ("long " + "n" * 150)).unlink()
    made = tmp_path / "made"
    pack = [f"--use-compress-program={packing}"] if packing else []
    appliance.run("tar", f"--format={form}", *pack, "-cf", made, "-C", tree, ".")
    with made.open("rb") as body:
        metadata = {**EXTRACT, "minio-snowball-prefix": "t", "minio-snowball-ignore-dirs": "true"}
        answer = s3.put_object(Bucket=bucket, Key="made.tar", Body=body, Metadata=metadata)
    files = [path for path in tree.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert told(answer) == {"objects": len(files), "bytes": size, "skipped": 0, "refused": 0}
    appliance.firn("sync", f"s3://{bucket}/t/", tmp_path / "back")
    same(tree, tmp_path / "back")


def test_an_object_is_what_its_entry_says(s3, bucket):
    info = tarfile.TarInfo("data/ü.csv")
    info.mtime = 1_700_000_000.25
    own = tarfile.TarInfo("own")
    own.pax_headers = {"minio.metadata.Content-Type": "text/x", "minio.metadata.X-Amz-Meta-Colour": "blue"}
    body = archive((special("dir", tarfile.DIRTYPE), b""), (info, b"1,2"), (own, b""))
    answer = s3.put_object(Bucket=bucket, Key="a.tar", Body=body, Metadata={**EXTRACT, "project": "ice"}, Tagging="a=b")
    assert keys(s3, bucket) == ["data/ü.csv", "dir/", "own"]
    head = s3.head_object(Bucket=bucket, Key="data/ü.csv")
    assert (head["ContentType"], head["Metadata"]) == ("text/csv", {"mtime": "1700000000.25", "project": "ice"})
    assert s3.get_object_tagging(Bucket=bucket, Key="own")["TagSet"] == [{"Key": "a", "Value": "b"}]
    own = s3.head_object(Bucket=bucket, Key="own")
    assert (own["ContentType"], own["Metadata"]) == ("text/x", {"colour": "blue", "project": "ice"})
    # The same bytes have the same tag, as with every PUT.
    again = s3.put_object(Bucket=bucket, Key="b.tar", Body=body, Metadata=EXTRACT)
    assert again["ETag"] == answer["ETag"]


def test_versions_are_kept_of_what_an_archive_replaces(s3, versioned):
    s3.put_object(Bucket=versioned, Key="k", Body=b"before")
    s3.put_object(Bucket=versioned, Key="a.tar", Body=archive(("k", b"after")), Metadata=EXTRACT)
    listed = s3.list_object_versions(Bucket=versioned)["Versions"]
    assert [(version["Key"], version["Size"], version["IsLatest"]) for version in listed] == [
        ("k", 5, True),
        ("k", 6, False),
    ]


@pytest.mark.parametrize("how", ["ContentMD5", "ChecksumCRC32", "ChecksumSHA256", "ChecksumCRC64NVME"])
def test_a_wrong_checksum_of_an_archive_leaves_nothing(s3, bucket, how):
    body = archive(*((f"f{number}", b"x" * 5_000) for number in range(300)))
    other = s3.put_object(Bucket=bucket, Key="other", Body=b"x", ChecksumAlgorithm=how[8:] if how[0:8] == "Checksum" else "CRC32")
    s3.delete_object(Bucket=bucket, Key="other")
    wrong = {how: other.get(how, "1B2M2Y8AsgTpgAmY7PhCfg==")}
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="a.tar", Body=body, Metadata=EXTRACT, **wrong)
    assert keys(s3, bucket) == []


HOSTILE = {
    "up": ("../up", b"x"),
    "inside": ("a/../../up", b"x"),
    "absolute": ("/etc/passwd", b"x"),
    "dot": ("a/./b", b"x"),
    "empty part": ("a//b", b"x"),
    "hard link": (special("hard", tarfile.LNKTYPE, "good"), b""),
    "long": ("k" * 1_025, b"x"),
    "twice": ("good", b"y"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_entry_refuses_its_archive_or_is_left_out(s3, bucket, case):
    body = archive(("good", b"x"), HOSTILE[case], (special("link", tarfile.SYMTYPE, "/etc"), b""), ("last", b"z"))
    code = {"long": "KeyTooLongError", "hard link": "InvalidRequest", "twice": "InvalidRequest"}.get(case, "InvalidArgument")
    with refused(code, 400):
        s3.put_object(Bucket=bucket, Key="a.tar", Body=body, Metadata=EXTRACT)
    assert keys(s3, bucket) == []
    ignoring = {**EXTRACT, "minio-snowball-ignore-errors": "true"}
    answer = s3.put_object(Bucket=bucket, Key="in/a.tar", Body=body, Metadata=ignoring)
    assert told(answer) == {"objects": 2, "bytes": 2, "skipped": 1, "refused": 1}
    report = answer["ResponseMetadata"]["HTTPHeaders"]["x-firn-ingest-report"]
    assert keys(s3, bucket) == ["good", report, "last"]
    lines = json.loads(s3.get_object(Bucket=bucket, Key=report)["Body"].read())["lines"]
    assert [(line["entry"], line["result"], line.get("code")) for line in lines] == [
        (2, "refused", code),
        (3, "skipped", None),
    ]


def test_a_report_takes_no_entrys_name_and_replaces_nothing_that_must_be_absent(s3, bucket):
    link = (special("link", tarfile.SYMTYPE, "x"), b"")
    with refused("InvalidRequest", 400):
        s3.put_object(Bucket=bucket, Key="x.tar", Body=archive(("x.tar.report.json", b"mine"), link), Metadata=EXTRACT)
    assert keys(s3, bucket) == []
    s3.put_object(Bucket=bucket, Key="y.tar.report.json", Body=b"mine")
    answer = s3.put_object(Bucket=bucket, Key="y.tar", Body=archive(("k", b"x"), link), Metadata=EXTRACT, IfNoneMatch="*")
    assert told(answer)["objects"] == 1
    assert "x-firn-ingest-report" not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert s3.get_object(Bucket=bucket, Key="y.tar.report.json")["Body"].read() == b"mine"


def test_a_report_of_hostile_names_is_small(s3, bucket):
    links = [(special(f"{n}" + "\x01" * 50_000, tarfile.SYMTYPE, "x"), b"") for n in range(100)]
    many = [(special(f"link-{n}-" + "y" * 1_000, tarfile.SYMTYPE, "x"), b"") for n in range(5_000)]
    s3.put_object(Bucket=bucket, Key="z.tar", Body=archive(*links, *many), Metadata=EXTRACT)
    body = s3.get_object(Bucket=bucket, Key="z.tar.report.json")["Body"].read()
    report = json.loads(body)
    assert len(body) < 6 << 20 and report["more_lines"] + len(report["lines"]) == report["skipped"] == 5_100
    assert report["lines"][0]["name"] == "0" + "\x01" * 1_023 + "…"


def smuggling() -> bytes:
    """An entry whose two headers disagree: one reader sees its body, another one the entries in it."""
    inner = archive(("smuggled", b"x"), form=tarfile.GNU_FORMAT)
    outer = tarfile.TarInfo("outer")
    outer.pax_headers = {"size": str(len(inner))}
    body = bytearray(archive((outer, inner)))
    at = body.index(b"outer", 1_024)
    body[at + 124 : at + 136] = b"%011o\0" % 0
    body[at + 148 : at + 156] = b" " * 8
    body[at + 148 : at + 156] = b"%06o\0 " % sum(body[at : at + 512])
    return bytes(body)


@pytest.mark.parametrize(
    "body",
    [smuggling(), archive(("a", b"x" * 9_000))[:5_000], archive(("a", b"x")) * 2, b"PK\x03\x04" + bytes(2_000), b"text" * 500],
    ids=["smuggling", "cut off", "joined", "zip", "no tar"],
)
def test_what_is_no_whole_archive_leaves_nothing_whatever_is_ignored(s3, bucket, body):
    with refused("InvalidRequest", 400):
        ignoring = {**EXTRACT, "minio-snowball-ignore-errors": "true"}
        s3.put_object(Bucket=bucket, Key="a.tar", Body=body, Metadata=ignoring)
    assert keys(s3, bucket) == []


def test_aws_cli_sends_an_archive_and_is_told_when_it_would_go_in_parts(appliance, s3, bucket, tmp_path, aws):
    (tmp_path / "small.tar").write_bytes(archive(("d/a", b"x"), ("b", b"y")))
    extract = ["--metadata", "snowball-auto-extract=true", "--only-show-errors"]
    appliance.run(aws, "s3", "cp", tmp_path / "small.tar", f"s3://{bucket}/small.tar", *extract)
    assert keys(s3, bucket) == ["b", "d/a"]
    (tmp_path / "large.tar").write_bytes(archive(("c", bytes(9 << 20))))
    done = appliance.run(aws, "s3", "cp", tmp_path / "large.tar", f"s3://{bucket}/large.tar", *extract, check=False)
    assert done.returncode != 0 and b"multipart threshold" in done.stderr, done.stderr
    assert keys(s3, bucket) == ["b", "d/a"]


def test_minio_py_sends_snowballs(door, further):
    trust = [f"SSL_CERT_FILE={door.ca_bundle}"] if door.ca_bundle else []
    program = __file__.replace("test_ingest.py", "programs/minio_py_snowball.py")
    bucket = "snowballs-" + door.endpoint.split(":")[0]
    done = door.run("env", *trust, further / "bin" / "python3", program, bucket)
    assert done.stdout.decode().splitlines()[-1] == "all of it", done.stdout


def test_a_killed_server_has_stored_all_of_an_archive_or_nothing(fresh, chance):
    """Killed at three places; what was begun is finished by the next start, without the client, and with the report."""
    wanted = 2_000
    body = archive(*((f"f{number:04}", b"%04d" % number * 100) for number in range(wanted - 1)))
    metadata = {**EXTRACT, "firn-ingest-report": "always"}
    for _ in range(3):
        fresh.start()
        s3 = client(fresh)
        bucket = new_bucket(s3)
        killer = threading.Timer(chance.uniform(0.05, 1.5), fresh.kill)
        killer.start()
        try:
            s3.put_object(Bucket=bucket, Key="a.tar", Body=body, Metadata=metadata)
            acknowledged = True
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            acknowledged = False
        killer.join()
        fresh.start()
        s3 = client(fresh)
        # Each look is a listing of two pages: it paces itself.
        found = next((count for count in (len(keys(s3, bucket)) for _ in range(3_000)) if count in (0, wanted)), None)
        assert found == wanted if acknowledged else found in (0, wanted), (acknowledged, found)
        if found:
            assert s3.get_object(Bucket=bucket, Key="f1998")["Body"].read() == b"1998" * 100
            report = json.load(s3.get_object(Bucket=bucket, Key="a.tar.report.json")["Body"])
            assert (report["objects"], report["refused"]) == (wanted - 1, 0)
        assert fresh.stop() == 0
