"""A firn server under test: started, addressed, drained, killed.

Readiness comes by systemd's notify protocol, so nothing here sleeps or polls.
"""

import configparser
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request

READY_S_MAX = 60
EXIT_S_MAX = 60


class NotReady(Exception):
    """The server ended, or said nothing in time; carries the end of its log."""


class Appliance:
    """One directory and, between start() and stop() or kill(), the server on it."""

    def __init__(self, binary: str, directory: pathlib.Path):
        self.binary = binary
        self.directory = directory
        self.log = directory.with_name(directory.name + ".log")
        self.process: subprocess.Popen | None = None

    def start(self, *arguments: str) -> "Appliance":
        """Starts the server and returns when it says that it is ready."""
        doors = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        return self.launch([self.binary, "server", str(self.directory), *doors, *arguments], dict(os.environ))

    def launch(self, command: list[str], environment: dict[str, str], **options) -> "Appliance":
        """Runs a command that becomes the server."""
        with tempfile.TemporaryDirectory(prefix="firn-e2e-") as place:
            ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            ready.bind(f"{place}/notify")
            ready.settimeout(0.2)
            environment = {**environment, "NOTIFY_SOCKET": f"{place}/notify"}
            with ready, open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **options
                )
                self._await_ready(ready)
        return self

    def _await_ready(self, ready: socket.socket) -> None:
        for _ in range(READY_S_MAX * 5):
            try:
                if b"READY=1" in ready.recv(4096).split(b"\n"):
                    return
            except TimeoutError:
                pass
            if self.process.poll() is not None:
                raise NotReady(f"firn ended with {self.process.returncode}:\n{self.log_tail()}")
        self.kill()
        raise NotReady(f"firn is not ready after {READY_S_MAX} s:\n{self.log_tail()}")

    def log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    @property
    def endpoint(self) -> str:
        return self.doors["s3"]["url"]

    @property
    def admin(self) -> str:
        return self.doors["admin"]["url"]

    @property
    def ca_bundle(self) -> str | None:
        """The CA that clients have to believe, when the appliance speaks TLS with a certificate of its own."""
        return self.doors["ca_bundle"]

    @property
    def doors(self) -> dict:
        return json.loads((self.directory / "run" / "doors.json").read_text())

    @property
    def keys(self) -> tuple[str, str]:
        credentials = configparser.ConfigParser()
        credentials.read(self.directory / "credentials")
        default = credentials["default"]
        return default["aws_access_key_id"], default["aws_secret_access_key"]

    def environment(self) -> dict[str, str]:
        """What `firn env` would set, for a client in a process of its own."""
        access, secret = self.keys
        foreign = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL_S3")
        environment = {name: value for name, value in os.environ.items() if name not in foreign}
        environment.update(
            AWS_ACCESS_KEY_ID=access,
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_REGION="us-east-1",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_ENDPOINT_URL=self.endpoint,
            S3_ENDPOINT_URL=self.endpoint,  # the name that s5cmd reads
            AWS_EC2_METADATA_DISABLED="true",
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            FIRN_DIR=str(self.directory),
            # What clients keep of their own, uploads that may go on among it.
            XDG_STATE_HOME=str(self.directory.with_name(self.directory.name + ".state")),
        )
        if self.ca_bundle:
            environment.update(AWS_CA_BUNDLE=self.ca_bundle, RCLONE_CA_CERT=self.ca_bundle)
        return environment

    def run(self, *command: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        """Runs a client; a failure shows what it said."""
        done = subprocess.run(
            [str(word) for word in command], env=self.environment(), capture_output=True, timeout=300, **options
        )
        if check and done.returncode != 0:
            said = done.stderr.decode(errors="replace")[-3000:]
            raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
        return done

    def firn(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        return self.run(self.binary, *arguments, check=check, **options)

    def probe(self, path: str, token: str | None = None) -> tuple[int, bytes]:
        """Asks the admin door."""
        request = urllib.request.Request(self.admin + path)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            believed = ssl.create_default_context(cafile=self.ca_bundle) if self.ca_bundle else None
            with urllib.request.urlopen(request, timeout=10, context=believed) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def await_exit(self) -> int:
        return self.process.wait(EXIT_S_MAX)

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        self.terminate()
        return self.await_exit()

    def kill(self) -> None:
        """SIGKILL: what a crash of the process is."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(EXIT_S_MAX)
