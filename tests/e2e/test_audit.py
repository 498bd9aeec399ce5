"""The audit trail with boto3 and aws-cli, unmodified: what is recorded, delivered, and proven by `aws cloudtrail validate-logs`."""

import base64
import datetime
import gzip
import json
import time

import pytest
from botocore.exceptions import ClientError
from conftest import client, client_of
from identities import allow, new_user, policy, refused, service, session, trust

# An hour of digests is a second then.
DAY = ("--debug-day", "24s")
ROUNDS = 600


def bucket_policy(bucket, number, name="trail"):
    """As AWS's guide has it."""
    service_principal = {"Service": "cloudtrail.amazonaws.com"}
    source = {"aws:SourceArn": f"arn:aws:cloudtrail:us-east-1:{number}:trail/{name}"}
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": service_principal,
                    "Action": "s3:GetBucketAcl",
                    "Resource": f"arn:aws:s3:::{bucket}",
                    "Condition": {"StringEquals": source},
                },
                {
                    "Effect": "Allow",
                    "Principal": service_principal,
                    "Action": "s3:PutObject",
                    "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{number}/*",
                    "Condition": {"StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", **source}},
                },
            ],
        }
    )


def number_of(appliance):
    return service(appliance, "sts").get_caller_identity()["Account"]


@pytest.fixture
def trailed(fresh, aws):
    """An appliance whose trail logs to `logs` all that is managed, and what is done with objects of `data`."""
    fresh.start(*DAY)
    s3 = client(fresh)
    s3.create_bucket(Bucket="data")
    s3.create_bucket(Bucket="logs")
    cloudtrail = ("--name", "trail", "--s3-bucket-name", "logs", "--enable-log-file-validation")
    done = fresh.run(aws, "cloudtrail", "create-trail", *cloudtrail, check=False)
    assert b"InsufficientS3BucketPolicyException" in done.stderr
    s3.put_bucket_policy(Bucket="logs", Policy=bucket_policy("logs", number_of(fresh)))
    made = json.loads(fresh.run(aws, "cloudtrail", "create-trail", *cloudtrail).stdout)
    selectors = '[{"ReadWriteType":"All","IncludeManagementEvents":true,"DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::data/"]}]}]'
    fresh.run(aws, "cloudtrail", "put-event-selectors", "--trail-name", "trail", "--event-selectors", selectors)
    fresh.run(aws, "cloudtrail", "start-logging", "--name", "trail")
    return fresh, s3, made["TrailARN"]


def keys_of(s3, kind):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="logs")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [key for key in keys if f"/{kind}/" in key]


def contents(s3, key):
    found = s3.get_object(Bucket="logs", Key=key)
    assert (found["ContentType"], found["ContentEncoding"]) == ("application/json", "gzip")
    return json.loads(gzip.decompress(found["Body"].read()))


def records(s3):
    return [record for key in keys_of(s3, "CloudTrail") for record in contents(s3, key)["Records"]]


def until(true):
    """What becomes so, in time."""
    for _ in range(ROUNDS):
        found = true()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it does not become so")


def digested(s3):
    """Files that digests name."""
    digests = [contents(s3, key) for key in keys_of(s3, "CloudTrail-Digest")]
    return {log["s3Object"] for digest in digests for log in digest["logFiles"]}


def settled(fresh, aws, s3, wanted):
    """Stops the trail once these events are in its files, and waits until all files are in digests."""
    until(lambda: wanted <= {record["eventName"] for record in records(s3)})
    until(lambda: len(keys_of(s3, "CloudTrail-Digest")) >= 3)
    fresh.run(aws, "cloudtrail", "stop-logging", "--name", "trail")

    def is_quiet():
        logs = set(keys_of(s3, "CloudTrail"))
        names = {record["eventName"] for record in records(s3)}
        return "StopLogging" in names and logs == digested(s3)

    until(is_quiet)


def verified(fresh, *place, before=()):
    """What `firn audit verify` says of a place; of what is wrong its kind and file."""
    done = fresh.run(*before, fresh.binary, "audit", "verify", *place, "--json", check=False)
    assert done.returncode in (0, 7), done.stderr
    said = json.loads(done.stdout)
    assert said["intact"] == (done.returncode == 0)
    return said, [(problem["what"], problem["kind"], problem["file"].rsplit("/", 1)[1]) for problem in said["problems"]]


def validate(fresh, aws, arn):
    """What validate-logs says, and its status; `firn audit verify` says the same, of the trail and of its bucket."""
    status, said = validated(fresh, aws, arn)
    for place in (("--trail", "trail"), ("--trail", arn, "--since", "1h"), ("s3://logs",), ("s3://logs/AWSLogs/",)):
        own, problems = verified(fresh, *place)
        assert own["intact"] == (status == 0), (place, own, said)
        assert said.count("INVALID") >= len(problems), (own, said)
        assert ("not found" in said) == any(what == "removed" for what, _, _ in problems), (own, said)
    return status, said


