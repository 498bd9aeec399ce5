"""Vaults through the Glacier API, with boto3 and aws-cli."""

import hashlib
import json
import random
import subprocess
import time

import boto3
import botocore.config
import botocore.exceptions
import botocore.utils
import io
import pytest

from conftest import CLIENTS
from test_events import SECRET, receiver, verified  # noqa: F401

MIB = 1 << 20
CONFIG = """
[vault]
enabled = true
pack = "2MiB"
pack-after = "0s"
"""


def tree_hash(data: bytes) -> str:
    return botocore.utils.calculate_tree_hash(io.BytesIO(data))


def noise(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


class Vaulted:
    """An appliance with vaults, and a client of them."""

    def __init__(self, appliance, tmp_path):
        self.appliance, self.config = appliance, tmp_path / "vault.toml"
        self.config.write_text(CONFIG)
        self.start()

    def start(self):
        self.appliance.start("--config", str(self.config))
        self.client = self.of(self.appliance.keys)

    def of(self, keys):
        return boto3.client(
            "glacier",
            endpoint_url=self.appliance.endpoint,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            region_name="us-east-1",
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    def restart(self):
        self.appliance.kill()
        self.start()

    def packs(self):
        return list((self.appliance.directory / "vault").glob("*.pack"))

    def wait(self, vault, job):
        for _ in range(600):
            found = self.client.describe_job(vaultName=vault, jobId=job)
            if found["Completed"]:
                assert found["StatusCode"] == "Succeeded", found
                return found
            time.sleep(0.1)
        raise AssertionError(found)

    def get(self, vault, archive, **wanted):
        parameters = {"Type": "archive-retrieval", "ArchiveId": archive, **wanted}
        job = self.client.initiate_job(vaultName=vault, jobParameters=parameters)["jobId"]
        found = self.wait(vault, job)
        output = self.client.get_job_output(vaultName=vault, jobId=job)
        body = output["body"].read()
        if "SHA256TreeHash" in found and found["SHA256TreeHash"]:
            assert found["SHA256TreeHash"] == tree_hash(body)
        return body, job

    def inventory(self, vault):
        parameters = {"Type": "inventory-retrieval", "Format": "JSON"}
        job = self.client.initiate_job(vaultName=vault, jobParameters=parameters)["jobId"]
        self.wait(vault, job)
        return json.load(self.client.get_job_output(vaultName=vault, jobId=job)["body"])


@pytest.fixture
def vaulted(fresh, tmp_path):
    return Vaulted(fresh, tmp_path)


def packed(vaulted, count=1):
    for _ in range(600):
        if len(vaulted.packs()) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(vaulted.packs())


def refused(call, code, **wanted):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**wanted)
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    return error


def test_vaults_come_are_listed_and_go(vaulted):
    glacier = vaulted.client
    assert "vaults/one" in glacier.create_vault(vaultName="one")["location"]
    glacier.create_vault(vaultName="one")
    glacier.create_vault(vaultName="two")
    one = glacier.describe_vault(vaultName="one")
    assert (one["VaultName"], one["NumberOfArchives"], one["SizeInBytes"]) == ("one", 0, 0)
    page = glacier.list_vaults(limit="1")
    assert [vault["VaultName"] for vault in page["VaultList"]] == ["one"]
    rest = glacier.list_vaults(limit="1", marker=page["Marker"])
    assert [vault["VaultName"] for vault in rest["VaultList"]] == ["two"]
    glacier.delete_vault(vaultName="two")
    refused(glacier.describe_vault, "ResourceNotFoundException", vaultName="two")
    refused(glacier.create_vault, "InvalidParameterValueException", vaultName="no blanks")


def test_an_archive_outlives_packing_and_a_kill_and_comes_back_as_it_was(vaulted):
    glacier = vaulted.client
    glacier.create_vault(vaultName="v")
    small, large = noise(1, 1000), noise(2, 3 * MIB + 77)
    kept = {}
    for data in (small, large):
        answer = glacier.upload_archive(vaultName="v", archiveDescription="some", body=data)
        assert answer["checksum"] == tree_hash(data)
        kept[answer["archiveId"]] = data
    vaulted.restart()
    packed(vaulted, 2)
    vaulted.restart()
    glacier = vaulted.client
    assert glacier.describe_vault(vaultName="v")["NumberOfArchives"] == 2
    for archive, data in kept.items():
        body, _ = vaulted.get("v", archive)
        assert body == data
    listed = vaulted.inventory("v")["ArchiveList"]
    assert {entry["ArchiveId"]: entry["SHA256TreeHash"] for entry in listed} == {
        archive: tree_hash(data) for archive, data in kept.items()
    }
    for archive in kept:
        glacier.delete_archive(vaultName="v", archiveId=archive)
    for _ in range(600):
        if not vaulted.packs():
            break
        time.sleep(0.1)
    assert vaulted.packs() == []
    glacier.delete_vault(vaultName="v")


def test_parts_come_in_any_order_and_ranges_are_of_megabytes(vaulted):
    glacier = vaulted.client
    glacier.create_vault(vaultName="v")
    data = noise(3, 5 * MIB + 1)
    upload = glacier.initiate_multipart_upload(vaultName="v", partSize=str(MIB))["uploadId"]

    def part(number):
        piece = data[number * MIB : (number + 1) * MIB]
        where = f"bytes {number * MIB}-{number * MIB + len(piece) - 1}/*"
        glacier.upload_multipart_part(vaultName="v", uploadId=upload, range=where, body=piece)

    whole = {"vaultName": "v", "uploadId": upload, "archiveSize": str(len(data)), "checksum": tree_hash(data)}
    for number in (5, 0, 3, 1, 4):
        part(number)
    refused(glacier.complete_multipart_upload, "InvalidParameterValueException", **whole)
    part(2)
    listed = glacier.list_parts(vaultName="v", uploadId=upload)["Parts"]
    assert [entry["RangeInBytes"] for entry in listed][:2] == ["0-1048575", "1048576-2097151"]
    assert len(glacier.list_multipart_uploads(vaultName="v")["UploadsList"]) == 1
    archive = glacier.complete_multipart_upload(**whole)["archiveId"]
    packed(vaulted)
    body, job = vaulted.get("v", archive)
    assert body == data
    piece = glacier.get_job_output(vaultName="v", jobId=job, range="bytes=1048576-2097151")
    assert piece["status"] == 206 and piece["body"].read() == data[MIB : 2 * MIB]
    body, _ = vaulted.get("v", archive, RetrievalByteRange="2097152-4194303")
    assert body == data[2 * MIB : 4 * MIB]
    parameters = {"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": "1-1048575"}
    refused(glacier.initiate_job, "InvalidParameterValueException", vaultName="v", jobParameters=parameters)


def test_what_is_not_as_announced_is_refused(vaulted):
    glacier = vaulted.client
    glacier.create_vault(vaultName="v")
    other = tree_hash(b"other")
    refused(glacier.upload_archive, "InvalidParameterValueException", vaultName="v", body=b"data", checksum=other)
    refused(glacier.upload_archive, "ResourceNotFoundException", vaultName="w", body=b"data")
    assert glacier.describe_vault(vaultName="v")["NumberOfArchives"] == 0
    stranger = vaulted.of((vaulted.appliance.keys[0], "x" * 40))
    refused(stranger.list_vaults, "InvalidSignatureException")


def test_policies_locks_and_tags_of_a_vault(vaulted):
    glacier = vaulted.client
    glacier.create_vault(vaultName="v")
    archive = glacier.upload_archive(vaultName="v", body=b"data")["archiveId"]
    arn = glacier.describe_vault(vaultName="v")["VaultARN"]
    deny = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "keep",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "glacier:DeleteArchive",
                    "Resource": arn,
                    "Condition": {"NumericLessThan": {"glacier:ArchiveAgeInDays": "365"}},
                }
            ],
        }
    )
    refused(glacier.get_vault_lock, "ResourceNotFoundException", vaultName="v")
    lock = glacier.initiate_vault_lock(vaultName="v", policy={"Policy": deny})["lockId"]
    assert glacier.get_vault_lock(vaultName="v")["State"] == "InProgress"
    refused(glacier.delete_archive, "AccessDeniedException", vaultName="v", archiveId=archive)
    glacier.complete_vault_lock(vaultName="v", lockId=lock)
    refused(glacier.abort_vault_lock, "AccessDeniedException", vaultName="v")
    refused(glacier.delete_archive, "AccessDeniedException", vaultName="v", archiveId=archive)
    refused(glacier.get_vault_access_policy, "ResourceNotFoundException", vaultName="v")
    glacier.set_vault_access_policy(vaultName="v", policy={"Policy": deny})
    assert json.loads(glacier.get_vault_access_policy(vaultName="v")["policy"]["Policy"]) == json.loads(deny)
    glacier.delete_vault_access_policy(vaultName="v")
    glacier.add_tags_to_vault(vaultName="v", Tags={"a": "1", "b": "2"})
    glacier.remove_tags_from_vault(vaultName="v", TagKeys=["a"])
    assert glacier.list_tags_for_vault(vaultName="v")["Tags"] == {"b": "2"}
    wish = {"SNSTopic": "arn:aws:sns:us-east-1:1:t", "Events": ["ArchiveRetrievalCompleted"]}
    wanted = {"vaultName": "v", "vaultNotificationConfig": wish}
    refused(glacier.set_vault_notifications, "InvalidParameterValueException", **wanted)
    refused(glacier.get_vault_notifications, "ResourceNotFoundException", vaultName="v")


