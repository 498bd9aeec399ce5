"""Whole tools on a real tree: what they bring in comes back the same."""

import filecmp
import importlib.metadata
import os
import pathlib

import pyarrow
import pyarrow.fs
import pyarrow.parquet
from conftest import client
from trees import same


def test_aws_s3_sync_there_and_back(appliance, bucket, tree, tmp_path, aws):
    appliance.run(aws, "s3", "sync", tree, f"s3://{bucket}/t", "--only-show-errors")
    again = appliance.run(aws, "s3", "sync", tree, f"s3://{bucket}/t")
    assert again.stdout == b"", "what is there already is not sent again"
    appliance.run(aws, "s3", "sync", f"s3://{bucket}/t", tmp_path / "back", "--only-show-errors")
    same(tree, tmp_path / "back")
    appliance.run(aws, "s3", "rm", "--recursive", f"s3://{bucket}", "--only-show-errors")
    appliance.run(aws, "s3", "rb", f"s3://{bucket}")


def test_an_empty_file_leaves_aws_cli_a_connection_that_works(appliance, bucket, tmp_path, aws):
    """aws-cli 1 loses the headers of what follows an answer without a 100 on the same connection: its one connection shows it."""
    (tmp_path / "config").write_text("[default]\ns3 =\n  max_concurrent_requests = 1\n")
    top = tmp_path / "tree"
    top.mkdir()
    for number in range(3):
        (top / f"{number}a").write_bytes(b"")
        (top / f"{number}b").write_bytes(b"x")
    one = ["env", f"AWS_CONFIG_FILE={tmp_path / 'config'}", "AWS_MAX_ATTEMPTS=1", aws, "--cli-read-timeout", "10"]
    appliance.run(*one, "s3", "sync", top, f"s3://{bucket}/t", "--only-show-errors")
    appliance.run(*one, "s3", "sync", f"s3://{bucket}/t", tmp_path / "back", "--only-show-errors")
    same(top, tmp_path / "back")


def test_rclone_sync_and_check(appliance, bucket, tree, tmp_path, rclone):
    access, secret = appliance.keys
    remote = f":s3,provider=Other,access_key_id={access},secret_access_key={secret},region=us-east-1,"
    remote += f"endpoint='{appliance.endpoint}',force_path_style=true:{bucket}"
    # Debian's rclone 1.60 fails while AWS_CA_BUNDLE is set; it reads RCLONE_CA_CERT.
    rclone = ["env", "-u", "AWS_CA_BUNDLE", rclone]
    quiet = ["--config", os.devnull, "--transfers", "8", "--s3-upload-cutoff", "10M", "--s3-chunk-size", "5M"]
    appliance.run(*rclone, "sync", tree, remote, *quiet)
    appliance.run(*rclone, "check", "--download", tree, remote, *quiet)
    appliance.run(*rclone, "sync", remote, tmp_path / "back", *quiet)
    same(tree, tmp_path / "back")
    (tree / "large1").unlink()
    appliance.run(*rclone, "sync", tree, remote, *quiet)
    listed = appliance.run(*rclone, "lsf", remote, *quiet).stdout.decode().split("\n")
    assert "large0" in listed and "large1" not in listed


def test_s5cmd_there_and_back(appliance, bucket, tree, tmp_path, s5cmd):
    # s5cmd takes ? and * of a source for patterns.
    (tree / "q?x=1&y#z").unlink()
    appliance.run(s5cmd, "sync", f"{tree}/", f"s3://{bucket}/t/")
    appliance.run(s5cmd, "sync", f"s3://{bucket}/t/*", f"{tmp_path}/back/")
    same(tree, tmp_path / "back")
    appliance.run(s5cmd, "rm", f"s3://{bucket}/t/*")
    assert appliance.run(s5cmd, "ls", f"s3://{bucket}/", check=False).stdout.strip() == b""


def test_firn_sync_there_and_back(appliance, bucket, tree, tmp_path):
    appliance.firn("sync", tree, f"s3://{bucket}/t/")
    appliance.firn("sync", f"s3://{bucket}/t/", tmp_path / "back")
    same(tree, tmp_path / "back")


def test_one_clients_objects_are_another_clients_objects(appliance, bucket, tree, tmp_path, aws, s5cmd):
    appliance.run(aws, "s3", "cp", tree / "large0", f"s3://{bucket}/large0", "--only-show-errors")
    appliance.run(s5cmd, "cp", f"s3://{bucket}/large0", f"{tmp_path}/by-s5cmd")
    assert appliance.firn("cat", f"s3://{bucket}/large0").stdout == (tree / "large0").read_bytes()
    assert filecmp.cmp(tree / "large0", tmp_path / "by-s5cmd", shallow=False)


def test_parquet_is_written_and_read_by_columns(appliance, bucket):
    access, secret = appliance.keys
    store = pyarrow.fs.S3FileSystem(
        access_key=access,
        secret_key=secret,
        endpoint_override=appliance.endpoint.split("//")[1],
        scheme=appliance.endpoint.split(":")[0],
        tls_ca_file_path=appliance.ca_bundle,
        region="us-east-1",
    )
    table = pyarrow.table({"n": range(200_000), "text": [f"row {n}" for n in range(200_000)]})
    pyarrow.parquet.write_table(table, f"{bucket}/set/one.parquet", filesystem=store, row_group_size=20_000)
    pyarrow.parquet.write_to_dataset(table.slice(0, 1000), f"{bucket}/parts", filesystem=store)
    read = pyarrow.parquet.read_table(f"{bucket}/set/one.parquet", filesystem=store, columns=["n"])
    assert read.equals(table.select(["n"]))
    assert pyarrow.parquet.read_table(f"{bucket}/set/one.parquet", filesystem=store).equals(table)
    assert pyarrow.parquet.read_table(f"{bucket}/parts", filesystem=store).num_rows == 1000
    # Its SDK sends CRC64NVME in a trailer, of every part and of the whole.
    (entry,) = client(appliance).list_objects_v2(Bucket=bucket, Prefix="set/one")["Contents"]
    assert (entry["ChecksumAlgorithm"], entry["ChecksumType"]) == (["CRC64NVME"], "FULL_OBJECT")
    names = [info.path for info in store.get_file_info(pyarrow.fs.FileSelector(bucket, recursive=True))]
    assert f"{bucket}/set/one.parquet" in names


def test_the_clients_are_the_pinned_ones():
    lines = pathlib.Path(__file__).with_name("requirements.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    for name, version in pins.items():
        assert importlib.metadata.version(name) == version, name