def validated(fresh, aws, arn):
    """What validate-logs says, and its status."""
    start = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = ("cloudtrail", "validate-logs", "--trail-arn", arn, "--start-time", start, "--verbose")
    done = fresh.run(aws, *command, check=False)
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, (done.stdout + done.stderr).decode()


def test_validate_logs_passes_and_finds_what_was_altered_removed_or_exchanged(trailed, aws, tmp_path):
    fresh, s3, arn = trailed
    iam = service(fresh, "iam")
    mallory = new_user(iam, "mallory")
    s3.put_object(Bucket="data", Key="k", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        client_of(fresh, mallory).get_object(Bucket="data", Key="k")
    until(lambda: len(keys_of(s3, "CloudTrail")) >= 2)
    settled(fresh, aws, s3, {"CreateUser", "PutObject", "GetObject", "StartLogging"})
    denial = next(record for record in records(s3) if record.get("errorCode") == "AccessDenied")
    assert (denial["eventName"], denial["userIdentity"]["userName"]) == ("GetObject", "mallory")
    assert denial["resources"][0] == {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::data/k"}

    status, said = validate(fresh, aws, arn)
    logs, digests = keys_of(s3, "CloudTrail"), keys_of(s3, "CloudTrail-Digest")
    assert status == 0, said
    assert said.count("Log file\ts3://") == len(logs) and said.count("Digest file\ts3://") >= 3
    assert "INVALID" not in said
    own, _ = verified(fresh, "--trail", "trail")
    (chain,) = own["chains"]
    assert (chain["trail"], chain["logs"], chain["digests"], chain["gaps"]) == ("trail", len(logs), len(digests), 0)
    assert own["unproven"] == []

    def kept(key):
        found = s3.get_object(Bucket="logs", Key=key)
        return found["Body"].read(), found["Metadata"]

    def put(key, body, metadata):
        kind = {"ContentType": "application/json", "ContentEncoding": "gzip"}
        s3.put_object(Bucket="logs", Key=key, Body=body, Metadata=metadata, **kind)

    # A record altered, a file removed, two exchanged; a digest altered, and one removed.
    key, before = logs[0], kept(logs[0])
    put(key, gzip.compress(gzip.decompress(before[0]).replace(b"AwsApiCall", b"AwsApiCold", 1)), {})
    status, said = validate(fresh, aws, arn)
    assert status == 1 and "hash value doesn't match" in said
    short = key.rsplit("/", 1)[1]
    assert verified(fresh, "s3://logs")[1] == [("altered", "log", short)]
    s3.delete_object(Bucket="logs", Key=key)
    status, said = validate(fresh, aws, arn)
    assert status == 1 and "INVALID: not found" in said
    other = kept(logs[1])
    put(logs[0], *other)
    put(logs[1], *before)
    status, said = validate(fresh, aws, arn)
    assert status == 1 and said.count("hash value doesn't match") == 2
    both = sorted(("exchanged", "log", key.rsplit("/", 1)[1]) for key in logs[:2])
    assert sorted(verified(fresh, "s3://logs")[1]) == both
    put(logs[0], *before)
    put(logs[1], *other)
    assert validate(fresh, aws, arn)[0] == 0
    digest = kept(digests[1])
    put(digests[1], gzip.compress(gzip.decompress(digest[0]).replace(b"SHA-256", b"SHA-255", 1)), digest[1])
    status, said = validate(fresh, aws, arn)
    assert status == 1 and "signature verification failed" in said
    assert ("altered", "digest", digests[1].rsplit("/", 1)[1]) in verified(fresh, "s3://logs")[1]
    s3.delete_object(Bucket="logs", Key=digests[1])
    status, said = validate(fresh, aws, arn)
    assert status == 1 and "INVALID: not found" in said
    put(digests[1], *digest)
    assert validate(fresh, aws, arn)[0] == 0

    # A copy on a disk, and the keys beside it: nothing is asked of the appliance, and the newest digest is proven by nothing.
    copy, pem = tmp_path / "copy", tmp_path / "keys.pem"
    pem.write_bytes(fresh.firn("audit", "keys").stdout)
    fresh.run(aws, "s3", "sync", "s3://logs", copy)
    nowhere = ("env", "AWS_ENDPOINT_URL=http://127.0.0.1:9")
    own, problems = verified(fresh, copy, "--public-keys", pem, before=nowhere)
    assert problems == [] and own["chains"][0]["digests"] == len(digests) - 1
    assert digests[-1] in own["unproven"]
    (copy / logs[0]).write_bytes(gzip.compress(b"{}"))
    found = verified(fresh, copy, "--public-keys", pem, before=nowhere)[1]
    assert found == [("altered", "log", logs[0].rsplit("/", 1)[1])]


def test_no_secret_is_in_any_record_nor_in_the_log(trailed, aws):
    fresh, s3, _ = trailed
    iam, kms, number = service(fresh, "iam"), service(fresh, "kms"), number_of(fresh)
    canary = "canary-" + "4f1c0de5" * 3
    user = new_user(iam, "alice", allow("*"))
    role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=trust(f"arn:aws:iam::{number}:user/alice"))
    sts = service(fresh, "sts", user)
    assumed = sts.assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="session", ExternalId=canary + "-external")
    token = service(fresh, "sts", user).get_session_token()["Credentials"]
    session(fresh, "sts", assumed["Credentials"]).get_caller_identity()
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=canary.encode())["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == canary.encode()
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    customer = b"0123456789abcdef" + canary.encode()[:16]
    enclosed = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": customer}
    s3.put_object(Bucket="data", Key="enclosed", Body=canary.encode(), **enclosed)
    s3.get_object(Bucket="data", Key="enclosed", **enclosed)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "enclosed", **enclosed})
    loose = service(fresh, "sts", user, validates=False)
    for token_code in ("98", "987654"):
        with pytest.raises(ClientError):
            loose.get_session_token(SerialNumber="arn:aws:iam::111122223333:mfa/phone", TokenCode=token_code)
    wanted = {"CreateAccessKey", "AssumeRole", "GetSessionToken", "Encrypt", "Decrypt", "GenerateDataKey", "PutObject", "CreateRole"}
    settled(fresh, aws, s3, wanted)
    found = records(s3)
    text = json.dumps(found) + fresh.log.read_text(errors="replace")
    secrets = [
        canary,
        base64.b64encode(canary.encode()).decode(),
        base64.b64encode(customer).decode(),
        base64.b64encode(sealed).decode(),
        base64.b64encode(data_key["Plaintext"]).decode(),
        user[1],
        fresh.keys[1],
        assumed["Credentials"]["SecretAccessKey"],
        assumed["Credentials"]["SessionToken"],
        token["SecretAccessKey"],
        token["SessionToken"],
        url.split("X-Amz-Signature=")[1][:64],
    ]
    for number, secret in enumerate(secrets):
        assert secret not in text, number
    assert not any("tokenCode" in (record.get("requestParameters") or {}) for record in found)
    made = next(record for record in found if record["eventName"] == "CreateAccessKey")
    assert made["responseElements"]["accessKey"]["accessKeyId"] == user[0]
    asked = (record["userIdentity"] for record in found if record["eventName"] == "GetCallerIdentity")
    of_session = next(user for user in asked if user["type"] == "AssumedRole")
    issuer = of_session["sessionContext"]["sessionIssuer"]
    assert (issuer["type"], issuer["userName"]) == ("Role", "role")


