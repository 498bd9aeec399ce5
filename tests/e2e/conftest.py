"""Fixtures: one appliance that most tests share, fresh ones for tests that stop or kill theirs, a bucket each."""

import itertools
import os
import pathlib
import random
import shutil
import sys

import boto3
import botocore
import botocore.config
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from appliance import Appliance  # noqa: E402
from trees import plant  # noqa: E402

# Where pip put the clients' programs: beside the Python that runs the tests.
CLIENTS = pathlib.Path(sys.executable).parent
_NUMBERS = itertools.count(1)
SEED = int(os.environ.get("FIRN_SEED", "1"))


def pytest_report_header():
    return f"firn: {os.environ.get('FIRN_BIN', 'FIRN_BIN is not set')}; FIRN_SEED={SEED}"


@pytest.fixture(scope="session")
def binary() -> str:
    path = os.environ.get("FIRN_BIN")
    if not path:
        pytest.exit("set FIRN_BIN to the firn binary, or run `cargo xtask test build e2e`", returncode=2)
    return path


@pytest.fixture(scope="session")
def appliance(request, binary, tmp_path_factory):
    """The shared appliance; no test stops it."""
    yield from shared(request, binary, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def secured(request, binary, tmp_path_factory):
    """One that speaks TLS with a certificate of its own; no test stops it."""
    yield from shared(request, binary, tmp_path_factory.mktemp("secured"), "--tls")


def shared(request, binary, top, *flags):
    """One for the whole run. Some gigabytes go with it, unless a failed test is looked into."""
    one = Appliance(binary, top / "data").start(*flags)
    yield one
    one.kill()
    if not request.session.testsfailed:
        shutil.rmtree(top)


@pytest.fixture(params=["http", "tls"])
def door(request) -> Appliance:
    """Both of the shared ones, one after the other."""
    return request.getfixturevalue({"http": "appliance", "tls": "secured"}[request.param])


@pytest.fixture
def home(door) -> str:
    """A bucket behind that door."""
    return new_bucket(client(door))


@pytest.fixture
def fresh(binary, tmp_path):
    """An appliance of the test's own, not started."""
    own = Appliance(binary, tmp_path / "data")
    yield own
    own.kill()


def client(appliance, **settings):
    """A boto3 client of the root's keys."""
    return client_of(appliance, appliance.keys, **settings)


def client_of(appliance, keys, verify=None, **settings):
    """A boto3 client of these keys, or of none; it retries nothing, so that every answer is the server's first."""
    access, secret = keys or (None, None)
    # boto3 presigns by the old SigV2 for us-east-1 unless it is told not to.
    defaults = {
        "retries": {"total_max_attempts": 1},
        "s3": {"addressing_style": "path"},
        "signature_version": "s3v4" if keys else botocore.UNSIGNED,
    }
    return boto3.client(
        "s3",
        endpoint_url=appliance.endpoint,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        verify=verify or appliance.ca_bundle or False,
        config=botocore.config.Config(**{**defaults, **settings}),
    )


@pytest.fixture(scope="session")
def s3(appliance):
    return client(appliance)


def new_bucket(s3, versioned: bool = False, **wanted) -> str:
    name = f"bucket-{next(_NUMBERS):04}"
    s3.create_bucket(Bucket=name, **wanted)
    if versioned:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def bucket(s3) -> str:
    return new_bucket(s3)


@pytest.fixture
def versioned(s3) -> str:
    return new_bucket(s3, versioned=True)


@pytest.fixture
def chance(request) -> random.Random:
    """Randomness of the test's own, decided by FIRN_SEED."""
    return random.Random(f"{SEED} {request.node.nodeid}")


@pytest.fixture
def tree(tmp_path, chance) -> pathlib.Path:
    return plant(tmp_path / "tree", chance)


@pytest.fixture(scope="session")
def aws() -> str:
    return str(CLIENTS / "aws")


@pytest.fixture(scope="session")
def s5cmd() -> str:
    path = CLIENTS / "s5cmd"
    if not path.exists():
        pytest.skip("s5cmd is not in the environment of the clients")
    return str(path)


@pytest.fixture(scope="session")
def rclone() -> str:
    path = shutil.which("rclone")
    if path is None:
        pytest.skip("rclone is not installed")
    return path


@pytest.fixture(scope="session")
def further() -> pathlib.Path:
    """Where `cargo xtask test` put the clients that have an environment of their own (further.txt, further.json)."""
    path = os.environ.get("FIRN_FURTHER_CLIENTS")
    if not path:
        pytest.skip("FIRN_FURTHER_CLIENTS does not name the further clients: `cargo xtask test e2e` installs them")
    return pathlib.Path(path)


def installed(name: str) -> str:
    """A client from a Debian package."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
