"""The SDKs of other hands at their defaults, through both doors: what each does is in programs/."""

import pathlib


PROGRAMS = pathlib.Path(__file__).with_name("programs")


def scheme(door) -> str:
    return door.endpoint.split(":")[0]


def test_the_javascript_sdk(door, further):
    trust = [f"NODE_EXTRA_CA_CERTS={door.ca_bundle}"] if door.ca_bundle else []
    where = f"NODE_PATH={further / 'js' / 'node_modules'}"
    program = PROGRAMS / "javascript.cjs"
    done = door.run("env", where, *trust, further / "bin" / "node", program, f"made-by-javascript-{scheme(door)}")
    assert done.stdout.decode().splitlines()[-1] == "all of it", done.stdout


def test_minio_py(door, further):
    trust = [f"SSL_CERT_FILE={door.ca_bundle}"] if door.ca_bundle else []
    program = PROGRAMS / "minio_py.py"
    done = door.run("env", *trust, further / "bin" / "python3", program, f"made-by-minio-py-{scheme(door)}")
    assert done.stdout.decode().splitlines()[-1] == "all of it", done.stdout
