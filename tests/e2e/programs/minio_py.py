"""A day in the life of minio-py, at its defaults; ends with "all of it". Arguments: the bucket to make."""

import io
import os
import random
import sys
import tempfile
import urllib.parse

import minio
from minio.commonconfig import ENABLED, ComposeSource, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.versioningconfig import VersioningConfig

bucket = sys.argv[1]
endpoint = urllib.parse.urlparse(os.environ["AWS_ENDPOINT_URL"])
client = minio.Minio(
    endpoint.netloc,
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    secure=endpoint.scheme == "https",
)
large = random.Random(1).randbytes(12_000_000)


def read(key: str, **wanted) -> bytes:
    answer = client.get_object(bucket, key, **wanted)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


client.make_bucket(bucket)
assert client.bucket_exists(bucket) and not client.bucket_exists(bucket + "-not")
assert bucket in [found.name for found in client.list_buckets()]

client.put_object(bucket, "small", io.BytesIO(b"hello"), 5, "text/plain", metadata={"Colour": "blue"})
stat = client.stat_object(bucket, "small")
assert (stat.size, stat.content_type, stat.metadata["x-amz-meta-colour"]) == (5, "text/plain", "blue")
assert read("small") == b"hello"
assert read("small", offset=1, length=3) == b"ell"

# Of unknown length: in parts.
client.put_object(bucket, "large", io.BytesIO(large), -1, part_size=5 * 1024 * 1024)
assert read("large") == large
with tempfile.TemporaryDirectory() as place:
    path = os.path.join(place, "large")
    client.fget_object(bucket, "large", path)
    client.fput_object(bucket, "dir/again ü+ %", path)
assert read("dir/again ü+ %") == large

client.copy_object(bucket, "dir/copied", CopySource(bucket, "small"))
client.compose_object(bucket, "composed", [ComposeSource(bucket, "large"), ComposeSource(bucket, "small")])
assert read("composed") == large + b"hello"
assert sorted(found.object_name for found in client.list_objects(bucket)) == ["composed", "dir/", "large", "small"]
assert len(list(client.list_objects(bucket, recursive=True))) == 5

tags = Tags.new_object_tags()
tags["team"] = "ice"
client.set_object_tags(bucket, "small", tags)
assert client.get_object_tags(bucket, "small") == {"team": "ice"}

url = client.presigned_get_object(bucket, "small")
assert client._http.request("GET", url).data == b"hello"
url = client.presigned_put_object(bucket, "by-url")
assert client._http.request("PUT", url, body=b"signed before").status == 200
assert read("by-url") == b"signed before"

client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
assert client.get_bucket_versioning(bucket).status == ENABLED
client.put_object(bucket, "small", io.BytesIO(b"second"), 6)
client.remove_object(bucket, "small")
try:
    client.stat_object(bucket, "small")
    raise AssertionError("it is deleted")
except S3Error as refused:
    assert refused.code == "NoSuchKey", refused
versions = list(client.list_objects(bucket, recursive=True, include_version=True))
assert len([found for found in versions if found.object_name == "small"]) == 3
wanted = (DeleteObject(found.object_name, found.version_id) for found in versions)
assert list(client.remove_objects(bucket, wanted)) == []
client.remove_bucket(bucket)
print("all of it")
