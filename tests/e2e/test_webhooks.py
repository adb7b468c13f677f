"""Webhooks, from the command line to a receiver behind TLS; two processes serve, one delivers."""

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Server
from tests.waiting import eventually
from tests.webhook_receiver import Authority, Receiver, receiving, status


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def running(authority) -> Iterator[tuple[Server, Receiver]]:
    folder = Path(tempfile.mkdtemp(prefix="ci-"))
    with receiving(authority) as receiver:
        settings = {
            "CI_EXECUTOR": "local",
            "CI_PUBLIC_URL": "https://ci.example",
            "CI_LET_ANYONE_RUN_CODE": "true",  # the only way to have that name without accounts
            "CI_WEBHOOK_ALLOW": "127.0.0.1",
            "CI_WEBHOOK_PORTS": str(receiver.port),
            "CI_WEBHOOK_RETRIES": "0.05,0.05,0.05",
            "SSL_CERT_FILE": str(authority.ca),
        }
        server = Server(folder, f"t{uuid.uuid4().hex[:8]}-", settings, workers=2)
        try:
            yield server.start(), receiver
        finally:
            server.stop()
            print(server.log.read_text()[-5_000:])
            shutil.rmtree(folder)


@pytest.fixture
def server(running) -> Server:
    """The server, without webhooks."""
    made, _ = running
    for webhook in lines(made.ci("webhooks", "ls", "--json")):
        assert made.ci("webhooks", "rm", webhook["id"]).returncode == 0
    return made


@pytest.fixture
def receiver(running, server) -> Receiver:
    """The receiver, as if nothing had come yet."""
    _, made = running
    made.messages.clear()
    made.replies = [status(204)]
    return made


def lines(done) -> list[dict]:
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def add(server: Server, receiver: Receiver, *options: str) -> dict:
    (webhook,) = lines(server.ci("webhooks", "add", receiver.url, "--json", *options))
    return webhook


def deliveries(server: Server, webhook: dict) -> list[dict]:
    return lines(server.ci("webhooks", "deliveries", webhook["id"], "--json"))


def settled(server: Server, webhook: dict, state: str) -> dict:
    """Wait until the only delivery has come to ``state``; return it."""
    path = f"/api/v1/webhooks/{webhook['id']}/deliveries?state={state}"
    (found,) = eventually(lambda: server.get(path).json(), what=f"a delivery is {state}")
    return found


def test_the_end_of_a_job_is_told_signed_and_once(server, receiver, project):
    added = server.ci("webhooks", "add", receiver.url, "--description", "chat")
    secret = added.stdout.decode().strip()
    assert added.returncode == 0, added.stderr.decode()
    job_id = server.submit(project("echo hello; exit 3"))
    (message,) = receiver.wait_for(1)
    content = message.verified_with(secret)
    assert (content["type"], content["version"]) == ("job.ended", 1)
    job = content["data"]["job"]
    shown = server.job(job_id)
    same = ("job_id", "status", "success", "start_time", "end_time", "created_at", "command")
    assert {name: job[name] for name in same} == {name: shown[name] for name in same}
    assert (job["reason"], job["exit_code"]) == ("failed", 3)
    assert content["timestamp"] == job["end_time"]
    assert content["data"]["links"]["job"] == f"https://ci.example/api/v1/jobs/{job_id}"
    (webhook,) = lines(server.ci("webhooks", "ls", "--json"))
    assert settled(server, webhook, "delivered")["id"] == message.id
    shown = server.ci("webhooks", "deliveries", webhook["id"]).stdout.decode().splitlines()
    assert shown[0].split()[:4] == ["DELIVERY", "STATE", "TYPE", "JOB"]
    assert shown[1].split()[:4] == [message.id, "delivered", "job.ended", job_id[:8]]
    assert "chat" in server.ci("webhooks", "ls").stdout.decode()
    assert len(receiver.messages) == 1


