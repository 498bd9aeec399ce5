"""Terraform against firn: its state in a bucket, by Terraform itself, and an `aws_s3_bucket` module, by the calls of its AWS provider.

The provider is not among the test's clients (it is a download of half a gigabyte from Terraform's own registry, which CI does not ask);
its calls are those of `internal/service/s3` at version 6: what it creates, what it reads of every bucket at each plan, and the codes by
which it knows that something is not set.
"""

import json
import shutil

import pytest
from botocore.exceptions import ClientError
from s3_errors import refused

BACKEND = """
terraform {
  backend "s3" {
    bucket                      = "%(bucket)s"
    key                         = "live/terraform.tfstate"
    region                      = "us-east-1"
    endpoints                   = { s3 = "%(endpoint)s" }
    use_path_style              = true
    use_lockfile                = true
    encrypt                     = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_requesting_account_id  = true
  }
}
variable "wanted" { default = "one" }
resource "terraform_data" "thing" { input = var.wanted }
output "is" { value = terraform_data.thing.output }
"""


@pytest.fixture
def terraform(appliance, tmp_path):
    """Runs Terraform, or OpenTofu, in a directory of its own."""
    binary = shutil.which("tofu") or shutil.which("terraform")
    if binary is None:
        pytest.skip("neither OpenTofu nor Terraform is installed")
    place = tmp_path / "module"
    place.mkdir()
    (tmp_path / "rc").write_text("disable_checkpoint = true\n")

    def run(*arguments, check=True):
        command = ["env", f"TF_CLI_CONFIG_FILE={tmp_path / 'rc'}", "TF_IN_AUTOMATION=1", binary, f"-chdir={place}"]
        return appliance.run(*command, *arguments, check=check)

    run.place = place
    return run


def test_terraform_keeps_its_state_and_its_lock_in_a_bucket(appliance, s3, versioned, terraform):
    (terraform.place / "main.tf").write_text(BACKEND % {"bucket": versioned, "endpoint": appliance.endpoint})
    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-input=false")
    state = json.loads(s3.get_object(Bucket=versioned, Key="live/terraform.tfstate")["Body"].read())
    assert state["outputs"]["is"]["value"] == "one"
    # Nothing to do: 0. Something to do: 2.
    assert terraform("plan", "-detailed-exitcode", "-input=false").returncode == 0
    changed = ("-var", "wanted=two", "-input=false")
    assert terraform("plan", "-detailed-exitcode", *changed, check=False).returncode == 2
    # The lock is an object that is created only where there is none.
    lock = "live/terraform.tfstate.tflock"
    s3.put_object(Bucket=versioned, Key=lock, Body=json.dumps({"ID": "someone-else", "Operation": "apply"}))
    held = terraform("apply", "-auto-approve", *changed, check=False)
    assert held.returncode == 1 and b"Error acquiring the state lock" in held.stderr
    s3.delete_object(Bucket=versioned, Key=lock)
    terraform("apply", "-auto-approve", *changed)
    assert json.loads(terraform("output", "-json").stdout)["is"]["value"] == "two"
    terraform("workspace", "new", "beside")
    terraform("apply", "-auto-approve", "-input=false")
    assert s3.head_object(Bucket=versioned, Key="env:/beside/live/terraform.tfstate")["ContentLength"] > 0
    assert b"beside" in terraform("workspace", "list").stdout
    terraform("destroy", "-auto-approve", "-input=false")
    terraform("workspace", "select", "default")
    terraform("workspace", "delete", "beside")
    terraform("destroy", "-auto-approve", "-input=false")
    left = {entry["Key"] for entry in s3.list_objects_v2(Bucket=versioned)["Contents"]}
    assert left == {"live/terraform.tfstate"}, "no lock stays behind"


# What the provider reads of every aws_s3_bucket, and the codes that it takes for "not set".
READS = {
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_acl": None,
    "get_bucket_cors": "NoSuchCORSConfiguration",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_versioning": None,
    "get_bucket_accelerate_configuration": None,
    "get_bucket_request_payment": None,
    "get_bucket_logging": None,
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_bucket_encryption": None,
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_location": None,
    "get_bucket_ownership_controls": None,
    "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_notification_configuration": None,
    "list_bucket_analytics_configurations": None,
    "list_bucket_intelligent_tiering_configurations": None,
    "list_bucket_inventory_configurations": None,
    "list_bucket_metrics_configurations": None,
    "get_bucket_abac": None,
}


def refresh(s3, bucket) -> dict[str, dict]:
    """What a plan reads; of what is not set, nothing."""
    s3.head_bucket(Bucket=bucket)
    found = {}
    for read, absent in READS.items():
        try:
            answer = getattr(s3, read)(Bucket=bucket)
        except ClientError as error:
            assert error.response["Error"]["Code"] == absent, read
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, read
        else:
            answer.pop("ResponseMetadata")
            found[read] = answer
    return found


