"""An appliance of another region than us-east-1, and what decides what a server does: flag, variable, file."""

import json
import os
import subprocess

import boto3
import pytest
from appliance import NotReady
from botocore.exceptions import ClientError
from conftest import client
from s3_errors import refused

DOORS = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]


def launch(appliance, *arguments, **variables):
    """Starts it with these variables beside the caller's."""
    command = [appliance.binary, "server", str(appliance.directory), *arguments]
    return appliance.launch(command, {**os.environ, **variables})


@pytest.fixture
def elsewhere(fresh, tmp_path):
    config = tmp_path / "firn.toml"
    config.write_text('region = "eu-central-1"\n')
    return launch(fresh, "--config", str(config), *DOORS, FIRN_REGION="eu-west-1")


def of_region(appliance, region):
    access, secret = appliance.keys
    return boto3.client(
        "s3",
        endpoint_url=appliance.endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name=region,
    )


def test_another_region_is_served(elsewhere):
    printed = subprocess.run([elsewhere.binary, "env", elsewhere.directory, "--json"], capture_output=True, check=True)
    assert json.loads(printed.stdout)["variables"]["AWS_REGION"] == "eu-west-1", "the variable goes before the file"
    s3 = of_region(elsewhere, "eu-west-1")
    here = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="here", CreateBucketConfiguration=here)
    assert s3.get_bucket_location(Bucket="here")["LocationConstraint"] == "eu-west-1"
    assert s3.head_bucket(Bucket="here")["BucketRegion"] == "eu-west-1"
    with refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket="here", CreateBucketConfiguration=here)
    with refused("IllegalLocationConstraintException", 400):
        s3.create_bucket(Bucket="there", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="here", Key="k", Body=b"x")
    with pytest.raises(ClientError) as wrong:
        client(elsewhere).list_buckets()
    error = wrong.value.response["Error"]
    assert (error["Code"], error["Region"]) == ("AuthorizationHeaderMalformed", "eu-west-1")
    # A client of another region that knows S3 finds its way by that answer.
    assert of_region(elsewhere, "us-east-1").get_object(Bucket="here", Key="k")["Body"].read() == b"x"


def test_a_region_is_fixed_at_the_first_start(elsewhere):
    assert elsewhere.stop() == 0
    with pytest.raises(NotReady, match="it was made in eu-west-1"):
        launch(elsewhere, *DOORS, FIRN_REGION="us-east-1")
    launch(elsewhere, *DOORS)
    assert of_region(elsewhere, "eu-west-1").list_buckets()["Buckets"] == []


def lines(appliance):
    """What it said at each level since it was started last."""
    said = [json.loads(line) for line in appliance.log.read_text().splitlines() if line.startswith("{")]
    return {line["level"] for line in said}


def test_a_flag_goes_before_a_variable_and_that_before_the_file(fresh, tmp_path):
    config, other = tmp_path / "firn.toml", tmp_path / "other.toml"
    config.write_text('[http]\nlisten = "127.0.0.1:1"\n[log]\nlevel = "error"\n')
    other.write_text("[http]\nlisten = 5\n")
    # The file alone: a port that nobody but root of a machine has; the variable goes before it, and names the admin door.
    variables = {"FIRN_CONFIG": str(config), "FIRN_HTTP": "127.0.0.1:0", "FIRN_ADMIN": "127.0.0.1:0", "FIRN_LOG": "info"}
    launch(fresh, **variables)
    assert not fresh.endpoint.endswith(":1") and "INFO" in lines(fresh)
    assert fresh.stop() == 0
    fresh.log.write_text("")
    # Flags before variables that would not work.
    bad = {"FIRN_CONFIG": str(other), "FIRN_HTTP": "192.0.2.1:1", "FIRN_ADMIN": "192.0.2.1:1", "FIRN_LOG": "info"}
    launch(fresh, "--config", str(config), "--log", "error", *DOORS, **bad)
    assert fresh.probe("/readyz")[0] == 200 and "INFO" not in lines(fresh)
    assert fresh.stop() == 0
    fresh.log.write_text("")
    # The file's level, where nothing else says one.
    launch(fresh, "--config", str(config), *DOORS)
    assert "INFO" not in lines(fresh)