def test_only_what_is_wanted_is_told(server, receiver, project):
    add(server, receiver, "--reason", "failed", "--type", "job.ended", "--type", "job.running")
    passing, failing = project("exit 0"), project("exit 1")
    for each in (passing, failing):
        server.until(server.submit(each), "completed")
    told = [
        (message.content["type"], message.content["data"]["job"]["status"])
        for message in receiver.wait_for(3)
    ]
    running, ended = ("job.running", "running"), ("job.ended", "completed")
    assert sorted(told) == [ended, running, running]


def test_it_is_tried_until_it_is_taken(server, receiver, project):
    webhook = add(server, receiver)
    receiver.replies = [status(500), status(503), status(204)]
    server.submit(project("true"))
    messages = receiver.wait_for(3)
    assert len({(message.id, message.body) for message in messages}) == 1
    for message in messages:
        message.verified_with(webhook["secret"])
    assert settled(server, webhook, "delivered")["attempts"] == 3


def test_what_nobody_takes_is_on_a_list_and_can_be_sent_again(server, receiver, project):
    webhook = add(server, receiver)
    receiver.replies = [status(500, b"out of order")]
    server.submit(project("true"))
    dead = settled(server, webhook, "dead")
    assert (dead["attempts"], dead["last_response"]) == (4, "out of order")
    shown = server.ci("webhooks", "dead")
    assert dead["id"] in shown.stdout.decode()
    assert f"ci webhooks redeliver {dead['id']}" in shown.stderr.decode()
    refused = server.ci("webhooks", "redeliver", dead["id"])
    assert refused.returncode == 3
    assert "500 Internal Server Error" in refused.stderr.decode()
    settled(server, webhook, "dead")
    receiver.replies = [status(200)]
    again = server.ci("webhooks", "redeliver", dead["id"])
    assert again.returncode == 0, again.stderr.decode()
    assert {message.id for message in receiver.messages} == {dead["id"]}
    assert lines(server.ci("webhooks", "dead", "--json")) == []


def test_a_ping_and_a_new_secret(server, receiver):
    webhook = add(server, receiver)
    assert server.ci("webhooks", "test", webhook["id"]).returncode == 0
    rotated = server.ci("webhooks", "rotate", webhook["id"], "--overlap", "1h")
    new = rotated.stdout.decode().strip()
    assert server.ci("webhooks", "test", webhook["id"]).returncode == 0
    first, second = receiver.messages
    assert first.verified_with(webhook["secret"])["type"] == "ping"
    assert second.verified_with(webhook["secret"]) == second.verified_with(new)
    server.ci("webhooks", "rotate", webhook["id"], "--overlap", "0")
    server.ci("webhooks", "test", webhook["id"])
    assert len(receiver.messages[-1].headers["webhook-signature"].split()) == 1


def test_one_that_is_gone_is_disabled_and_said_so(server, receiver, project):
    webhook = add(server, receiver)
    receiver.replies = [status(410)]
    refused = server.ci("webhooks", "test", webhook["id"])
    assert (refused.returncode, b"410 Gone" in refused.stderr) == (3, True)
    shown = server.ci("webhooks", "ls")
    assert "disabled" in shown.stdout.decode()
    assert "410 Gone" in shown.stderr.decode()
    assert server.ci("webhooks", "test", webhook["id"]).returncode == 2
    receiver.replies = [status(204)]
    assert server.ci("webhooks", "enable", webhook["id"]).returncode == 0
    assert server.ci("webhooks", "test", webhook["id"]).returncode == 0
    assert server.ci("webhooks", "disable", webhook["id"]).returncode == 0
    assert server.ci("webhooks", "test", webhook["id"]).returncode == 2


@pytest.mark.parametrize(
    "url", ["https://169.254.169.254/latest", "http://127.0.0.1/", "https://[::1]/", "nonsense"]
)
def test_an_address_of_our_own_network_is_refused(server, url):
    refused = server.ci("webhooks", "add", url)
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert b"url: " in refused.stderr


def test_what_is_not_there(server):
    for command in ("rm", "test", "rotate", "deliveries", "enable", "disable"):
        missing = server.ci("webhooks", command, "wh_nothing")
        assert (missing.returncode, b"ci webhooks ls" in missing.stderr) == (2, True)
    assert server.ci("webhooks", "redeliver", "msg_nothing").returncode == 2
