"""What machine-learning engineers keep data sets and models with, through both doors: deltalake, DVC, MLflow."""

import json
import pathlib
import shutil

import pytest
from trees import prune, same

PROGRAMS = pathlib.Path(__file__).with_name("programs")
WRITERS = 8
COMMITS = 5


def test_eight_delta_writers_at_once_lose_no_commit(door, home, further):
    """Each commit is a PUT with If-None-Match: who comes second gets 412, and tries the next version."""
    trust = [f"SSL_CERT_FILE={door.ca_bundle}"] if door.ca_bundle else ["AWS_ALLOW_HTTP=true"]
    uri = f"s3://{home}/table"
    program = [further / "bin" / "python3", PROGRAMS / "delta_writers.py"]
    done = door.run("env", *trust, *program, uri, WRITERS, COMMITS)
    found = json.loads(done.stdout)
    expected = {f"{writer}/{commit}" for writer in range(WRITERS) for commit in range(COMMITS)} | {"-1/0"}
    assert found["version"] == WRITERS * COMMITS
    assert found["commits"] == {name: [100, 4950] for name in expected}
    contested = [line for line in door.log.read_text().splitlines() if f"{home}/table/_delta_log" in line]
    assert any("412" in line for line in contested), "no two writers ever met: this proves nothing"


@pytest.fixture
def dvc(door, further, tmp_path) -> list[str]:
    """DVC; its settings of user and machine are the test's own."""
    settings = [f"{name}={tmp_path / name.lower()}" for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR")]
    # It wants a file where /dev/null would do for others.
    (tmp_path / "aws-config").write_text("")
    settings += [f"AWS_CONFIG_FILE={tmp_path / 'aws-config'}", f"DVC_SITE_CACHE_DIR={tmp_path / 'site'}"]
    return ["env", *settings, "DVC_NO_ANALYTICS=true", further / "bin" / "dvc"]


def test_dvc_pushes_and_pulls_a_thousand_files(door, home, dvc, chance, tmp_path):
    project = tmp_path / "project"
    data = project / "data"
    for number in range(1000):
        path = data / f"d{number % 10}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") + chance.randbytes(chance.randrange(2000)))
    shutil.copytree(data, tmp_path / "kept")
    door.run(*dvc, "init", "--no-scm", cwd=project)
    # It looks for its own updates in a process that outlives it. The rest is as `dvc remote add` and `dvc remote modify` write it.
    settings = {"url": f"s3://{home}/dvc", "endpointurl": door.endpoint}
    if door.ca_bundle:
        settings["ssl_verify"] = door.ca_bundle
    lines = [f"{name} = {value}" for name, value in settings.items()]
    lines = ["[core]", "no_scm = True", "check_update = false", "remote = firn", "['remote \"firn\"']", *lines]
    (project / ".dvc" / "config").write_text("\n".join(lines))
    door.run(*dvc, "add", "data", cwd=project)
    door.run(*dvc, "push", cwd=project)
    assert b"Everything is up to date" in door.run(*dvc, "push", cwd=project).stdout
    shutil.rmtree(data)
    shutil.rmtree(project / ".dvc" / "cache")
    door.run(*dvc, "pull", cwd=project)
    same(tmp_path / "kept", data)


def test_mlflow_logs_lists_and_downloads_artifacts(door, home, further, tree, tmp_path):
    prune(tree)
    # Runs are tracked in files, which takes no database's packages; artifacts go to S3 either way.
    where = [f"MLFLOW_S3_ENDPOINT_URL={door.endpoint}", "MLFLOW_ALLOW_FILE_STORE=true"]
    program = [further / "bin" / "python3", PROGRAMS / "mlflow_artifacts.py"]
    done = door.run("env", *where, *program, f"s3://{home}/mlflow", tmp_path, tree, cwd=tmp_path)
    assert done.stdout.decode().splitlines()[-1] == "all of it", done.stdout
    same(tree, tmp_path / "back" / "model")
