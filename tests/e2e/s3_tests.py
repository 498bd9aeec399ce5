"""ceph/s3-tests against an appliance: starts one as the suite expects it, writes the suite's configuration, runs it.

    FIRN_BIN=target/release/firn PYTHON tests/e2e/s3_tests.py SUITE [pytest's arguments, instead of the published cut]

SUITE is a checkout of https://github.com/ceph/s3-tests, PYTHON one that has its requirements.txt. The suite is no part of this
repository. docs/s3-compatibility.md has the count that passes, and a reason for each case that does not.
"""

import configparser
import hashlib
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile

import boto3
from appliance import Appliance

# The published cut.
CUT = ["s3tests/functional/test_s3.py", "-m", "not bucket_logging and not fails_on_aws"]
# Who the suite speaks as, by the section of its configuration: each the root of an account of its own.
ACCOUNTS = {
    "s3 main": "100000000001",
    "s3 alt": "100000000002",
    "s3 tenant": "100000000003",
    "iam": "100000000004",
    "iam root": "100000000005",
    "iam alt root": "100000000006",
}
# It grants by access lists in every bucket, and signs its forms as S3 did before 2014.
CONFIGURATION = 'new-bucket-ownership = "object-writer"\n[http]\nlegacy-form-signatures = true\n'


def users() -> dict[str, dict[str, str]]:
    """What the suite is told of each; docs/formats/credentials.md says how a canonical id is made."""
    return {
        section: {
            "access_key": f"SUITE{secrets.token_hex(8).upper()}",
            "secret_key": secrets.token_hex(20),
            "user_id": hashlib.sha256(f"firn canonical user {account}".encode()).hexdigest(),
            "display_name": account,
            "email": f"{account}@example.com",
        }
        for section, account in ACCOUNTS.items()
    }


def credentials(told: dict[str, dict[str, str]]) -> str:
    """The appliance's own file."""
    lines = []
    for section, user in told.items():
        lines += [
            f"[{'default' if section == 's3 main' else section.replace(' ', '-')}]",
            f"aws_access_key_id = {user['access_key']}",
            f"aws_secret_access_key = {user['secret_key']}",
            f"aws_account_id = {user['display_name']}",
        ]
    return "\n".join(lines) + "\n"


def suite_configuration(appliance: Appliance, told: dict[str, dict[str, str]]) -> configparser.RawConfigParser:
    """The suite's own file. It names no location: the suite would have us-east-1 shown as one, which S3 shows as none."""
    host, port = appliance.endpoint.removeprefix("http://").rsplit(":", 1)
    suite = configparser.RawConfigParser()
    suite["DEFAULT"] = {"host": host, "port": port, "is_secure": "False", "ssl_verify": "False"}
    suite["fixtures"] = {"bucket prefix": "suite-{random}-"}
    suite.read_dict(told)
    suite["s3 tenant"]["tenant"] = ""
    return suite


def managed_keys(appliance: Appliance, user: dict[str, str]) -> dict[str, str]:
    """Two keys of an account, by the names that the suite's configuration has for them."""
    kms = boto3.client(
        "kms",
        endpoint_url=appliance.endpoint,
        aws_access_key_id=user["access_key"],
        aws_secret_access_key=user["secret_key"],
        region_name="us-east-1",
    )
    return {name: kms.create_key()["KeyMetadata"]["Arn"] for name in ("kms_keyid", "kms_keyid2")}


def main() -> int:
    if len(sys.argv) < 2 or "FIRN_BIN" not in os.environ:
        print(__doc__, file=sys.stderr)
        return 2
    suite, chosen = pathlib.Path(sys.argv[1]), sys.argv[2:] or CUT
    with tempfile.TemporaryDirectory(prefix="firn-s3-tests-") as place:
        home, told = pathlib.Path(place), users()
        data = home / "data"
        data.mkdir(mode=0o700)
        (data / "credentials").touch(mode=0o600)
        (data / "credentials").write_text(credentials(told))
        (home / "firn.toml").write_text(CONFIGURATION)
        appliance = Appliance(os.environ["FIRN_BIN"], data).start("--config", str(home / "firn.toml"))
        try:
            told["s3 main"] |= managed_keys(appliance, told["s3 main"])
            with open(home / "s3tests.conf", "w") as file:
                suite_configuration(appliance, told).write(file)
            pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short"]
            environment = {**os.environ, "S3TEST_CONF": str(home / "s3tests.conf")}
            return subprocess.run([*pytest, *chosen], cwd=suite, env=environment, check=False).returncode
        finally:
            appliance.kill()


if __name__ == "__main__":
    sys.exit(main())
