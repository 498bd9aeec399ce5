"""AssumeRoleWithWebIdentity with boto3 and aws-cli, unmodified, against an OpenID Connect server of a package, over TLS on loopback."""

import contextlib
import json
import ssl
import subprocess
import threading
import urllib.parse

import boto3
import botocore.config
import httpx
import oidc_provider_mock
import pytest
import werkzeug.serving
from botocore import UNSIGNED
from identities import allow, policy, refused, service, session

# What the server says of the library that it stands on.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CLIENT, RETURN_TO = "trainer", "https://app.example/back"


@contextlib.contextmanager
def listening(certificate=None):
    """An OIDC server on a free port: whoever is asked for may sign in, for any client."""
    app = oidc_provider_mock.app(require_client_registration=False)
    server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A CA of the test's own, and what it made for localhost."""
    place = tmp_path_factory.mktemp("ca")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test CA",
            "-keyout", "ca.key", "-out", "ca.pem", cwd=place)  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "csr", cwd=place)
    (place / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "cert.pem", cwd=place)  # fmt: skip
    return place / "ca.pem", (str(place / "cert.pem"), str(place / "key.pem"))


def token_of(issuer, ca, subject, client=CLIENT):
    """An ID token, as somebody gets it who signs in for an application: by the code flow."""
    verify = ssl.create_default_context(cafile=ca) if ca else False
    with httpx.Client(verify=verify) as http:
        found = http.get(f"{issuer}/.well-known/openid-configuration").json()
        asked = {"client_id": client, "redirect_uri": RETURN_TO, "response_type": "code", "scope": "openid email"}
        answer = http.post(found["authorization_endpoint"], params=asked, data={"sub": subject})
        [code] = urllib.parse.parse_qs(urllib.parse.urlparse(answer.headers["location"]).query)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": RETURN_TO}
        answer = http.post(found["token_endpoint"], data=form, auth=(client, "any"))
        return answer.json()["id_token"]


def trust(provider, **conditions):
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    name = provider.split("oidc-provider/")[1]
    return policy({**statement, "Condition": {"StringEquals": {f"{name}:{claim}": is_ for claim, is_ in conditions.items()}}})


@pytest.fixture
def world(fresh, certificate, tmp_path):
    """An appliance that believes the test's CA, and an OIDC server with a certificate of it, which the account has a provider of."""
    ca, pair = certificate
    with listening(pair) as issuer:
        config = tmp_path / "firn.toml"
        config.write_text(f'[oidc]\nallow-private = true\nca-file = "{ca}"\n')
        fresh.start("--config", str(config))
        yield fresh, issuer, ca


def reader(appliance, issuer, client=CLIENT, **conditions):
    """A provider, and a role that trusts it; their ARNs."""
    iam, s3 = service(appliance, "iam"), service(appliance, "s3")
    s3.create_bucket(Bucket="home")
    for who in ["alice", "bob"]:
        s3.put_object(Bucket="home", Key=f"{who}/notes", Body=who.encode())
    provider = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[client])["OpenIDConnectProviderArn"]
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust(provider, **conditions))["Role"]["Arn"]
    name = provider.split("oidc-provider/")[1]
    own = allow("s3:GetObject", f"arn:aws:s3:::home/${{{name}:sub}}/*")
    iam.put_role_policy(RoleName="reader", PolicyName="own", PolicyDocument=policy(own))
    return provider, role


def nobody(appliance):
    """STS for who has no key."""
    config = botocore.config.Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client("sts", endpoint_url=appliance.endpoint, region_name="us-east-1", config=config)


def test_a_token_of_an_oidc_server_opens_what_its_role_opens(world):
    appliance, issuer, ca = world
    provider, role = reader(appliance, issuer, aud=CLIENT)
    sts = nobody(appliance)
    asked = {"RoleArn": role, "RoleSessionName": "job", "WebIdentityToken": token_of(issuer, ca, "alice")}
    made = sts.assume_role_with_web_identity(**asked, DurationSeconds=900)
    assert (made["SubjectFromWebIdentityToken"], made["Provider"], made["Audience"]) == ("alice", issuer, CLIENT)
    assert made["AssumedRoleUser"]["Arn"].endswith(":assumed-role/reader/job")
    s3 = session(appliance, "s3", made["Credentials"])
    assert s3.get_object(Bucket="home", Key="alice/notes")["Body"].read() == b"alice"
    refused("AccessDenied", 403, s3.get_object, Bucket="home", Key="bob/notes")
    # What is no such token opens nothing.
    head, claims, signature = asked["WebIdentityToken"].split(".")
    bobs = token_of(issuer, ca, "bob").split(".")
    for token in [f"{head}.{bobs[1]}.{signature}", f"{head}.{claims}.{bobs[2]}", f"{head}.{claims}.", "a.b.c"]:
        refused("InvalidIdentityToken", 400, sts.assume_role_with_web_identity, **{**asked, "WebIdentityToken": token})
    another = token_of(issuer, ca, "alice", client="another")
    refused("InvalidIdentityToken", 400, sts.assume_role_with_web_identity, **{**asked, "WebIdentityToken": another})
    iam = service(appliance, "iam")
    iam.update_assume_role_policy(RoleName="reader", PolicyDocument=trust(provider, sub="bob"))
    refused("AccessDenied", 403, sts.assume_role_with_web_identity, **asked)
    asked["WebIdentityToken"] = ".".join(bobs)
    sts.assume_role_with_web_identity(**asked)
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    refused("InvalidIdentityToken", 400, sts.assume_role_with_web_identity, **asked)
    # The trail has who it was, and nobody's token.
    events = service(appliance, "cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "AssumeRoleWithWebIdentity"}]
    )["Events"]
    records = [json.loads(event["CloudTrailEvent"]) for event in events]
    assert {"alice", "bob"} <= {record["userIdentity"].get("userName") for record in records}
    for part in [claims, signature, bobs[1]]:
        assert part not in json.dumps(records) and part not in appliance.log.read_text()