def test_retrievals_are_told_to_a_receiver_that_was_down_and_a_server_that_was_killed(vaulted, receiver):  # noqa: F811
    topic = f"""
[[topic]]
name = "told"
url = "http://127.0.0.1:{receiver.server_port}/in"
secret = "{SECRET}"
allow-private = true
"""
    vaulted.config.write_text(CONFIG + topic)
    vaulted.restart()
    receiver.up.clear()
    glacier = vaulted.client
    glacier.create_vault(vaultName="v")
    account = glacier.describe_vault(vaultName="v")["VaultARN"].split(":")[4]
    arn = f"arn:aws:sns:us-east-1:{account}:told"
    wish = {"SNSTopic": arn, "Events": ["ArchiveRetrievalCompleted"]}
    glacier.set_vault_notifications(vaultName="v", vaultNotificationConfig=wish)
    assert glacier.get_vault_notifications(vaultName="v")["vaultNotificationConfig"] == wish
    archive = glacier.upload_archive(vaultName="v", body=noise(8, 1000))["archiveId"]
    _, job = vaulted.get("v", archive)
    inventory = {"Type": "inventory-retrieval", "SNSTopic": arn}
    other = glacier.initiate_job(vaultName="v", jobParameters=inventory)["jobId"]
    vaulted.wait("v", other)
    assert receiver.refused.wait(60)
    vaulted.restart()
    receiver.up.set()
    got = {}
    for _ in range(2):
        headers, body = receiver.got.get(timeout=120)
        document = verified(headers, body)
        got[document["JobId"]] = document
    assert got.keys() == {job, other}
    found = vaulted.client.describe_job(vaultName="v", jobId=job)
    assert {key: value for key, value in got[job].items() if value is not None} == {
        key: value for key, value in found.items() if key != "ResponseMetadata"
    }
    assert (got[other]["Action"], got[other]["SNSTopic"]) == ("InventoryRetrieval", arn)


