"""Two accounts and nobody: who gets at whose buckets and objects."""

import pytest
from accounts import three
from s3_errors import refused


@pytest.fixture
def accounts(fresh, tmp_path):
    """Three clients of one appliance: the root of its account, the root of another, and nobody."""
    configuration = tmp_path / "firn.toml"
    configuration.write_text('new-bucket-ownership = "object-writer"\n')
    return three(fresh, "--config", str(configuration))


def test_accounts_see_their_own_and_what_lists_let_them_see(accounts):
    root, other, nobody = accounts
    root.create_bucket(Bucket="mine")
    other.create_bucket(Bucket="theirs")
    assert [bucket["Name"] for bucket in root.list_buckets()["Buckets"]] == ["mine"]
    assert [bucket["Name"] for bucket in other.list_buckets()["Buckets"]] == ["theirs"]
    with refused("BucketAlreadyExists", 409):
        other.create_bucket(Bucket="mine")
    root.put_object(Bucket="mine", Key="k", Body=b"x")
    for stranger in (other, nobody):
        with refused("AccessDenied", 403):
            stranger.get_object(Bucket="mine", Key="k")
        with refused("AccessDenied", 403):
            stranger.list_objects_v2(Bucket="mine")
        with refused("AccessDenied", 403):
            stranger.put_object(Bucket="mine", Key="new", Body=b"y")
    root.put_object_acl(Bucket="mine", Key="k", ACL="public-read")
    assert nobody.get_object(Bucket="mine", Key="k")["Body"].read() == b"x"
    other.copy_object(Bucket="theirs", Key="copy", CopySource="mine/k")
    root.put_bucket_acl(Bucket="mine", ACL="public-read-write")
    nobody.put_object(Bucket="mine", Key="new", Body=b"y", Metadata={"by": "nobody"})
    assert nobody.head_object(Bucket="mine", Key="new")["Metadata"] == {"by": "nobody"}
    assert {entry["Key"] for entry in other.list_objects_v2(Bucket="mine")["Contents"]} == {"k", "new"}


def test_what_deduplication_saves_is_told_to_the_owner_alone(accounts, fresh):
    root, other, nobody = accounts
    root.create_bucket(Bucket="mine", ACL="public-read-write")
    fresh.firn("dedup", "on", "s3://mine")

    def told(s3):
        headers = s3.head_bucket(Bucket="mine")["ResponseMetadata"]["HTTPHeaders"]
        return "x-firn-dedup-stored-bytes" in headers

    assert [told(s3) for s3 in (root, other, nobody)] == [True, False, False]


def test_lists_go_out_as_they_came_in_and_end_with_ownership(accounts):
    root, other, _ = accounts
    root.create_bucket(Bucket="mine")
    root.put_object(Bucket="mine", Key="k", Body=b"x")
    policy = root.get_object_acl(Bucket="mine", Key="k")
    them = other.list_buckets()["Owner"]
    grant = {"Grantee": {"ID": them["ID"], "Type": "CanonicalUser"}, "Permission": "READ"}
    root.put_object_acl(
        Bucket="mine",
        Key="k",
        AccessControlPolicy={"Owner": policy["Owner"], "Grants": [*policy["Grants"], grant]},
    )
    grants = root.get_object_acl(Bucket="mine", Key="k")["Grants"]
    assert [(one["Grantee"]["ID"], one["Permission"]) for one in grants] == [
        (policy["Owner"]["ID"], "FULL_CONTROL"),
        (them["ID"], "READ"),
    ]
    assert other.get_object(Bucket="mine", Key="k")["Body"].read() == b"x"
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    root.put_bucket_ownership_controls(Bucket="mine", OwnershipControls=controls)
    with refused("AccessDenied", 403):
        other.get_object(Bucket="mine", Key="k")
    with refused("AccessControlListNotSupported", 400):
        root.put_object_acl(Bucket="mine", Key="k", ACL="public-read")


def test_a_block_of_public_access_ends_it(accounts):
    root, _, nobody = accounts
    root.create_bucket(Bucket="mine", ACL="public-read")
    nobody.list_objects_v2(Bucket="mine")
    root.put_public_access_block(
        Bucket="mine", PublicAccessBlockConfiguration={"IgnorePublicAcls": True, "BlockPublicAcls": True}
    )
    with refused("AccessDenied", 403):
        nobody.list_objects_v2(Bucket="mine")
    with refused("AccessDenied", 403):
        root.put_bucket_acl(Bucket="mine", ACL="public-read")
    root.delete_public_access_block(Bucket="mine")
    nobody.list_objects_v2(Bucket="mine")
