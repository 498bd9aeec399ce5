"""Managed keys with boto3 and aws-cli, unmodified."""

import base64
import hashlib
import json
import os
import subprocess

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from identities import allow, new_user, policy, refused, service


@pytest.fixture
def account(fresh):
    """An appliance of the test's own, and its root's clients of KMS and IAM."""
    fresh.start()
    return fresh, service(fresh, "kms"), service(fresh, "iam")


def number_of(appliance):
    return service(appliance, "sts").get_caller_identity()["Account"]


def tells(effect, principal, actions="kms:*"):
    return {"Effect": effect, "Principal": {"AWS": principal}, "Action": actions, "Resource": "*"}


def cli(aws, appliance, keys, *arguments):
    """What aws-cli answers: its status, and JSON or an error."""
    own = {"AWS_ACCESS_KEY_ID": keys[0], "AWS_SECRET_ACCESS_KEY": keys[1], "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        [aws, "--endpoint-url", appliance.endpoint, "kms", *arguments],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}") if done.returncode == 0 else done.stderr


def exercise(number, kms, iam):
    """The keys, the people and the table of the course's exercise."""
    user = f"arn:aws:iam::{number}:user/".__add__
    people = {name: new_user(iam, name) for name in ("alice", "bob", "charlie", "david")}
    root = tells("Allow", f"arn:aws:iam::{number}:root")

    def key(*statements):
        made = kms.create_key(Policy=policy(*statements), BypassPolicyLockoutSafetyCheck=True)
        return made["KeyMetadata"]["Arn"]

    a = key(root)
    b = key(tells("Allow", [user("bob"), user("charlie")]))
    c = key(root, tells("Allow", user("alice")), tells("Deny", [user("bob"), user("charlie"), user("david")]))
    for name, statements in {
        "alice": [allow("kms:*", [a, b])],
        "charlie": [allow("kms:Encrypt", a)],
        "david": [allow("kms:*", [b, c])],
    }.items():
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy(*statements))
    table = {"alice": ("ED", "", "ED"), "bob": ("", "ED", ""), "charlie": ("E", "ED", ""), "david": ("", "", "")}
    return people, (a, b, c), table


def test_the_exercise_of_the_course_holds_in_24_cells(account, aws, tmp_path):
    appliance, kms, iam = account
    people, keys, table = exercise(number_of(appliance), kms, iam)
    plain = tmp_path / "plain"
    plain.write_text("text")
    sealed = []
    for key, name in zip(keys, ("alice", "bob", "alice"), strict=True):
        blob = service(appliance, "kms", people[name]).encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
        file = tmp_path / f"sealed-{len(sealed)}"
        file.write_bytes(blob)
        sealed.append(file)
    cells = 0
    for name, row in table.items():
        for key, file, may in zip(keys, sealed, row, strict=True):
            encrypt = ("encrypt", "--key-id", key, "--plaintext", f"fileb://{plain}")
            decrypt = ("decrypt", "--ciphertext-blob", f"fileb://{file}")
            for letter, arguments in (("E", encrypt), ("D", decrypt)):
                status, answer = cli(aws, appliance, people[name], *arguments)
                if letter in may:
                    assert status == 0, (name, key, letter, answer)
                else:
                    assert status != 0 and "AccessDeniedException" in answer, (name, key, letter, answer)
                cells += 1
    assert cells == 24


