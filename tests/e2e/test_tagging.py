"""Tags of buckets and objects, as boto3 sets and reads them."""

from conftest import new_bucket
from s3_errors import refused


def tag_set(**tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def test_tags_of_a_bucket_are_kept_and_removed(s3):
    bucket = new_bucket(s3)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tag_set(team="ml", stage=""))
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tag_set(stage="", team="ml")["TagSet"]
    s3.delete_bucket_tagging(Bucket=bucket)
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_tags_of_an_object_follow_it_into_a_copy_unless_replaced(s3):
    bucket = new_bucket(s3)
    s3.put_object(Bucket=bucket, Key="source", Body=b"x", Tagging="a=1&b=%C3%A9")
    assert s3.head_object(Bucket=bucket, Key="source")["TagCount"] == 2
    source = {"Bucket": bucket, "Key": "source"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == tag_set(a="1", b="é")["TagSet"]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, TaggingDirective="REPLACE", Tagging="c=3")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == tag_set(c="3")["TagSet"]
    s3.put_object_tagging(Bucket=bucket, Key="copy", Tagging=tag_set(d="4"))
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == tag_set(d="4")["TagSet"]
    eleven = tag_set(**{f"k{number}": "" for number in range(11)})
    with refused("InvalidTag", 400):
        s3.put_object_tagging(Bucket=bucket, Key="copy", Tagging=eleven)
    s3.delete_object_tagging(Bucket=bucket, Key="copy")
    assert s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"] == []
