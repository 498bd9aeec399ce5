"""Inventory reports as boto3 asks for them, read by nothing but Python's own csv, gzip and hashlib."""

import csv
import gzip
import hashlib
import io
import json
import urllib.parse

from conftest import client
from s3_errors import refused

CONFIGURATION = {
    "Id": "daily",
    "IsEnabled": True,
    "IncludedObjectVersions": "All",
    "Schedule": {"Frequency": "Daily"},
    "OptionalFields": ["Size", "LastModifiedDate", "ETag", "StorageClass", "EncryptionStatus"],
}


def wanted(target, **more):
    destination = {"Bucket": f"arn:aws:s3:::{target}", "Format": "CSV", "Prefix": "reports"}
    return {**CONFIGURATION, "Destination": {"S3BucketDestination": {**destination, **more}}}


def put(s3, bucket, configuration):
    s3.put_bucket_inventory_configuration(
        Bucket=bucket, Id=configuration["Id"], InventoryConfiguration=configuration
    )


def report(s3, bucket, folder) -> tuple[dict, list[list[str]]]:
    """A report and its rows, checked as far as its manifests go."""
    raw = s3.get_object(Bucket=bucket, Key=f"{folder}manifest.json")["Body"].read()
    checksum = s3.get_object(Bucket=bucket, Key=f"{folder}manifest.checksum")["Body"].read()
    assert checksum.decode() == hashlib.md5(raw).hexdigest()
    manifest, rows = json.loads(raw), []
    for file in manifest["files"]:
        packed = s3.get_object(Bucket=bucket, Key=file["key"])["Body"].read()
        assert (len(packed), hashlib.md5(packed).hexdigest()) == (file["size"], file["MD5checksum"])
        rows += csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii")))
    return manifest, rows


def test_a_report_is_made_at_once_and_lists_every_version(fresh):
    fresh.start()
    s3 = client(fresh)
    for name in ("photos", "target"):
        s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="photos", Key='a b,"é".jpg', Body=b"one")
    second = s3.put_object(Bucket="photos", Key='a b,"é".jpg', Body=b"three")
    marker = s3.delete_object(Bucket="photos", Key='a b,"é".jpg')
    put(s3, "photos", wanted("target", Encryption={"SSES3": {}}))
    kept = s3.get_bucket_inventory_configuration(Bucket="photos", Id="daily")["InventoryConfiguration"]
    assert kept["Destination"]["S3BucketDestination"]["Encryption"] == {"SSES3": {}}
    assert set(kept["OptionalFields"]) == set(CONFIGURATION["OptionalFields"])
    listed = s3.list_bucket_inventory_configurations(Bucket="photos")
    assert (listed["IsTruncated"], listed["InventoryConfigurationList"]) == (False, [kept])
    [folder] = folders(s3, "target")
    manifest, rows = report(s3, "target", folder)
    assert manifest["sourceBucket"] == "photos" and manifest["destinationBucket"] == "arn:aws:s3:::target"
    columns = manifest["fileSchema"].split(", ")
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    assert [urllib.parse.unquote(row["Key"]) for row in found] == ['a b,"é".jpg'] * 3
    assert [row["VersionId"] for row in found] == [marker["VersionId"], second["VersionId"], first["VersionId"]]
    assert [row["IsLatest"] for row in found] == ["true", "false", "false"]
    assert [row["IsDeleteMarker"] for row in found] == ["true", "false", "false"]
    assert [row["Size"] for row in found] == ["", "5", "3"]
    assert found[1]["ETag"] == second["ETag"].strip('"')
    assert (found[1]["StorageClass"], found[1]["EncryptionStatus"]) == ("STANDARD", "SSE-S3")
    s3.delete_bucket_inventory_configuration(Bucket="photos", Id="daily")
    with refused("NoSuchConfiguration", 404):
        s3.get_bucket_inventory_configuration(Bucket="photos", Id="daily")


def folders(s3, bucket) -> list[str]:
    """Where reports are, once there is one."""
    for _ in range(3000):
        page = s3.list_objects_v2(Bucket=bucket, Prefix="reports/")
        keys = [entry["Key"] for entry in page.get("Contents", [])]
        found = [key.removesuffix("manifest.checksum") for key in keys if key.endswith("manifest.checksum")]
        if found:
            return found
    raise AssertionError(f"no report within 3,000 looks: {keys}")


def test_what_can_not_be_reported_is_refused_with_a_reason(s3, bucket):
    for more, code in (
        ({"Format": "Parquet"}, "NotImplemented"),
        ({"Format": "ORC"}, "NotImplemented"),
        ({"Encryption": {"SSEKMS": {"KeyId": "arn:aws:kms:us-east-1:1:key/a"}}}, "NotImplemented"),
        ({"Bucket": "arn:aws:s3:::absent-bucket"}, "InvalidArgument"),
    ):
        with refused(code, 501 if code == "NotImplemented" else 400):
            put(s3, bucket, wanted(bucket, **more))
    assert "InventoryConfigurationList" not in s3.list_bucket_inventory_configurations(Bucket=bucket)