def test_a_grant_is_created_used_retired_and_revoked(account, aws):
    appliance, kms, iam = account
    number = number_of(appliance)
    alice, bob = new_user(iam, "alice"), new_user(iam, "bob")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
    own = service(appliance, "kms", alice)
    refused("AccessDeniedException", 400, own.decrypt, CiphertextBlob=blob)
    names = [f"arn:aws:iam::{number}:user/{name}" for name in ("alice", "bob")]
    grant = {"KeyId": key, "GranteePrincipal": names[0], "RetiringPrincipal": names[1], "Operations": ["Decrypt"]}
    made = kms.create_grant(**grant)
    assert own.decrypt(CiphertextBlob=blob)["Plaintext"] == b"text"
    assert own.decrypt(CiphertextBlob=blob, GrantTokens=[made["GrantToken"]])["Plaintext"] == b"text"
    listed = kms.list_retirable_grants(RetiringPrincipal=names[1])["Grants"]
    assert [one["GrantId"] for one in listed] == [made["GrantId"]]
    refused("AccessDeniedException", 400, own.retire_grant, GrantToken=made["GrantToken"])
    service(appliance, "kms", bob).retire_grant(GrantToken=made["GrantToken"])
    refused("AccessDeniedException", 400, own.decrypt, CiphertextBlob=blob, GrantTokens=[made["GrantToken"]])
    status, made = cli(
        aws,
        appliance,
        appliance.keys,
        "create-grant",
        "--key-id",
        key,
        "--grantee-principal",
        names[0],
        "--operations",
        "Decrypt",
        "Encrypt",
    )
    assert status == 0, made
    own.decrypt(CiphertextBlob=blob)
    kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
    refused("AccessDeniedException", 400, own.decrypt, CiphertextBlob=blob)
    assert kms.list_grants(KeyId=key)["Grants"] == []


def test_a_key_lives_and_outlives_a_kill(account):
    appliance, kms, _ = account
    made = kms.create_key(Description="d", Tags=[{"TagKey": "team", "TagValue": "a"}])["KeyMetadata"]
    key = made["KeyId"]
    assert made["KeyState"] == "Enabled" and made["KeyManager"] == "CUSTOMER" and made["Enabled"]
    kms.create_alias(AliasName="alias/lab", TargetKeyId=key)
    context = {"tenant": "a"}
    data = kms.generate_data_key(KeyId="alias/lab", KeySpec="AES_256", EncryptionContext=context)
    assert len(data["Plaintext"]) == 32 and data["KeyId"] == made["Arn"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    kms.rotate_key_on_demand(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 90
    assert [one["RotationType"] for one in kms.list_key_rotations(KeyId=key)["Rotations"]] == ["ON_DEMAND"]
    appliance.kill()
    appliance.start()
    kms = service(appliance, "kms")
    opened = kms.decrypt(CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == data["Plaintext"]
    refused("InvalidCiphertextException", 400, kms.decrypt, CiphertextBlob=data["CiphertextBlob"])
    moved = kms.re_encrypt(
        CiphertextBlob=data["CiphertextBlob"],
        SourceEncryptionContext=context,
        DestinationKeyId=key,
        DestinationEncryptionContext={"tenant": "b"},
    )
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"tenant": "b"})["Plaintext"] == data["Plaintext"]
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "team", "TagValue": "a"}]
    assert kms.list_aliases(KeyId=key)["Aliases"][0]["AliasName"] == "alias/lab"
    assert [one["KeyId"] for one in kms.list_keys()["Keys"]] == [key]
    kms.disable_key(KeyId=key)
    refused("DisabledException", 400, kms.decrypt, CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)
    kms.enable_key(KeyId=key)
    gone = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert gone["KeyState"] == "PendingDeletion"
    refused("KMSInvalidStateException", 400, kms.decrypt, CiphertextBlob=data["CiphertextBlob"], EncryptionContext=context)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_policies_of_keys_are_read_strictly_and_lock_nobody_out(account):
    appliance, kms, iam = account
    number = number_of(appliance)
    alice = new_user(iam, "alice", allow("kms:*"))
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    assert json.loads(kms.get_key_policy(KeyId=key)["Policy"])["Id"] == "key-default-1"
    assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]
    code = "MalformedPolicyDocumentException"
    for text, place in [
        ('{"Statement":[{}]}', "Statement[0]"),
        ('{"Statement":[],}', "line 1"),
        (policy(tells("Allow", f"arn:aws:iam::{number}:user/nobody")), "Statement[0].Principal"),
    ]:
        message = refused(code, 400, kms.put_key_policy, KeyId=key, Policy=text)
        assert place in message, message
    only = policy(tells("Allow", f"arn:aws:iam::{number}:user/alice"))
    refused(code, 400, kms.put_key_policy, KeyId=key, Policy=only)
    kms.put_key_policy(KeyId=key, Policy=only, BypassPolicyLockoutSafetyCheck=True)
    message = refused("AccessDeniedException", 400, kms.describe_key, KeyId=key)
    assert "because no resource-based policy allows the kms:DescribeKey action" in message
    service(appliance, "kms", alice).describe_key(KeyId=key)


