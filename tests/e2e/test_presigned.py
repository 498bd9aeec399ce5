"""Presigned URLs: good for what was signed, for as long as was said."""

import requests
from conftest import client


def code_of(answer):
    return answer.status_code, answer.text.partition("<Code>")[2].partition("</Code>")[0]


def test_a_presigned_get_and_put_need_no_keys(s3, bucket):
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "a b/ü"}, ExpiresIn=60)
    assert requests.put(put, data=b"by link", timeout=30).status_code == 200
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a b/ü"}, ExpiresIn=60)
    assert requests.get(get, timeout=30).content == b"by link"


def test_a_presigned_url_is_good_for_nothing_else(s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "o"}, ExpiresIn=60)
    assert code_of(requests.delete(get, timeout=30)) == (403, "SignatureDoesNotMatch")
    assert code_of(requests.get(get.replace("/o?", "/other?"), timeout=30)) == (403, "SignatureDoesNotMatch")
    assert code_of(requests.get(get + "&response-content-type=text/html", timeout=30))[0] == 403


def test_a_presigned_url_lives_seven_days_at_most(s3, bucket):
    get = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "o"}, ExpiresIn=604_801)
    status, code = code_of(requests.get(get, timeout=30))
    assert (status, code) == (403, "AuthorizationQueryParametersError")


def test_without_a_signature_nothing_is_shown(appliance, s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    for path in ("", f"/{bucket}", f"/{bucket}/o"):
        assert code_of(requests.get(appliance.endpoint + path, timeout=30)) == (403, "AccessDenied")


def test_virtual_host_style_reaches_the_same_object(appliance, s3, bucket):
    s3.put_object(Bucket=bucket, Key="o", Body=b"x")
    port = appliance.endpoint.rpartition(":")[2]
    url = client(appliance).generate_presigned_url("get_object", {"Bucket": bucket, "Key": "o"}, ExpiresIn=60)
    assert requests.get(url, timeout=30).content == b"x"
    # Signed for the host that names the bucket; sent to the same address.
    hosted = client(appliance, s3={"addressing_style": "virtual"})
    hosted.meta.events.register("before-sign.s3", lambda request, **_: set_host(request, bucket, port))
    assert hosted.get_object(Bucket=bucket, Key="o")["Body"].read() == b"x"


def set_host(request, bucket, port):
    """botocore leaves an IP address alone; firn's own base domain takes the bucket in front."""
    request.url = request.url.replace(f"/{bucket}/", "/", 1)
    request.headers["Host"] = f"{bucket}.localhost:{port}"
