"""One message to a real HTTPS receiver, whose certificate comes from an authority of our own."""

import itertools
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ci_common.clock import SystemClock
from ci_common.webhooks import Delivery, DestinationRules, Webhook, new_secret
from ci_controller.webhooks import sending
from ci_controller.webhooks.posting import LONGEST_RESPONSE
from ci_controller.webhooks.sending import Sender, SendSettings
from tests.webhook_receiver import NAME, Authority, Receiver, receiving, status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = new_secret()


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def receiver(authority) -> Iterator[Receiver]:
    with receiving(authority) as running:
        yield running


def delivery(body: str = '{"type":"ping"}') -> Delivery:
    return Delivery(id="msg_1", seq=1, webhook_id="wh_1", type="ping", body=body, created_at=NOW)


def webhook(url: str, **fields) -> Webhook:
    return Webhook(id="wh_1", url=url, secret=SECRET, created_at=NOW, **fields)


class Names:
    """A name server that gives each answer once, and the last for ever; counts the questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return next(self.answers)


@pytest.fixture
def sender(authority, receiver):
    def make(*allow: str, names=None, timeout: float = 30.0, **rules) -> Sender:
        rules = DestinationRules(ports=(receiver.port,), allow=allow, **rules)
        chosen = {} if names is None else {"resolve": names}
        settings = SendSettings(rules=rules, timeout=timeout)
        return Sender(settings, SystemClock(), make_tls=authority.trust, **chosen)

    return make


async def test_a_message_arrives_signed(sender, receiver):
    attempt = await sender("127.0.0.0/8").send(delivery(), webhook(receiver.url))
    assert (attempt.status, attempt.error) == (204, None)
    (message,) = receiver.messages
    assert message.path == "/hook?a=1"
    assert message.id == "msg_1"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert message.headers["user-agent"].startswith("standby-ci/")
    assert message.verified_with(SECRET) == {"type": "ping"}


async def test_both_secrets_sign_while_they_overlap(sender, receiver):
    old, until = new_secret(), SystemClock().now().wall + timedelta(hours=1)
    hook = webhook(receiver.url, old_secret=old, old_secret_until=until)
    await sender("127.0.0.1").send(delivery("{}"), hook)
    (message,) = receiver.messages
    assert message.verified_with(SECRET) == message.verified_with(old) == {}


async def test_the_certificate_is_held_against_the_name_though_the_address_is_dialled(
    sender, receiver
):
    url = f"https://{NAME}:{receiver.port}/x"
    names = Names(["127.0.0.1"])
    attempt = await sender("127.0.0.1", names=names).send(delivery(), webhook(url))
    assert attempt.error is None
    assert receiver.names == [NAME]
    assert receiver.messages[0].headers["host"] == f"{NAME}:{receiver.port}"
    other = f"https://other.example:{receiver.port}/x"
    attempt = await sender("127.0.0.1", names=names).send(delivery(), webhook(other))
    assert "certificate is not valid" in attempt.error
    assert len(receiver.messages) == 1


async def test_a_certificate_nobody_vouches_for_is_refused(receiver):
    rules = DestinationRules(ports=(receiver.port,), allow=("127.0.0.1",))
    stranger = Sender(SendSettings(rules=rules), SystemClock())
    attempt = await stranger.send(delivery(), webhook(receiver.url))
    assert "certificate is not valid" in attempt.error
    assert receiver.messages == []


class TestServerSideRequestForgery:
    async def test_an_address_of_our_own_network_is_not_dialled(self, sender, receiver):
        attempt = await sender(names=Names(["127.0.0.1"])).send(
            delivery(), webhook(f"https://{NAME}:{receiver.port}/")
        )
        assert "127.0.0.1 is not a public address" in attempt.error
        assert (receiver.names, receiver.messages) == ([], [])

    async def test_one_such_address_among_others_is_enough(self, sender, receiver):
        names = Names(["1.1.1.1", "::ffff:127.0.0.1"])
        attempt = await sender(names=names).send(
            delivery(), webhook(f"https://{NAME}:{receiver.port}/")
        )
        assert "not a public address" in attempt.error

    async def test_a_name_that_changes_its_mind_is_asked_once_and_held_to_its_word(
        self, sender, receiver
    ):
        """DNS rebinding: the answer that was checked is the one that is used."""
        names = Names(["127.0.0.1"], ["10.255.255.1"])
        first = await sender("127.0.0.1", names=names).send(
            delivery(), webhook(f"https://{NAME}:{receiver.port}/")
        )
        assert first.error is None
        assert names.asked == [NAME]
        second = await sender("127.0.0.1", names=names).send(
            delivery(), webhook(f"https://{NAME}:{receiver.port}/")
        )
        assert "10.255.255.1 is not a public address" in second.error
        assert names.asked == [NAME, NAME]
        assert len(receiver.messages) == 1

    @pytest.mark.parametrize(
        "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"]
    )
    async def test_other_ways_to_write_an_address_do_not_help(self, sender, receiver, host):
        attempt = await sender().send(delivery(), webhook(f"https://{host}:{receiver.port}/"))
        assert attempt.error is not None
        assert attempt.status is None
        assert receiver.messages == []

    async def test_a_redirect_is_not_followed(self, sender, receiver):
        receiver.replies = [status(307, Location=receiver.url + "&again")]
        attempt = await sender("127.0.0.1").send(delivery(), webhook(receiver.url))
        assert attempt.status == 307
        assert "redirects are not followed" in attempt.error
        assert len(receiver.messages) == 1

    async def test_no_proxy_of_the_environment_is_used(self, sender, receiver, monkeypatch):
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        attempt = await sender("127.0.0.1").send(delivery(), webhook(receiver.url))
        assert attempt.error is None

    async def test_rules_that_have_changed_count(self, sender, receiver):
        attempt = await sender("127.0.0.1").send(delivery(), webhook("https://x.example:1/"))
        assert "CI_WEBHOOK_PORTS" in attempt.error
        plain = webhook(receiver.url.replace("https", "http"))
        assert "CI_WEBHOOK_HTTP" in (await sender("127.0.0.1").send(delivery(), plain)).error


async def test_the_next_address_is_tried_when_one_does_not_answer(sender, receiver):
    names = Names(["127.0.0.2", "127.0.0.1"])  # it listens on the second only
    attempt = await sender("127.0.0.0/8", names=names).send(
        delivery(), webhook(f"https://{NAME}:{receiver.port}/")
    )
    assert attempt.error is None


async def test_without_tls_where_that_is_allowed(authority):
    with receiving(None) as plain:
        rules = DestinationRules(http=True, ports=(plain.port,), allow=("127.0.0.1",))
        sender = Sender(SendSettings(rules=rules), SystemClock())
        attempt = await sender.send(delivery(), webhook(plain.url))
        assert (attempt.status, len(plain.messages)) == (204, 1)


class TestAnswers:
    async def test_a_failure_is_told_with_the_start_of_what_it_says(self, sender, receiver):
        receiver.replies = [status(500, b"\xff" + b"x" * 100_000)]
        attempt = await sender("127.0.0.1").send(delivery(), webhook(receiver.url))
        assert attempt.error == "it answered 500 Internal Server Error"
        assert attempt.response == "\ufffd" + "x" * (LONGEST_RESPONSE - 1)

    async def test_a_good_answer_is_not_read(self, sender, receiver):
        """One without an end does no harm."""

        def endless(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            receiver.released.wait()

        receiver.replies = [endless]
        attempt = await sender("127.0.0.1").send(delivery(), webhook(receiver.url))
        assert (attempt.status, attempt.error, attempt.response) == (200, None, "")

    @pytest.mark.parametrize(
        ("asked", "seconds"),
        [("120", 120.0), ("-1", None), ("soon", None), ("", None), ("1.5", None)],
    )
    async def test_retry_after_in_seconds(self, sender, receiver, asked, seconds):
        receiver.replies = [status(503, Retry_After=asked)]
        attempt = await sender("127.0.0.1").send(delivery(), webhook(receiver.url))
        assert attempt.retry_after == seconds

    async def test_retry_after_as_a_date(self, sender, receiver):
        when = (SystemClock().now().wall + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        receiver.replies = [status(429, Retry_After=when)]
        attempt = await sender("127.0.0.1").send(delivery(), webhook(receiver.url))
        assert 3000 < attempt.retry_after <= 3600

    async def test_no_answer_in_time(self, sender, receiver):
        receiver.replies = [lambda _handler: receiver.released.wait()]
        attempt = await sender("127.0.0.1", timeout=1.0).send(delivery(), webhook(receiver.url))
        assert attempt.error == "no answer within 1 s"
        assert attempt.status is None

    async def test_nobody_there(self, sender, receiver):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))  # and does not listen
            port = bound.getsockname()[1]
            rules = DestinationRules(ports=(port,), allow=("127.0.0.1",))
            sender = Sender(SendSettings(rules=rules), SystemClock())
            attempt = await sender.send(delivery(), webhook(f"https://127.0.0.1:{port}/"))
        assert attempt.error == "no connection: Connection refused"

    async def test_not_http(self, authority):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]

            def babble():
                sock, _ = listening.accept()
                with sock:
                    sock.recv(65536)
                    sock.sendall(b"220 mail.example ESMTP\r\n")
                    sock.shutdown(socket.SHUT_WR)
                    # Closed with something unread, the system would break the connection off.
                    while sock.recv(65536):
                        pass

            thread = threading.Thread(target=babble)
            thread.start()
            rules = DestinationRules(http=True, ports=(port,), allow=("127.0.0.1",))
            sender = Sender(SendSettings(rules=rules), SystemClock())
            attempt = await sender.send(delivery(), webhook(f"http://127.0.0.1:{port}/"))
            thread.join()
        assert attempt.error.startswith("it does not speak HTTP")

    async def test_a_name_that_leads_nowhere(self, sender, receiver):
        async def unknown(host, port):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        attempt = await sender(names=unknown).send(
            delivery(), webhook(f"https://{NAME}:{receiver.port}/")
        )
        assert attempt.error == (f"the name {NAME} cannot be resolved: Name or service not known")

    async def test_a_name_server_that_hangs(self, sender, receiver, monkeypatch):
        monkeypatch.setattr(sending, "RESOLVE_TIMEOUT", 0.05)
        released = threading.Event()

        def hang(*arguments, **named):
            released.wait(60)

        monkeypatch.setattr(sending.socket, "getaddrinfo", hang)
        attempt = await sender().send(delivery(), webhook(f"https://{NAME}:{receiver.port}/"))
        released.set()
        assert attempt.error == f"the name {NAME} was not resolved in time"

    async def test_our_own_mistakes_are_failures_too(self, sender, receiver):
        async def broken(host, port):
            return ["no address"]

        attempt = await sender(names=broken).send(
            delivery(), webhook(f"https://{NAME}:{receiver.port}/")
        )
        assert attempt.error == "internal error: ValueError"