def test_keys_sign_authenticate_and_agree(account):
    _, kms, _ = account
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    digest = hashlib.sha256(b"message").digest()
    sign = {"KeyId": key, "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(Message=digest, MessageType="DIGEST", **sign)["Signature"]
    assert kms.verify(Message=b"message", Signature=signature, **sign)["SignatureValid"]
    refused("KMSInvalidSignatureException", 400, kms.verify, Message=b"other", Signature=signature, **sign)
    assert kms.get_public_key(KeyId=key)["KeySpec"] == "ECC_NIST_P256"
    key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    mac = kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert kms.verify_mac(KeyId=key, Message=b"m", MacAlgorithm="HMAC_SHA_256", Mac=mac)["MacValid"]
    refused("InvalidKeyUsageException", 400, kms.encrypt, KeyId=key, Plaintext=b"x")
    refused("UnsupportedOperationException", 400, kms.create_key, KeySpec="ML_DSA_44", KeyUsage="SIGN_VERIFY")
    refused("UnsupportedOperationException", 400, kms.describe_custom_key_stores)
    assert len(kms.generate_random(NumberOfBytes=16)["Plaintext"]) == 16


def test_imported_material_goes_and_comes_again(account, tmp_path):
    _, kms, _ = account
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]
    assert key["KeyState"] == "PendingImport"
    key = key["KeyId"]
    given = kms.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public, material = tmp_path / "public.der", tmp_path / "material"
    public.write_bytes(given["PublicKey"])
    material.write_bytes(bytes(range(32)))
    wrapped = subprocess.run(
        ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public, "-in", material,
         "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256"],
        capture_output=True,
        check=True,
    ).stdout
    come = {
        "KeyId": key,
        "ImportToken": given["ImportToken"],
        "EncryptedKeyMaterial": wrapped,
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
    kms.import_key_material(**come)
    blob = kms.encrypt(KeyId=key, Plaintext=b"text")["CiphertextBlob"]
    kms.delete_imported_key_material(KeyId=key)
    refused("KMSInvalidStateException", 400, kms.decrypt, CiphertextBlob=blob)
    kms.import_key_material(**come)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"text"


def test_no_plaintext_of_a_key_is_in_any_file_or_log(account):
    appliance, kms, _ = account
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    seen = [kms.generate_data_key(KeyId=key, NumberOfBytes=64)["Plaintext"] for _ in range(3)]
    canary = b"canary-of-a-managed-key-" + base64.b64encode(os.urandom(24))
    kms.encrypt(KeyId=key, Plaintext=canary)
    appliance.kill()
    for file in appliance.directory.rglob("*"):
        if file.is_file():
            text = file.read_bytes()
            for secret in [*seen, canary]:
                assert secret not in text and base64.b64encode(secret) not in text, file


def test_the_table_of_keys_has_each_operation_of_the_sdks_model(account):
    appliance, _, _ = account
    kms = service(appliance, "kms", validates=False)
    for name in kms.meta.service_model.operation_names:
        # Called with nothing: most say what is missing, and none is unknown.
        try:
            getattr(kms, xform_name(name))()
        except ClientError as error:
            assert error.response["Error"]["Code"] != "UnknownOperationException", name
