"""What minio-py sends as a snowball becomes objects, packed and not; ends with "all of it". Arguments: the bucket to make."""

import datetime
import io
import os
import sys
import tempfile
import urllib.parse

import minio
from minio.commonconfig import SnowballObject, Tags

bucket = sys.argv[1]
endpoint = urllib.parse.urlparse(os.environ["AWS_ENDPOINT_URL"])
client = minio.Minio(
    endpoint.netloc,
    access_key=os.environ["AWS_ACCESS_KEY_ID"],
    secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    secure=endpoint.scheme == "https",
)
client.make_bucket(bucket)
when = datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
tags = Tags.new_object_tags()
tags["team"] = "ice"


def objects(top: str):
    for number in range(50):
        body = f"object {number}".encode()
        yield SnowballObject(f"{top}/{number:02}.txt", data=io.BytesIO(body), length=len(body), mod_time=when)
    yield SnowballObject(f"{top}/ünï code", filename=__file__)


with tempfile.TemporaryDirectory() as place:
    client.upload_snowball_objects(bucket, objects("plain"))
    client.upload_snowball_objects(bucket, objects("packed"), compression=True, tags=tags)
    # Above minio-py's 5 MiB, where an ordinary upload would go in parts.
    large = [SnowballObject("large", data=io.BytesIO(bytes(7 << 20)), length=7 << 20)]
    client.upload_snowball_objects(bucket, large, staging_filename=os.path.join(place, "staged"))

names = [found.object_name for found in client.list_objects(bucket, recursive=True)]
assert len(names) == 103 and not any(name.startswith("snowball.") for name in names), names
stat = client.stat_object(bucket, "plain/07.txt")
assert (stat.content_type, stat.metadata["x-amz-meta-mtime"]) == ("text/plain", str(int(when.timestamp()))), stat.metadata
assert client.get_object(bucket, "packed/49.txt").read() == b"object 49"
assert client.get_object(bucket, "packed/ünï code").read() == open(__file__, "rb").read()
assert client.get_object_tags(bucket, "packed/00.txt") == {"team": "ice"}
assert client.get_object_tags(bucket, "plain/00.txt") is None
assert client.stat_object(bucket, "large").size == 7 << 20
print("all of it")
