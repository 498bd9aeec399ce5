"""The README's commands work, in the order in which it gives them.

Its `sh` blocks run in one shell; a `sh server` block is what runs in another terminal; the `sh drill` blocks are its drill of
backup and zones; `sh no-run` blocks take minutes or change the machine.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
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


class Drill:
    """The blocks of the drill: what stands before a server's line, the server, what stands behind it."""

    def __init__(self, binary: str, place: pathlib.Path):
        tools = place / "bin"
        tools.mkdir()
        (tools / "firn").symlink_to(binary)
        foreign = ("AWS_", "FIRN_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.environment.update(PATH=f"{tools}:{self.environment['PATH']}", XDG_STATE_HOME=str(place / "state"))
        self.place = place
        self.appliance = Appliance(binary, place / "vault")

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["bash", "-c", "set -euo pipefail\n" + script],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, (script, done.stdout[-1500:], done.stderr[-1500:])
        return done.stdout.decode()

    def ask(self, script: str) -> str:
        """A client's lines, with the keys of the appliance."""
        return self.run('eval "$(firn env ./vault)"\n' + script)

    def serve(self, server: str) -> None:
        with place() as http, place() as admin:
            doors = {"FIRN_HTTP": http, "FIRN_ADMIN": admin}
            self.appliance.launch(["bash", "-c", "exec " + server], {**self.environment, **doors}, cwd=self.place)


def test_the_readmes_drill_of_backup_and_zones_runs_as_written(binary, tmp_path):
    """Only the ports, the place of the binaries and of /mnt are the test's own, and where the recovery key is kept from."""
    for disk in ("disk1", "disk2", "disk3"):
        (tmp_path / "mnt" / disk).mkdir(parents=True)
    parts = []
    for block in blocks("sh drill"):
        before, server, behind = re.fullmatch(r"(.*?)^(firn server [^\n]*)\n(.*)", block, re.M | re.S).groups()
        parts.append([text.replace("/mnt/", f"{tmp_path}/mnt/") for text in (before, server, behind)])
    back_up, recover, two_disks = parts
    assert not back_up[2] and not recover[2]
    drill = Drill(binary, tmp_path)
    try:
        drill.run(back_up[0])
        drill.serve(back_up[1])
        # On a terminal the first start would have shown it.
        key = json.loads(drill.run("firn --json backup key ./vault"))["recovery_key"]
        (tmp_path / "recovery.key").write_text(key)
        assert drill.appliance.stop() == 0
        drill.serve(back_up[1])
        (tmp_path / "photo").write_bytes(os.urandom(1 << 20))
        drill.ask("firn mb s3://photos; firn cp photo s3://photos/one; firn backup now ./vault")
        drill.appliance.kill()

        shutil.rmtree(tmp_path / "vault")
        drill.run(recover[0])
        drill.serve(recover[1])
        drill.ask("firn cp s3://photos/one back; cmp photo back")
        assert drill.appliance.stop() == 0

        drill.run(two_disks[0])
        drill.serve(two_disks[1])
        assert "disk3" in drill.ask(two_disks[2])
        drill.ask("firn cp photo s3://photos/two; firn cp s3://photos/two back; cmp photo back")
        assert drill.appliance.stop() == 0
    finally:
        drill.appliance.kill()


def test_the_readme_has_commands_to_run():
    assert len(blocks("sh")) >= 3
    assert len(blocks("sh drill")) == 3