def test_a_data_retrieval_policy_outlives_a_kill_and_is_enforced(vaulted):
    def rule(strategy, **more):
        return {"Rules": [{"Strategy": strategy, **more}]}

    assert vaulted.client.get_data_retrieval_policy()["Policy"] == rule("None")
    for policy in (rule("FreeTier"), rule("BytesPerHour", BytesPerHour=2500)):
        vaulted.client.set_data_retrieval_policy(Policy=policy)
        vaulted.restart()
        assert vaulted.client.get_data_retrieval_policy()["Policy"] == policy
    glacier = vaulted.client
    refused(glacier.set_data_retrieval_policy, "InvalidParameterValueException", Policy=rule("BytesPerHour"))
    refused(glacier.set_data_retrieval_policy, "InvalidParameterValueException", Policy=rule("None", BytesPerHour=1))
    refused(glacier.set_data_retrieval_policy, "MissingParameterValueException", Policy={})
    glacier.create_vault(vaultName="v")
    archive = glacier.upload_archive(vaultName="v", body=noise(6, 1000))["archiveId"]
    parameters = {"Type": "archive-retrieval", "ArchiveId": archive}
    for _ in range(2):
        glacier.initiate_job(vaultName="v", jobParameters=parameters)
    refused(glacier.initiate_job, "PolicyEnforcedException", vaultName="v", jobParameters=parameters)
    vaulted.restart()
    glacier = vaulted.client
    refused(glacier.initiate_job, "PolicyEnforcedException", vaultName="v", jobParameters=parameters)
    glacier.initiate_job(vaultName="v", jobParameters={**parameters, "Tier": "Bulk"})
    glacier.set_data_retrieval_policy(Policy=rule("None"))
    glacier.initiate_job(vaultName="v", jobParameters=parameters)


