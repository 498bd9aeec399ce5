"""After a lost system disk: what is not known of locks is held, as boto3 sees it."""

import json
import subprocess

from appliance import Appliance
from conftest import client, new_bucket
from s3_errors import refused


def shipped(appliance: Appliance) -> bool:
    """Whether everything acknowledged so far is at the target. Each look is a process: it paces itself."""
    backup = json.loads(appliance.firn("status", "--json").stdout)["backup"]
    return backup["base_version"] is not None and backup["lag_commits"] == 0


def test_what_a_recovery_brings_back_under_object_lock_is_held(fresh, binary, tmp_path):
    config, key, target = tmp_path / "firn.toml", tmp_path / "key", tmp_path / "backup"
    config.write_text(f'[pool]\ndirectory = "{tmp_path}/pool"\n[backup]\ntarget = "{target}"\n')
    fresh.start("--config", str(config))
    assert fresh.stop() == 0
    made = subprocess.run([binary, "backup", "key", fresh.directory, "--json"], capture_output=True, check=True)
    key.write_text(json.loads(made.stdout)["recovery_key"])
    fresh.start("--config", str(config))
    s3 = client(fresh)
    lockable, plain = new_bucket(s3, ObjectLockEnabledForBucket=True), new_bucket(s3, versioned=True)
    put = {bucket: s3.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"] for bucket in (lockable, plain)}
    assert any(shipped(fresh) for _ in range(2_000)), "the backup never caught up"
    fresh.kill()

    lost = fresh.directory
    fresh.directory = tmp_path / "again"
    recover = [binary, "recover", fresh.directory, "--from", target, "--key", key]
    subprocess.run(recover, capture_output=True, check=True)
    lost.rename(tmp_path / "lost")
    fresh.start("--config", str(config))
    s3 = client(fresh)
    named = {"Bucket": lockable, "Key": "k", "VersionId": put[lockable]}
    assert s3.get_object_legal_hold(**named)["LegalHold"]["Status"] == "ON"
    with refused("AccessDenied", 403):
        s3.delete_object(**named)
    s3.delete_object(Bucket=plain, Key="k", VersionId=put[plain])
    later = s3.put_object(Bucket=lockable, Key="k", Body=b"y")["VersionId"]
    s3.delete_object(Bucket=lockable, Key="k", VersionId=later)
    s3.put_object_legal_hold(**named, LegalHold={"Status": "OFF"})
    s3.delete_object(**named)
