"""Archived classes as boto3, aws-cli and firn use them: by PUT, by rule within a rehearsal's days, restored, and over again."""

import concurrent.futures
import datetime
import hashlib
import io
import json
import pickle
import random
import time

import pytest
from botocore.exceptions import ClientError
from conftest import SEED, client, new_bucket
from s3_errors import refused


@pytest.fixture
def vaulted(fresh, tmp_path):
    """An appliance with a vault, whose packs lie on a medium of their own."""
    medium = tmp_path / "medium"
    medium.mkdir()
    config = tmp_path / "firn.toml"
    config.write_text(
        f'[vault]\nenabled = true\npack-after = "0s"\n[[medium]]\nname = "cold"\npath = "{medium}"\n'
    )
    fresh.start("--config", str(config))
    return fresh, medium


def restore(s3, bucket, key, days=1, tier="Standard", **more):
    asked = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
    done = s3.restore_object(Bucket=bucket, Key=key, RestoreRequest=asked, **more)
    return done["ResponseMetadata"]["HTTPStatusCode"]


def until_readable(s3, bucket, key, **more):
    for _ in range(600):
        head = s3.head_object(Bucket=bucket, Key=key, **more)
        if 'ongoing-request="false"' in head.get("Restore", ""):
            return head
        assert 'ongoing-request="true"' in head["Restore"]
        time.sleep(0.2)
    raise AssertionError(f"{key} never comes back")


def model(seed):
    """What a model's file is like: floats that don't compress, and a header that does."""
    chance = random.Random(seed)
    weights = [chance.random() for _ in range(80_000)]
    return pickle.dumps({"name": "model", "weights": weights})


