"""What browsers do: CORS, upload forms, websites; with boto3 for the rest."""

import base64
import hashlib
import hmac
import json

import pytest
import requests
from conftest import client, new_bucket
from s3_errors import refused


def code_of(answer):
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def allow(s3, bucket, **rule):
    rules = [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example"], **rule}]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    return rules


def test_cors_rules_come_back_as_they_were_set(s3, bucket):
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)
    rules = allow(s3, bucket, AllowedHeaders=["*"], ExposeHeaders=["ETag"], MaxAgeSeconds=60, ID="one")
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    s3.delete_bucket_cors(Bucket=bucket)
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=bucket)


def test_a_browser_reads_a_presigned_object_across_origins(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    allow(s3, bucket, AllowedHeaders=["*"], ExposeHeaders=["ETag"])
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "o"}, ExpiresIn=60)
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    preflight = requests.options(url, headers=asked, timeout=30)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "https://a.example"
    answer = requests.get(url, headers={"Origin": "https://a.example"}, timeout=30)
    assert answer.content == b"x" and answer.headers["Access-Control-Expose-Headers"] == "ETag"
    assert "Origin" in answer.headers["Vary"]
    foreign = requests.get(url, headers={"Origin": "https://evil.test"}, timeout=30)
    assert foreign.status_code == 200 and "Access-Control-Allow-Origin" not in foreign.headers
    asked["Origin"] = "https://evil.test"
    assert code_of(requests.options(url, headers=asked, timeout=30)) == (403, "AccessForbidden")


def test_a_presigned_post_stores_what_its_policy_allows_and_nothing_else(s3, bucket):
    post = s3.generate_presigned_post(
        bucket,
        "up/${filename}",
        Fields={"Content-Type": "text/plain", "success_action_status": "201", "x-amz-meta-a": "b"},
        Conditions=[
            ["starts-with", "$Content-Type", "text/"],
            {"success_action_status": "201"},
            {"x-amz-meta-a": "b"},
            ["content-length-range", 1, 1 << 20],
        ],
        ExpiresIn=60,
    )
    body = b"by form " * 50_000
    stored = requests.post(post["url"], data=post["fields"], files={"file": ("a b.txt", body)}, timeout=30)
    assert stored.status_code == 201 and "<Key>up/a b.txt</Key>" in stored.text, stored.text
    found = s3.get_object(Bucket=bucket, Key="up/a b.txt")
    assert found["Body"].read() == body and found["Metadata"] == {"a": "b"}
    assert found["ContentType"] == "text/plain"
    for change, file, expected in [
        ({"key": "elsewhere"}, b"x", (403, "AccessDenied")),
        ({"x-amz-meta-more": "1"}, b"x", (403, "AccessDenied")),
        ({"x-amz-signature": "0" * 64}, b"x", (403, "SignatureDoesNotMatch")),
        ({}, b"", (400, "EntityTooSmall")),
        ({}, b"x" * ((1 << 20) + 1), (400, "EntityTooLarge")),
    ]:
        fields = {**post["fields"], **change}
        answer = requests.post(post["url"], data=fields, files={"file": ("n", file)}, timeout=30)
        assert code_of(answer) == expected, change
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["up/a b.txt"]


def test_the_access_log_names_the_key_that_signed_a_form(fresh):
    fresh.start()
    s3, access = client(fresh), fresh.keys[0]
    bucket = new_bucket(s3)
    post = s3.generate_presigned_post(bucket, "k", ExpiresIn=60)
    for change, status in [({}, 204), ({"key": "elsewhere"}, 403), ({"x-amz-signature": "0" * 64}, 403)]:
        fields = {**post["fields"], **change}
        answer = requests.post(post["url"], data=fields, files={"file": ("n", b"x")}, timeout=30)
        assert answer.status_code == status, answer.text
    fresh.stop()
    lines = [json.loads(line) for line in fresh.log.read_text().splitlines() if "PostObject" in line]
    said = [(line["status"], line["code"], line["access_key_id"]) for line in lines]
    # The last one's signature is nobody's.
    assert said == [(204, "", access), (403, "AccessDenied", access), (403, "SignatureDoesNotMatch", "-")]