def test_clients_get_their_sessions_by_a_file_with_a_token_and_no_key(world, aws, tmp_path):
    appliance, issuer, ca = world
    _, role = reader(appliance, issuer, aud=CLIENT, sub="alice")
    file = tmp_path / "token"
    file.write_text(token_of(issuer, ca, "alice"))
    secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    environment = {name: value for name, value in appliance.environment().items() if name not in secrets}
    environment.update(AWS_ROLE_ARN=role, AWS_WEB_IDENTITY_TOKEN_FILE=str(file), AWS_ROLE_SESSION_NAME="pod")
    run = ["sts", "get-caller-identity", "--query", "Arn", "--output", "text"], ["s3", "cp", "s3://home/alice/notes", "-"]
    said = [
        subprocess.run([aws, *command], env=environment, check=True, capture_output=True, timeout=120).stdout
        for command in run
    ]
    assert said[0].decode().strip().endswith(":assumed-role/reader/pod") and said[1] == b"alice"
    refused_one = [aws, "s3", "cp", "s3://home/bob/notes", "-"]
    denied = subprocess.run(refused_one, env=environment, capture_output=True, timeout=120)
    assert denied.returncode != 0 and b"403" in denied.stderr


def test_issuers_are_asked_over_tls_and_where_it_is_allowed_alone(fresh, certificate, tmp_path):
    ca, pair = certificate
    with listening(pair) as secured, listening() as plain:
        fresh.start()
        _, role = reader(fresh, secured, aud=CLIENT)
        iam, sts = service(fresh, "iam"), nobody(fresh)
        asked = {"RoleArn": role, "RoleSessionName": "job"}
        of_secured = token_of(secured, ca, "alice")
        message = refused("IDPCommunicationError", 400, sts.assume_role_with_web_identity, **asked, WebIdentityToken=of_secured)
        assert "127.0.0.1" not in message and "localhost" not in message
        assert "allow-private" in fresh.log.read_text()
        refused("InvalidInput", 400, iam.create_open_id_connect_provider, Url=plain)
        # Without a CA that it believes there is no issuer either; an origin that is named needs none.
        fresh.stop()
        config = tmp_path / "firn.toml"
        config.write_text(f'[oidc]\nallow-private = true\nplain-http = ["{plain}"]\n')
        fresh.start("--config", str(config))
        iam, sts = service(fresh, "iam"), nobody(fresh)
        refused("IDPCommunicationError", 400, sts.assume_role_with_web_identity, **asked, WebIdentityToken=of_secured)
        provider = iam.create_open_id_connect_provider(Url=plain, ClientIDList=[CLIENT])["OpenIDConnectProviderArn"]
        iam.update_assume_role_policy(RoleName="reader", PolicyDocument=trust(provider, sub="alice"))
        sts.assume_role_with_web_identity(**asked, WebIdentityToken=token_of(plain, None, "alice"))


def test_providers_are_what_iam_shows_and_saml_is_refused(appliance):
    iam = service(appliance, "iam")
    made = iam.create_open_id_connect_provider(
        Url="https://login.example/realms/e2e",
        ClientIDList=["a", "b"],
        ThumbprintList=["0123456789abcdef0123456789abcdef01234567"],
        Tags=[{"Key": "team", "Value": "ml"}],
    )
    arn = made["OpenIDConnectProviderArn"]
    named = {"OpenIDConnectProviderArn": arn}
    try:
        assert arn.endswith(":oidc-provider/login.example/realms/e2e")
        iam.add_client_id_to_open_id_connect_provider(**named, ClientID="c")
        iam.remove_client_id_from_open_id_connect_provider(**named, ClientID="a")
        iam.update_open_id_connect_provider_thumbprint(**named, ThumbprintList=["f" * 40])
        iam.tag_open_id_connect_provider(**named, Tags=[{"Key": "cost", "Value": "7"}])
        iam.untag_open_id_connect_provider(**named, TagKeys=["team"])
        found = iam.get_open_id_connect_provider(**named)
        assert found["Url"] == "login.example/realms/e2e" and found["CreateDate"]
        assert (found["ClientIDList"], found["ThumbprintList"]) == (["b", "c"], ["f" * 40])
        assert found["Tags"] == iam.list_open_id_connect_provider_tags(**named)["Tags"] == [{"Key": "cost", "Value": "7"}]
        assert {"Arn": arn} in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        refused("EntityAlreadyExists", 409, iam.create_open_id_connect_provider, Url="https://login.example/realms/e2e")
    finally:
        iam.delete_open_id_connect_provider(**named)
    refused("NoSuchEntity", 404, iam.get_open_id_connect_provider, **named)
    said = refused(
        "NotImplemented",
        501,
        nobody(appliance).assume_role_with_saml,
        RoleArn="arn:aws:iam::111122223333:role/r",
        PrincipalArn="arn:aws:iam::111122223333:saml-provider/p",
        SAMLAssertion="AAAA",
    )
    assert "AssumeRoleWithWebIdentity" in said
    refused("NotImplemented", 501, iam.create_saml_provider, Name="p", SAMLMetadataDocument="x" * 1000)
