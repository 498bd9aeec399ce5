"""Listing: UTF-8 order, prefixes, delimiters, pages, encodings."""

from conftest import client

KEYS = ["a", "a/1", "a/2", "a/b/3", "b", "b/1", "c//d", "ä/1", "~", "z z"]


def fill(s3, bucket, keys=KEYS):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    return sorted(keys, key=str.encode)


def names(page):
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes(page):
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


def test_keys_are_listed_in_the_order_of_their_bytes_by_both_versions(s3, bucket):
    wanted = fill(s3, bucket)
    assert names(s3.list_objects_v2(Bucket=bucket)) == wanted
    assert names(s3.list_objects(Bucket=bucket)) == wanted


def test_a_delimiter_folds_and_counts_each_prefix_once(s3, bucket):
    fill(s3, bucket)
    page = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert names(page) == ["a", "b", "z z", "~"]
    assert prefixes(page) == ["a/", "b/", "c/", "ä/"]
    assert page["KeyCount"] == 8
    below = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="a/")
    assert (names(below), prefixes(below)) == (["a/1", "a/2"], ["a/b/"])


def test_pages_of_every_size_give_every_key_once(s3, bucket):
    wanted = fill(s3, bucket)
    for size in (1, 2, 3, 9, 10, 11):
        pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
        assert [name for page in pages for name in names(page)] == wanted
        assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]
        old = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        assert [name for page in old for name in names(page)] == wanted


def test_pages_with_a_delimiter_give_every_entry_once(s3, bucket):
    fill(s3, bucket)
    for size in (1, 2, 3):
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
        )
        found = [entry for page in pages for entry in names(page) + prefixes(page)]
        assert sorted(found) == sorted(["a", "a/", "b", "b/", "c/", "z z", "~", "ä/"])


def test_start_after_and_max_keys_zero(s3, bucket):
    wanted = fill(s3, bucket)
    assert names(s3.list_objects_v2(Bucket=bucket, StartAfter="a/2")) == wanted[3:]
    empty = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (names(empty), empty["IsTruncated"], empty["KeyCount"]) == ([], False, 0)


def test_url_encoding_carries_keys_that_xml_cannot(s3, appliance, bucket):
    keys = ["a\x01b", "tab\tnew\nline", "plain"]
    fill(s3, bucket, keys)
    # botocore asks for encoding-type=url and decodes it.
    assert names(s3.list_objects_v2(Bucket=bucket)) == sorted(keys, key=str.encode)
    raw = client(appliance)
    raw.meta.events.register("before-call.s3.ListObjectsV2", lambda **_: None)
    page = raw.list_objects_v2(Bucket=bucket, EncodingType="url")
    assert page["EncodingType"] == "url" and "plain" in names(page)


def test_a_listing_sees_what_was_acknowledged_before_it(s3, bucket):
    for number in range(30):
        s3.put_object(Bucket=bucket, Key=f"{number:02}", Body=b"")
        assert len(names(s3.list_objects_v2(Bucket=bucket))) == number + 1


def test_the_owner_is_told_when_asked_for(s3, bucket):
    fill(s3, bucket, ["o"])
    assert "Owner" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert s3.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"]


def test_entries_say_their_checksum_and_restore_status_can_be_asked_for(s3, versioned):
    s3.put_object(Bucket=versioned, Key="o", Body=b"x", ChecksumAlgorithm="SHA256")
    asked = {"Bucket": versioned, "OptionalObjectAttributes": ["RestoreStatus"]}
    for entries in [
        s3.list_objects(**asked)["Contents"],
        s3.list_objects_v2(**asked)["Contents"],
        s3.list_object_versions(**asked)["Versions"],
    ]:
        assert (entries[0]["ChecksumAlgorithm"], entries[0]["ChecksumType"]) == (["SHA256"], "FULL_OBJECT")
        # Nothing was restored, and S3 says so by leaving it out.
        assert "RestoreStatus" not in entries[0]