def old_form(appliance, bucket):
    access, secret = appliance.keys
    conditions = [{"bucket": bucket}, ["starts-with", "$key", ""]]
    document = {"expiration": "2099-01-01T00:00:00Z", "conditions": conditions}
    policy = base64.b64encode(json.dumps(document).encode())
    signature = base64.b64encode(hmac.new(secret.encode(), policy, hashlib.sha1).digest())
    fields = {"key": "old", "AWSAccessKeyId": access, "policy": policy.decode(), "signature": signature.decode()}
    return requests.post(f"{appliance.endpoint}/{bucket}", data=fields, files={"file": b"x"}, timeout=30)


def test_the_old_signature_of_forms_is_refused_unless_it_is_switched_on(appliance, s3, bucket, fresh, tmp_path):
    assert code_of(old_form(appliance, bucket)) == (400, "InvalidRequest")
    configuration = tmp_path / "firn.toml"
    configuration.write_text("[http]\nlegacy-form-signatures = true\n")
    fresh.start("--config", str(configuration))
    theirs = client(fresh)
    name = new_bucket(theirs)
    assert old_form(fresh, name).status_code == 204
    assert theirs.get_object(Bucket=name, Key="old")["Body"].read() == b"x"
    # For forms, and nothing else.
    old = client(fresh, signature_version="s3")
    url = old.generate_presigned_url("get_object", {"Bucket": name, "Key": "old"}, ExpiresIn=60)
    assert requests.get(url, timeout=30).status_code in (400, 403)


def visit(appliance, bucket, path, method="GET"):
    port = appliance.endpoint.rpartition(":")[2]
    headers = {"Host": f"{bucket}.s3-website.localhost:{port}"}
    return requests.request(method, appliance.endpoint + path, headers=headers, allow_redirects=False, timeout=30)


def test_a_website_redirects_by_its_rules_and_shows_errors_as_pages(appliance, s3, bucket):
    assert visit(appliance, bucket, "/").status_code == 404
    website = {
        "IndexDocument": {"Suffix": "index.html"},
        "RoutingRules": [
            {
                "Condition": {"KeyPrefixEquals": "docs/"},
                "Redirect": {"ReplaceKeyPrefixWith": "documents/", "HttpRedirectCode": "302"},
            }
        ],
    }
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)
    shown = s3.get_bucket_website(Bucket=bucket)
    assert {name: shown[name] for name in website} == website
    moved = visit(appliance, bucket, "/docs/a")
    assert moved.status_code == 302 and moved.headers["Location"].endswith("/documents/a")
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"not for everybody")
    denied = visit(appliance, bucket, "/")
    assert denied.status_code == 403 and denied.headers["Content-Type"].startswith("text/html")
    assert "<li>Code: AccessDenied</li>" in denied.text
    assert visit(appliance, bucket, "/", "DELETE").status_code == 405
    s3.delete_bucket_website(Bucket=bucket)
    with refused("NoSuchWebsiteConfiguration", 404):
        s3.get_bucket_website(Bucket=bucket)


def test_a_website_serves_what_is_public(appliance, s3):
    bucket = "a-public-website"
    s3.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter")
    for key, body in [("index.html", b"home"), ("dir/index.html", b"dir"), ("error.html", b"our error")]:
        s3.put_object(Bucket=bucket, Key=key, Body=body, ACL="public-read", ContentType="text/html")
    s3.put_object(Bucket=bucket, Key="old", ACL="public-read", WebsiteRedirectLocation="https://a.example/")
    website = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)
    for path, status, body in [("/", 200, b"home"), ("/dir/", 200, b"dir"), ("/dir", 302, b""), ("/old", 301, b"")]:
        shown = visit(appliance, bucket, path)
        assert (shown.status_code, shown.content) == (status, body), path
    assert visit(appliance, bucket, "/old").headers["Location"] == "https://a.example/"
    missing = visit(appliance, bucket, "/missing")
    assert (missing.status_code, missing.content) == (403, b"our error")


def test_encryption_and_request_payment_say_what_was_set(s3, bucket):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
    rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] = "aws:kms:dsse"
    with refused("NotImplemented", 501):
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"


