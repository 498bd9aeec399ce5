"""Lifecycle rules as boto3 and aws-cli set them, as firn foretells them, and as a rehearsal's days carry them out."""

import datetime
import json

from conftest import client, new_bucket
from s3_errors import refused

RULES = [
    {
        "ID": "old logs",
        "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "keep", "Value": "no"}]}},
        "Status": "Enabled",
        "Expiration": {"Days": 3},
    },
    {
        "ID": "versions",
        "Filter": {"ObjectSizeGreaterThan": 5},
        "Status": "Enabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 3},
    },
    {"ID": "legacy", "Prefix": "tmp/", "Status": "Disabled", "Expiration": {"Days": 1}},
    {
        "ID": "uploads",
        "Filter": {"Prefix": ""},
        "Status": "Enabled",
        "Expiration": {"ExpiredObjectDeleteMarker": True},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    },
]


def put_rules(s3, bucket, *rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(rules)})


def rule(**wanted):
    return {"ID": "a", "Filter": {}, "Status": "Enabled", **wanted}


def test_rules_come_back_as_boto3_set_them(s3, bucket):
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    put_rules(s3, bucket, *RULES)
    got = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert got["Rules"] == RULES
    assert got["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    put = s3.put_object(Bucket=bucket, Key="logs/a", Body=b"x", Tagging="keep=no")
    assert 'rule-id="old%20logs"' in put["Expiration"]
    assert s3.head_object(Bucket=bucket, Key="logs/a")["Expiration"] == put["Expiration"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")
    assert upload["AbortRuleId"] == "uploads"
    days = (upload["AbortDate"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86_400
    assert 7 <= days <= 8, days
    s3.delete_bucket_lifecycle(Bucket=bucket)
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket=bucket)


def test_rules_that_s3_refuses_are_refused(s3, bucket):
    days = {"Days": 1}
    for code, status, rules in [
        ("InvalidArgument", 400, [rule(Expiration={"Days": 0})]),
        ("InvalidArgument", 400, [rule(Expiration=days), rule(Expiration=days)]),
        ("InvalidArgument", 400, [rule(ID="i" * 256, Expiration=days)]),
        ("InvalidArgument", 400, [rule(Expiration={"Date": datetime.datetime(2030, 1, 1, 12)})]),
        ("MalformedXML", 400, [rule(Status="enabled", Expiration=days)]),
        ("MalformedXML", 400, []),
        ("InvalidRequest", 400, [rule()]),
        ("InvalidArgument", 400, [rule(Transitions=[{"Days": 29, "StorageClass": "STANDARD_IA"}])]),
        ("InvalidArgument", 400, [rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}], Expiration=days)]),
        ("InvalidRequest", 400, [rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}] * 2)]),
    ]:
        with refused(code, status):
            put_rules(s3, bucket, *rules)


def test_aws_cli_sets_shows_and_removes_rules(appliance, bucket, aws, tmp_path):
    document = tmp_path / "rules.json"
    document.write_text(json.dumps({"Rules": RULES}))

    def s3api(verb, *arguments):
        # Debian's aws-cli knows no AWS_ENDPOINT_URL.
        told = appliance.run(aws, "--endpoint-url", appliance.endpoint, "s3api", verb, "--bucket", bucket, *arguments)
        return json.loads(told.stdout or b"null")

    s3api("put-bucket-lifecycle-configuration", "--lifecycle-configuration", f"file://{document}")
    assert s3api("get-bucket-lifecycle-configuration")["Rules"] == RULES
    # The same file is what firn takes, and the same rules are what it shows.
    shown = json.loads(appliance.firn("--json", "lifecycle", "set", f"s3://{bucket}", str(document)).stdout)
    assert [one["id"] for one in shown] == [one["ID"] for one in RULES]
    assert shown[0]["tags"] == {"keep": "no"} and shown[0]["prefix"] == "logs/"
    s3api("delete-bucket-lifecycle")
    assert json.loads(appliance.firn("--json", "lifecycle", "show", f"s3://{bucket}").stdout) == []


def lifecycle(appliance, *arguments):
    return json.loads(appliance.firn("--json", "lifecycle", *arguments).stdout)


def test_what_a_preview_foretells_happens_within_a_rehearsals_days(fresh, tmp_path):
    fresh.start("--debug-day", "1s")
    s3 = client(fresh)
    bucket = new_bucket(s3, versioned=True)
    home = ("--dir", str(fresh.directory))
    for number in range(20):
        s3.put_object(Bucket=bucket, Key=f"old/{number:02}", Body=b"x" * 100)
    s3.put_object(Bucket=bucket, Key="new/stays", Body=b"x")
    s3.create_multipart_upload(Bucket=bucket, Key="old/upload")
    rules = [
        rule(ID="hide", Filter={"Prefix": "old/"}, Expiration={"Days": 2}),
        rule(ID="clean", NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        rule(ID="markers", Expiration={"ExpiredObjectDeleteMarker": True}),
        rule(ID="uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    ]
    document = tmp_path / "rules.json"
    document.write_text(json.dumps({"Rules": rules}))
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
    asked = (f"s3://{bucket}", "--as-of", later.strftime("%Y-%m-%dT%H:%M:%SZ"), *home)
    # Asked first, set then.
    foretold = lifecycle(fresh, "preview", *asked, "--rules", str(document))
    done = {action: 0 for action in ("expire", "remove_noncurrent", "remove_marker", "abort_upload")}
    for row in foretold["rows"]:
        done[row["action"]] += row["count"]
    assert done == {"expire": 20, "remove_noncurrent": 20, "remove_marker": 20, "abort_upload": 1}
    assert (foretold["freed_bytes"], foretold["left_out"]) == (2000, [])
    assert fresh.firn("lifecycle", "preview", *asked, check=False).returncode == 4, "none are set yet"
    put_rules(s3, bucket, *rules)
    explained = lifecycle(fresh, "explain", f"s3://{bucket}/new/stays", *home)
    (version,) = explained["versions"]
    assert version["acts"] is None
    assert {one["rule"]: one["why_not"] for one in version["rules"]}["hide"] == "other_prefix"

    def left():
        versions = s3.list_object_versions(Bucket=bucket)
        return [one["Key"] for one in versions.get("Versions", []) + versions.get("DeleteMarkers", [])]

    for _ in range(3000):
        if left() == ["new/stays"]:
            break
        # It comes by itself, too; so nobody waits.
        lifecycle(fresh, "run", f"s3://{bucket}", *home)
    assert left() == ["new/stays"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert lifecycle(fresh, "preview", *asked)["rows"] == []