def test_provisioned_capacity_is_bought_outlives_a_kill_and_keeps_its_share(vaulted, tmp_path):
    # A removable disk: eight expedited retrievals in five minutes.
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    vaulted.config.write_text(CONFIG + f'[[medium]]\nname = "s"\nkind = "shelf"\npath = "{shelf}"\n')
    vaulted.restart()
    glacier = vaulted.client
    assert glacier.list_provisioned_capacity()["ProvisionedCapacityList"] == []
    glacier.create_vault(vaultName="v")
    archive = glacier.upload_archive(vaultName="v", body=noise(7, 1000))["archiveId"]
    ids = {glacier.purchase_provisioned_capacity()["capacityId"] for _ in range(2)}
    refused(glacier.purchase_provisioned_capacity, "LimitExceededException")
    vaulted.restart()
    glacier = vaulted.client
    units = glacier.list_provisioned_capacity()["ProvisionedCapacityList"]
    assert {unit["CapacityId"] for unit in units} == ids
    assert all(unit["StartDate"] < unit["ExpirationDate"] for unit in units)
    parameters = {"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "Expedited"}
    for _ in range(8):
        glacier.initiate_job(vaultName="v", jobParameters=parameters)
    refused(glacier.initiate_job, "InsufficientCapacityException", vaultName="v", jobParameters=parameters)


def test_a_user_may_what_policies_let_it(vaulted):
    iam = boto3.client(
        "iam",
        endpoint_url=vaulted.appliance.endpoint,
        aws_access_key_id=vaulted.appliance.keys[0],
        aws_secret_access_key=vaulted.appliance.keys[1],
        region_name="us-east-1",
    )
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    vaulted.client.create_vault(vaultName="v")
    user = vaulted.of((key["AccessKeyId"], key["SecretAccessKey"]))
    refused(user.describe_vault, "AccessDeniedException", vaultName="v")
    statement = {"Effect": "Allow", "Action": "glacier:DescribeVault", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    assert user.describe_vault(vaultName="v")["VaultName"] == "v"
    refused(user.upload_archive, "AccessDeniedException", vaultName="v", body=b"data")


def test_the_aws_cli_uploads_and_lists(vaulted, tmp_path):
    file = tmp_path / "archive"
    file.write_bytes(noise(5, 100_000))
    environment = {
        "AWS_ACCESS_KEY_ID": vaulted.appliance.keys[0],
        "AWS_SECRET_ACCESS_KEY": vaulted.appliance.keys[1],
        "AWS_DEFAULT_REGION": "us-east-1",
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
    }

    def glacier(*words):
        command = [str(CLIENTS / "aws"), "--endpoint-url", vaulted.appliance.endpoint, "glacier", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout or "null")

    glacier("create-vault", "--account-id", "-", "--vault-name", "v")
    answer = glacier("upload-archive", "--account-id", "-", "--vault-name", "v", "--body", str(file))
    assert answer["checksum"] == tree_hash(file.read_bytes())
    assert hashlib.sha256(file.read_bytes()).hexdigest() == answer["checksum"], "one leaf is its own tree"
    listed = glacier("list-vaults", "--account-id", "-")["VaultList"]
    assert [vault["NumberOfArchives"] for vault in listed] == [1]
