"""Versions: kept, ordered, addressed; `null` where versioning is off or suspended."""

from s3_errors import refused


def versions(s3, bucket):
    return s3.list_object_versions(Bucket=bucket).get("Versions", [])


def test_every_version_is_kept_and_the_latest_is_served(s3, versioned):
    ids = [s3.put_object(Bucket=versioned, Key="o", Body=body)["VersionId"] for body in (b"1", b"2", b"3")]
    assert len(set(ids)) == 3
    assert s3.get_object(Bucket=versioned, Key="o")["Body"].read() == b"3"
    for version, body in zip(ids, (b"1", b"2", b"3")):
        assert s3.get_object(Bucket=versioned, Key="o", VersionId=version)["Body"].read() == body
    listed = [(entry["VersionId"], entry["IsLatest"]) for entry in versions(s3, versioned)]
    assert listed == [(ids[2], True), (ids[1], False), (ids[0], False)]


def test_a_delete_marker_hides_and_its_removal_shows_again(s3, versioned):
    s3.put_object(Bucket=versioned, Key="o", Body=b"1")
    marker = s3.delete_object(Bucket=versioned, Key="o")
    assert marker["DeleteMarker"] is True
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=versioned, Key="o")
    with refused("MethodNotAllowed", 405):
        s3.get_object(Bucket=versioned, Key="o", VersionId=marker["VersionId"])
    assert "Contents" not in s3.list_objects_v2(Bucket=versioned)
    s3.delete_object(Bucket=versioned, Key="o", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=versioned, Key="o")["Body"].read() == b"1"


def test_a_version_deleted_by_its_id_is_gone_for_good(s3, versioned):
    first = s3.put_object(Bucket=versioned, Key="o", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=versioned, Key="o", Body=b"2")["VersionId"]
    s3.delete_object(Bucket=versioned, Key="o", VersionId=second)
    assert s3.get_object(Bucket=versioned, Key="o")["Body"].read() == b"1"
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=versioned, Key="o", VersionId=second)
    assert [entry["VersionId"] for entry in versions(s3, versioned)] == [first]


def test_what_was_there_before_versioning_is_the_null_version(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"old")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    new = s3.put_object(Bucket=bucket, Key="o", Body=b"new")["VersionId"]
    assert [entry["VersionId"] for entry in versions(s3, bucket)] == [new, "null"]
    assert s3.get_object(Bucket=bucket, Key="o", VersionId="null")["Body"].read() == b"old"


def test_while_suspended_only_the_null_version_is_replaced(s3, versioned):
    kept = s3.put_object(Bucket=versioned, Key="o", Body=b"kept")["VersionId"]
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=versioned, Key="o", Body=b"null 1")
    s3.put_object(Bucket=versioned, Key="o", Body=b"null 2")
    assert [entry["VersionId"] for entry in versions(s3, versioned)] == ["null", kept]
    assert s3.get_object(Bucket=versioned, Key="o")["Body"].read() == b"null 2"
    marker = s3.delete_object(Bucket=versioned, Key="o")
    assert (marker["DeleteMarker"], marker["VersionId"]) == (True, "null")
    assert [entry["VersionId"] for entry in versions(s3, versioned)] == [kept]
    assert s3.get_object(Bucket=versioned, Key="o", VersionId=kept)["Body"].read() == b"kept"


def test_versioning_says_what_it_is(s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_versions_are_listed_in_pages_that_split_a_key(s3, versioned):
    wanted = []
    for key in ("a", "b"):
        ids = [s3.put_object(Bucket=versioned, Key=key, Body=b"")["VersionId"] for _ in range(5)]
        wanted += [(key, version) for version in reversed(ids)]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=versioned, PaginationConfig={"PageSize": 3})
    found = [(entry["Key"], entry["VersionId"]) for page in pages for entry in page.get("Versions", [])]
    assert found == wanted
