"""Event notifications as boto3 sets them, taken by a receiver that checks each signature by the Standard Webhooks scheme."""

import base64
import hashlib
import hmac
import http.server
import json
import queue
import threading
import time

import pytest
from conftest import client
from s3_errors import refused

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes events while it is told to, and answers 503 else."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        up = self.server.up.is_set()
        if up:
            self.server.got.put((dict(self.headers), body))
        else:
            self.server.refused.set()
        self.send_response(204 if up else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def verified(headers, body) -> dict:
    """What a receiver's library does: the signature, and that the message is of now."""
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    assert headers["content-type"] == "application/json"
    return json.loads(body)


@pytest.fixture
def receiver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    server.got, server.up, server.refused = queue.Queue(), threading.Event(), threading.Event()
    server.up.set()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()


def start(fresh, receiver):
    """The appliance with a topic at the receiver, its client, and the topic's ARN."""
    config = fresh.directory.with_name("firn.toml")
    config.write_text(
        f'[[topic]]\nname = "told"\nurl = "http://127.0.0.1:{receiver.server_port}/"\n'
        f'secret = "{SECRET}"\nallow-private = true\n'
    )
    fresh.start("--config", str(config))
    status = json.loads(fresh.firn("status", "--json").stdout)
    return client(fresh), status["events"]["topics"][0]["arn"]


def told(receiver) -> dict:
    return verified(*receiver.got.get(timeout=60))


def test_boto3_sets_a_topic_and_its_receiver_is_told(fresh, receiver):
    s3, arn = start(fresh, receiver)
    s3.create_bucket(Bucket="photos")
    assert "TopicConfigurations" not in s3.get_bucket_notification_configuration(Bucket="photos")
    rules = [{"Name": "Prefix", "Value": "in/"}, {"Name": "Suffix", "Value": ".jpg"}]
    wanted = {
        "Id": "new photos",
        "TopicArn": arn,
        "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        "Filter": {"Key": {"FilterRules": rules}},
    }
    s3.put_bucket_notification_configuration(
        Bucket="photos", NotificationConfiguration={"TopicConfigurations": [wanted]}
    )
    assert s3.get_bucket_notification_configuration(Bucket="photos")["TopicConfigurations"] == [wanted]
    test = told(receiver)
    assert (test["Event"], test["Bucket"], test["Service"]) == ("s3:TestEvent", "photos", "Amazon S3")
    answer = s3.put_object(Bucket="photos", Key="in/red flower.jpg", Body=b"x")
    s3.put_object(Bucket="photos", Key="out/other.jpg", Body=b"x")
    s3.delete_object(Bucket="photos", Key="in/red flower.jpg")
    [put], [delete] = told(receiver)["Records"], told(receiver)["Records"]
    assert (put["eventName"], delete["eventName"]) == ("ObjectCreated:Put", "ObjectRemoved:Delete")
    assert put["responseElements"]["x-amz-request-id"] == answer["ResponseMetadata"]["RequestId"]
    assert put["s3"]["configurationId"] == "new photos"
    assert (put["s3"]["object"]["key"], put["s3"]["object"]["size"]) == ("in/red+flower.jpg", 1)
    assert put["s3"]["object"]["eTag"] == answer["ETag"].strip('"')
    assert put["s3"]["object"]["sequencer"] < delete["s3"]["object"]["sequencer"]
    s3.put_bucket_notification_configuration(Bucket="photos", NotificationConfiguration={})
    s3.put_object(Bucket="photos", Key="in/b.jpg", Body=b"x")
    assert receiver.got.empty()


def test_destinations_that_are_no_topics_are_refused(fresh, receiver):
    s3, arn = start(fresh, receiver)
    s3.create_bucket(Bucket="photos")
    events = ["s3:ObjectCreated:*"]
    queue_arn = arn.replace(":sns:", ":sqs:")
    for configuration in (
        {"QueueConfigurations": [{"QueueArn": queue_arn, "Events": events}]},
        {"LambdaFunctionConfigurations": [{"LambdaFunctionArn": queue_arn, "Events": events}]},
        {"TopicConfigurations": [{"TopicArn": arn + "-not", "Events": events}]},
        {"TopicConfigurations": [{"TopicArn": arn, "Events": events}] * 2},
    ):
        with refused("InvalidArgument", 400):
            s3.put_bucket_notification_configuration(
                Bucket="photos", NotificationConfiguration=configuration
            )
    assert receiver.got.empty()


def test_a_receiver_that_was_down_gets_all_of_it_in_order(fresh, receiver):
    s3, arn = start(fresh, receiver)
    s3.create_bucket(Bucket="photos")
    wanted = {"TopicArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="photos", NotificationConfiguration={"TopicConfigurations": [wanted]}
    )
    told(receiver)
    receiver.up.clear()
    for _ in range(3):
        s3.put_object(Bucket="photos", Key="k", Body=b"x")
        s3.delete_object(Bucket="photos", Key="k")
    assert receiver.refused.wait(60)
    # The outage outlives the process.
    assert fresh.stop() == 0
    s3, _ = start(fresh, receiver)
    receiver.up.set()
    records = [told(receiver)["Records"][0] for _ in range(6)]
    assert [record["eventName"] for record in records] == ["ObjectCreated:Put", "ObjectRemoved:Delete"] * 3
    sequencers = [record["s3"]["object"]["sequencer"] for record in records]
    assert sequencers == sorted(set(sequencers))