def test_the_history_is_looked_up_and_survives_a_kill(fresh, aws):
    fresh.start()
    s3, iam = client(fresh), service(fresh, "iam")
    s3.create_bucket(Bucket="one")
    bob = new_user(iam, "bob", allow("cloudtrail:LookupEvents"))
    with pytest.raises(ClientError, match="AccessDenied"):
        client_of(fresh, bob).list_buckets()
    fresh.kill()
    fresh.start()
    cloudtrail = service(fresh, "cloudtrail", bob)
    pages = cloudtrail.get_paginator("lookup_events").paginate(PaginationConfig={"PageSize": 2})
    events = [event for page in pages for event in page["Events"]]
    names = [event["EventName"] for event in events]
    assert names[0] == "ListBuckets" and names[-1] == "CreateBucket"
    assert events[0]["Username"] == "bob"
    record = json.loads(events[0]["CloudTrailEvent"])
    assert (record["eventVersion"], record["errorCode"]) == ("1.11", "AccessDenied")
    wanted = [{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}]
    found = cloudtrail.lookup_events(LookupAttributes=wanted)["Events"]
    assert [event["EventName"] for event in found] == ["CreateUser"]
    assert json.loads(found[0]["CloudTrailEvent"])["responseElements"]["user"]["userName"] == "bob"
    refused("AccessDeniedException", 400, cloudtrail.describe_trails)
    said = json.loads(fresh.run(aws, "cloudtrail", "lookup-events", "--max-items", "1").stdout)
    assert len(said["Events"]) == 1
    refused("UnsupportedOperationException", 400, service(fresh, "cloudtrail").list_event_data_stores)