def test_a_put_in_glacier_is_refused_until_it_is_restored(s3, bucket, appliance, aws):
    body = model(1)
    s3.put_object(Bucket=bucket, Key="m/a.pkl", Body=body, StorageClass="GLACIER")
    assert s3.head_object(Bucket=bucket, Key="m/a.pkl")["StorageClass"] == "GLACIER"
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="m/a.pkl")
    told = error.value.response["Error"]
    assert told["Code"] == "InvalidObjectState"
    assert told["StorageClass"] == "GLACIER" and f"firn restore 's3://{bucket}/m/a.pkl'" in told["Message"]
    with refused("InvalidObjectState", 403):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/m/a.pkl")
    failed = appliance.firn("cat", f"s3://{bucket}/m/a.pkl", check=False)
    assert failed.returncode == 6 and b"restore" in failed.stderr
    with refused("MalformedXML", 400):
        s3.restore_object(Bucket=bucket, Key="m/a.pkl", RestoreRequest={"GlacierJobParameters": {"Tier": "Bulk"}})
    appliance.run(
        *(aws, "--endpoint-url", appliance.endpoint, "s3api", "restore-object", "--bucket", bucket, "--key", "m/a.pkl"),
        *("--restore-request", '{"Days": 3, "GlacierJobParameters": {"Tier": "Expedited"}}'),
    )
    head = until_readable(s3, bucket, "m/a.pkl")
    assert 'expiry-date="' in head["Restore"] and head["StorageClass"] == "GLACIER"
    got = s3.get_object(Bucket=bucket, Key="m/a.pkl")
    assert got["Body"].read() == body and got["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    assert s3.get_object(Bucket=bucket, Key="m/a.pkl", Range="bytes=7-99")["Body"].read() == body[7:100]
    assert restore(s3, bucket, "m/a.pkl", days=1) == 200, "shorter, too"
    (listed,) = s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"]
    status = listed["RestoreStatus"]
    now = datetime.datetime.now(datetime.timezone.utc)
    assert not status["IsRestoreInProgress"]
    assert now < status["RestoreExpiryDate"] <= now + datetime.timedelta(days=2)
    assert "RestoreStatus" not in s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    s3.copy_object(Bucket=bucket, Key="m/a.pkl", CopySource=f"{bucket}/m/a.pkl", StorageClass="STANDARD")
    assert s3.get_object(Bucket=bucket, Key="m/a.pkl")["Body"].read() == body
    with refused("InvalidObjectState", 403):
        restore(s3, bucket, "m/a.pkl")


def test_archived_bytes_lie_on_the_medium_and_survive_a_kill(vaulted):
    appliance, medium = vaulted
    s3 = client(appliance)
    bucket = new_bucket(s3, versioned=True)
    whole = model(2)
    old = s3.put_object(Bucket=bucket, Key="whole", Body=whole, StorageClass="GLACIER")["VersionId"]
    s3.put_object(Bucket=bucket, Key="whole", Body=b"a newer one")
    parts = [random.Random(3).randbytes(5 << 20), random.Random(4).randbytes(100_000)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", StorageClass="DEEP_ARCHIVE")["UploadId"]
    tags = [
        s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        for number, body in enumerate(parts, 1)
    ]
    named = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
    etag = s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": named})

    def place(key, *more):
        asked = appliance.firn("--json", "where", *more, f"s3://{bucket}/{key}", str(appliance.directory))
        return json.loads(asked.stdout)

    for key, more in (("parts", ()), ("whole", ("--version-id", old))):
        for _ in range(600):
            places = place(key, *more)["places"]
            if places and all(one["pool"] == "vault" and one["zone"] == "cold" for one in places):
                break
            time.sleep(0.2)
        else:
            raise AssertionError(f"{key} never comes to the medium: {places}")
    assert any(path.suffix == ".pack" for path in medium.iterdir())
    with refused("InvalidArgument", 400):
        restore(s3, bucket, "parts", tier="Expedited")
    assert restore(s3, bucket, "parts", tier="Bulk") == 202
    assert restore(s3, bucket, "whole", VersionId=old) == 202
    appliance.kill()
    appliance.start("--config", str(medium.with_name("firn.toml")))
    s3 = client(appliance)
    head = until_readable(s3, bucket, "parts")
    assert head["ETag"] == etag["ETag"]
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"".join(parts)
    assert s3.get_object(Bucket=bucket, Key="parts", PartNumber=2)["Body"].read() == parts[1]
    until_readable(s3, bucket, "whole", VersionId=old)
    again = s3.get_object(Bucket=bucket, Key="whole", VersionId=old)["Body"].read()
    assert pickle.load(io.BytesIO(again)) == pickle.loads(whole) and again == whole
    assert s3.get_object(Bucket=bucket, Key="whole")["Body"].read() == b"a newer one"


def test_rules_archive_firn_restores_and_the_copy_expires_within_a_rehearsals_days(fresh):
    fresh.start("--debug-day", "2s")
    s3 = client(fresh)
    bucket = new_bucket(s3)
    home = ("--dir", str(fresh.directory))
    bodies = {f"models/{number}": model(number) for number in range(5)}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    s3.put_object(Bucket=bucket, Key="models/small", Body=b"x")
    rules = [{"ID": "cold", "Filter": {"Prefix": "models/"}, "Status": "Enabled",
              "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    explained = json.loads(fresh.firn("--json", "lifecycle", "explain", f"s3://{bucket}/models/small", *home).stdout)
    assert explained["versions"][0]["rules"][0]["why_not"] == "too_small"

    def classes():
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        return {one["Key"]: one["StorageClass"] for one in listed}

    for _ in range(3000):
        if list(classes().values()).count("GLACIER") == 5:
            break
        fresh.firn("lifecycle", "run", f"s3://{bucket}", *home)
    assert classes()["models/small"] == "STANDARD"
    foretold = json.loads(fresh.firn("--json", "restore", "-r", f"s3://{bucket}/models", "--dry-run").stdout)
    assert (foretold["asked"], foretold["not_archived"]) == (5, 1)
    told = json.loads(fresh.firn("--json", "restore", "-r", f"s3://{bucket}/models", "--estimate").stdout)
    assert (told["classes"]["GLACIER"]["ask"], told["not_archived"], told["eta_ms"]) == (5, 1, 0)
    done = json.loads(
        fresh.firn("--json", "restore", "-r", f"s3://{bucket}/models", "--days", "20", "--tier", "bulk", "--wait").stdout
    )
    assert (done["state"], done["asked"], done["ready"], done["failed_count"]) == ("ended", 5, 5, 0)
    for key, body in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    foretold = json.loads(fresh.firn("--json", "restore", "-r", f"s3://{bucket}/models", "--dry-run").stdout)
    assert (foretold["asked"], foretold["there"], foretold["bytes"]) == (0, 5, 0)
    again = json.loads(fresh.firn("--json", "restore", "-r", f"s3://{bucket}/models", "--days", "1", "--wait").stdout)
    assert (again["asked"], again["there"]) == (0, 5), "what is there for longer stays so"
    for _ in range(900):
        if "Restore" not in s3.head_object(Bucket=bucket, Key="models/0"):
            break
        time.sleep(0.1)
    with refused("InvalidObjectState", 403):
        s3.get_object(Bucket=bucket, Key="models/0")
    assert classes()["models/0"] == "GLACIER"


def test_one_job_restores_mixed_classes_through_kills_and_what_was_put_meanwhile_is_none_of_it(fresh):
    fresh.start()
    s3 = client(fresh)
    bucket = new_bucket(s3)
    chance = random.Random(SEED)
    classes = {f"set/{number:04}": chance.choice(["GLACIER", "DEEP_ARCHIVE", "STANDARD"]) for number in range(400)}
    bodies = {key: random.Random(f"{SEED} {key}").randbytes(chance.randint(0, 9_000)) for key in classes}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        put = lambda key: s3.put_object(Bucket=bucket, Key=key, Body=bodies[key], StorageClass=classes[key])
        list(pool.map(put, classes))
    # Last-Modified is told in seconds; the job counts in milliseconds.
    begun = json.loads(
        fresh.firn("--json", "restore", "-r", f"s3://{bucket}/set", "--tier", "expedited", "--days", "2").stdout
    )
    s3.put_object(Bucket=bucket, Key="set/9999", Body=b"newer", StorageClass="GLACIER")
    for _ in range(3):
        time.sleep(chance.random() / 4)
        fresh.kill()
        fresh.start()
    s3 = client(fresh)
    done = json.loads(fresh.firn("--json", "restore", "--status", begun["job"], "--wait").stdout)
    count = list(classes.values()).count
    archived, deep = count("GLACIER") + count("DEEP_ARCHIVE"), count("DEEP_ARCHIVE")
    assert (done["asked"], done["ready"], done["lost"], done["failed_count"]) == (archived, archived, 0, 0), done
    assert (done["slower"], done["not_archived"]) == (deep, count("STANDARD")), done
    for key, body in bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key
    with refused("InvalidObjectState", 403):
        s3.get_object(Bucket=bucket, Key="set/9999")
    (listed,) = json.loads(fresh.firn("--json", "restore", "--jobs", f"s3://{bucket}").stdout)
    assert listed["job"] == begun["job"]