MD5 = base64.b64encode(hashlib.md5(b"by link").digest()).decode()


@pytest.mark.parametrize(
    ("operation", "arguments", "method", "body", "headers", "status"),
    [
        ("list_buckets", {}, "GET", None, {}, 200),
        ("head_bucket", {"Bucket": "B"}, "HEAD", None, {}, 200),
        ("list_objects_v2", {"Bucket": "B", "Prefix": "o"}, "GET", None, {}, 200),
        ("list_object_versions", {"Bucket": "B"}, "GET", None, {}, 200),
        ("list_multipart_uploads", {"Bucket": "B"}, "GET", None, {}, 200),
        ("get_bucket_location", {"Bucket": "B"}, "GET", None, {}, 200),
        ("get_bucket_cors", {"Bucket": "B"}, "GET", None, {}, 404),
        ("delete_bucket_cors", {"Bucket": "B"}, "DELETE", None, {}, 204),
        ("get_object", {"Bucket": "B", "Key": "o", "Range": "bytes=0-1"}, "GET", None, {"Range": "bytes=0-1"}, 206),
        ("get_object", {"Bucket": "B", "Key": "o", "ResponseContentType": "text/x"}, "GET", None, {}, 200),
        ("head_object", {"Bucket": "B", "Key": "o"}, "HEAD", None, {}, 200),
        ("put_object", {"Bucket": "B", "Key": "n", "ContentMD5": MD5}, "PUT", b"by link", {"Content-MD5": MD5}, 200),
        ("put_object", {"Bucket": "B", "Key": "n", "ContentMD5": MD5}, "PUT", b"another", {"Content-MD5": MD5}, 400),
        ("put_object", {"Bucket": "B", "Key": "n", "Metadata": {"a": "b"}}, "PUT", b"x", {"x-amz-meta-a": "b"}, 200),
        ("put_object", {"Bucket": "B", "Key": "n", "Metadata": {"a": "b"}}, "PUT", b"x", {"x-amz-meta-a": "c"}, 403),
        ("copy_object", {"Bucket": "B", "Key": "c", "CopySource": "B/o"}, "PUT", None, {"x-amz-copy-source": "B/o"}, 200),
        ("create_multipart_upload", {"Bucket": "B", "Key": "m"}, "POST", None, {}, 200),
        ("delete_object", {"Bucket": "B", "Key": "o"}, "DELETE", None, {}, 204),
    ],
)
def test_every_kind_of_request_can_be_presigned(s3, bucket, operation, arguments, method, body, headers, status):
    s3.put_object(Bucket=bucket, Key="o", Body=b"object")
    named = {name: value.replace("B", bucket, 1) if name in ("Bucket", "CopySource") else value for name, value in arguments.items()}
    headers = {name: value.replace("B/o", f"{bucket}/o") for name, value in headers.items()}
    url = s3.generate_presigned_url(operation, named, ExpiresIn=60, HttpMethod=method)
    answer = requests.request(method, url, data=body, headers=headers, timeout=30)
    assert answer.status_code == status, answer.text


def test_a_multipart_upload_goes_by_presigned_urls_alone(s3, bucket):
    def presigned(operation, method, **arguments):
        named = {"Bucket": bucket, "Key": "parts", **arguments}
        return s3.generate_presigned_url(operation, named, ExpiresIn=60, HttpMethod=method)

    created = requests.post(presigned("create_multipart_upload", "POST"), timeout=30).text
    upload = created.partition("<UploadId>")[2].partition("</UploadId>")[0]
    parts = [b"a" * (5 << 20), b"end"]
    document = "<CompleteMultipartUpload>"
    for number, part in enumerate(parts, 1):
        url = presigned("upload_part", "PUT", UploadId=upload, PartNumber=number)
        tag = requests.put(url, data=part, timeout=30).headers["ETag"]
        document += f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
    url = presigned("complete_multipart_upload", "POST", UploadId=upload)
    assert requests.post(url, data=document + "</CompleteMultipartUpload>", timeout=30).status_code == 200
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == b"".join(parts)
