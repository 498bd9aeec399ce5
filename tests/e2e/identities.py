"""Clients of IAM, STS and S3 with anybody's keys, and policies."""

import json

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError


def service(appliance, name, keys=None, token=None, validates=True, region="us-east-1", **settings):
    """A boto3 client of a service; with the root's keys unless others are given."""
    access, secret = keys or appliance.keys
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, parameter_validation=validates, s3={"addressing_style": "path"}, **settings
    )
    return boto3.client(
        name,
        endpoint_url=appliance.endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        aws_session_token=token,
        region_name=region,
        config=config,
    )


def session(appliance, name, credentials, **more):
    """A client with the credentials that STS gave."""
    keys = credentials["AccessKeyId"], credentials["SecretAccessKey"]
    return service(appliance, name, keys, credentials["SessionToken"], **more)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resources="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resources, **more}


def deny(actions, resources="*", **more):
    return {"Effect": "Deny", "Action": actions, "Resource": resources, **more}


def trust(principal, **more):
    return policy({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole", **more})


def new_user(iam, name, *statements):
    """A user with an inline policy; its keys."""
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="given", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def refused(code, status, call, *arguments, **parameters):
    """That it is refused so; what it was told."""
    with pytest.raises(ClientError) as error:
        call(*arguments, **parameters)
    answer = error.value.response
    got = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
    assert got == (code, status), answer
    assert answer["ResponseMetadata"]["RequestId"]
    return answer["Error"]["Message"]
