"""docs/s3-compatibility.md names every operation that the SDK knows, and says of each what firn answers."""

import pathlib
import re

import boto3
import pytest
from botocore.exceptions import ClientError

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "s3-compatibility.md"


def table() -> dict[str, str]:
    rows = PAGE.read_text().split("<!-- every operation -->\n")[1].split("<!-- end -->")[0]
    return dict(re.findall(r"^\| (\w+) \| (.*) \|$", rows, re.MULTILINE))


def test_the_table_has_every_operation_of_the_model():
    known = set(boto3.session.Session().client("s3", region_name="us-east-1").meta.service_model.operation_names)
    named = {name for name in table() if name != "operation"}
    assert len(known) >= 100
    # An SDK older than the table lacks the newest operations; none that it has is missing.
    assert not known - named


def test_what_is_not_done_is_told_as_such_by_the_sdk(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for call, arguments in [
        (s3.get_object_torrent, {"Key": "k"}),
        (s3.put_bucket_accelerate_configuration, {"AccelerateConfiguration": {"Status": "Enabled"}}),
        (
            s3.put_bucket_metrics_configuration,
            {"Id": "1", "MetricsConfiguration": {"Id": "1"}},
        ),
        (
            s3.put_bucket_replication,
            {
                "ReplicationConfiguration": {
                    "Role": "arn:aws:iam::1:role/r",
                    "Rules": [{"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::b"}, "Prefix": ""}],
                }
            },
        ),
        (
            s3.select_object_content,
            {
                "Key": "k",
                "Expression": "select 1",
                "ExpressionType": "SQL",
                "InputSerialization": {"CSV": {}},
                "OutputSerialization": {"CSV": {}},
            },
        ),
    ]:
        with pytest.raises(ClientError) as refused:
            call(Bucket=bucket, **arguments)
        answer = refused.value.response
        assert answer["Error"]["Code"] == "NotImplemented", call
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501 and answer["ResponseMetadata"]["RequestId"]
