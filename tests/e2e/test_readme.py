"""The README's commands work, in the order in which it gives them.

Its `sh` blocks run in one shell; a `sh server` block is what runs in another terminal; `sh no-run` blocks take minutes
or change the machine.
"""

import contextlib
import os
import pathlib
import re
import socket
import subprocess

from appliance import Appliance

README = pathlib.Path(__file__).parents[2] / "README.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", README.read_text(), re.M | re.S)


@contextlib.contextmanager
def place():
    """An address that nobody else is given meanwhile; who sets SO_REUSEADDR, as firn does, may listen there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_the_readmes_commands_run_as_written(binary, tmp_path):
    """Only the ports and the place of the binaries are the test's own."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "firn").symlink_to(binary)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FIRN_"))}
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    (server,) = blocks("sh server")
    appliance = Appliance(binary, tmp_path / "data")
    try:
        with place() as http, place() as admin:
            doors = {"FIRN_HTTP": http, "FIRN_ADMIN": admin}
            appliance.launch(["bash", "-c", "exec " + server], {**environment, **doors}, cwd=tmp_path)
        script = "set -euo pipefail\n" + "\n".join(blocks("sh"))
        assert not re.search(r"^aws ", script, re.M), "no package that the demo does not install"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    finally:
        appliance.kill()


def test_the_readme_has_commands_to_run():
    assert len(blocks("sh")) >= 3
