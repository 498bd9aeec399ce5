"""Expecting S3's own error codes."""

import contextlib

import botocore.exceptions


@contextlib.contextmanager
def refused(code: str, status: int):
    """The block must be refused with exactly this code and HTTP status."""
    try:
        yield
    except botocore.exceptions.ClientError as error:
        found = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        # HEAD has no body, so botocore can only say the status.
        assert found == (code, status), f"refused with {found}, not {(code, status)}: {error}"
        assert error.response["ResponseMetadata"].get("RequestId"), "a refusal names its request"
    else:
        raise AssertionError(f"not refused with {code}")