def test_a_fresh_bucket_reads_as_the_provider_expects(s3, bucket):
    found = refresh(s3, bucket)
    assert set(READS) - set(found) == {read for read, absent in READS.items() if absent}
    # What is answered empty carries nothing that a plan would want to change.
    for read in ("get_bucket_versioning", "get_bucket_accelerate_configuration", "get_bucket_logging"):
        assert found[read] == {}, read
    assert found["get_bucket_notification_configuration"] == {}
    assert found["get_bucket_request_payment"] == {"Payer": "BucketOwner"}
    (rule,) = found["get_bucket_encryption"]["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    (rule,) = found["get_bucket_ownership_controls"]["OwnershipControls"]["Rules"]
    assert rule == {"ObjectOwnership": "BucketOwnerEnforced"}
    (grant,) = found["get_bucket_acl"]["Grants"]
    assert grant["Permission"] == "FULL_CONTROL"
    assert found["get_bucket_location"]["LocationConstraint"] is None
    assert found["get_bucket_abac"]["AbacStatus"] == {"Status": "Disabled"}


# A module's resources: how each is put, what it then reads, and how it is taken away (None: it goes with the bucket).
MODULE = [
    (
        "put_bucket_tagging",
        {"Tagging": {"TagSet": [{"Key": "team", "Value": "ml"}]}},
        "get_bucket_tagging",
        "delete_bucket_tagging",
    ),
    (
        "put_bucket_versioning",
        {"VersioningConfiguration": {"Status": "Enabled"}},
        "get_bucket_versioning",
        None,
    ),
    (
        "put_bucket_encryption",
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                        "BucketKeyEnabled": True,
                    }
                ]
            }
        },
        "get_bucket_encryption",
        "delete_bucket_encryption",
    ),
    (
        "put_public_access_block",
        {
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            }
        },
        "get_public_access_block",
        "delete_public_access_block",
    ),
    (
        "put_bucket_ownership_controls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}},
        "get_bucket_ownership_controls",
        "delete_bucket_ownership_controls",
    ),
    (
        "put_bucket_cors",
        {
            "CORSConfiguration": {
                "CORSRules": [
                    {
                        "ID": "a",
                        "AllowedHeaders": ["*"],
                        "AllowedMethods": ["GET", "PUT"],
                        "AllowedOrigins": ["https://app.example.com"],
                        "ExposeHeaders": ["ETag"],
                        "MaxAgeSeconds": 3000,
                    }
                ]
            }
        },
        "get_bucket_cors",
        "delete_bucket_cors",
    ),
    (
        "put_bucket_website",
        {
            "WebsiteConfiguration": {
                "IndexDocument": {"Suffix": "index.html"},
                "ErrorDocument": {"Key": "error.html"},
            }
        },
        "get_bucket_website",
        "delete_bucket_website",
    ),
    (
        "put_bucket_request_payment",
        {"RequestPaymentConfiguration": {"Payer": "Requester"}},
        "get_bucket_request_payment",
        None,
    ),
    (
        "put_object_lock_configuration",
        {
            "ObjectLockConfiguration": {
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
            }
        },
        "get_object_lock_configuration",
        None,
    ),
]


def covers(answer, wanted) -> bool:
    """Whether an answer says everything that was put, as a plan without changes wants it."""
    if isinstance(wanted, dict):
        return isinstance(answer, dict) and all(covers(answer.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(answer) == len(wanted) and all(map(covers, answer, wanted))
    return answer == wanted


def shown(put: str, arguments: dict) -> dict:
    """What a read answers of what was put: most wrap it in the same element, some do not."""
    (value,) = arguments.values()
    bare = ("put_bucket_tagging", "put_bucket_versioning", "put_bucket_cors", "put_bucket_website")
    return value if put in (*bare, "put_bucket_request_payment") else arguments


def test_a_bucket_module_is_applied_planned_without_changes_and_destroyed(s3):
    bucket = "terraform-module"
    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    for put, arguments, _, _ in MODULE:
        getattr(s3, put)(Bucket=bucket, **arguments)
    first = refresh(s3, bucket)
    for put, arguments, read, _ in MODULE:
        assert covers(first[read], shown(put, arguments)), (read, first[read])
    # A second apply changes nothing, and a plan after it sees nothing to do.
    for put, arguments, _, _ in MODULE:
        getattr(s3, put)(Bucket=bucket, **arguments)
    assert refresh(s3, bucket) == first
    # Destroy: the resources beside the bucket first, then with force_destroy all versions and markers, then the bucket.
    etag = s3.put_object(Bucket=bucket, Key="a/b", Body=b"x", ChecksumAlgorithm="CRC32")["ETag"]
    assert s3.head_object(Bucket=bucket, Key="a/b")["ETag"] == etag
    s3.delete_object(Bucket=bucket, Key="a/b")
    for _, _, _, delete in MODULE:
        if delete:
            getattr(s3, delete)(Bucket=bucket)
            getattr(s3, delete)(Bucket=bucket)
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            named = {"Bucket": bucket, "Key": entry["Key"], "VersionId": entry["VersionId"]}
            s3.delete_object(**named, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404):
        s3.get_bucket_tagging(Bucket=bucket)
