"""A server that is asked to end: who is told, who may finish, and how it ends at once."""

import contextlib
import signal
import socket
from urllib.parse import urlsplit

import pytest

from tests import plain_http
from tests.contract.http_harness import PROJECT
from tests.contract.test_http_process import FILES, ended, serve, url_of
from tests.e2e.harness import children
from tests.waiting import eventually

LONG = "600"
"""Seconds that no test waits: what happens before they are over happens for another reason."""

BOUNDARY = "a-boundary"


def shutting_down(url: str) -> bool:
    answer = plain_http.get(url + "/ready")
    return answer.status_code == 503 and "shutdown" in answer.json()["problems"]


def form() -> bytes:
    head = 'Content-Disposition: form-data; name="file"; filename="project.zip"'
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + PROJECT + f"\r\n--{BOUNDARY}--\r\n".encode()


@contextlib.contextmanager
def half_an_upload(url: str):
    """A connection over which one half of a submission has gone."""
    address, body = urlsplit(url), form()
    head = (
        f"POST /submit-async HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        # It is said when the body is asked for, so that the request is under way for sure.
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body[:50])
        yield connection, body[50:]


def test_while_it_is_still_listened_to_it_says_so_and_takes_nothing(tmp_path):
    with serve(tmp_path, "port=0", CI_SHUTDOWN_DELAY=LONG) as started:
        url = url_of(started)
        job_id = plain_http.post(url + "/submit-async", files=FILES).json()["job_id"]
        with plain_http.stream("GET", f"{url}/jobs/{job_id}/stream", timeout=30) as stream:
            lines = stream.iter_lines()
            assert "queued" in next(line for line in lines if line.startswith("data:"))
            started.terminate()
            rest = list(lines)
        assert "retry: 1000" in rest
        assert not any("complete" in line for line in rest)
        eventually(lambda: shutting_down(url), what="/ready tells of the shutdown")
        assert plain_http.get(url + "/health").status_code == 200
        assert plain_http.get(f"{url}/jobs/{job_id}").json()["status"] == "queued"
        for path in ("/submit", "/submit-stream", "/api/v1/submit-async"):
            refusal = plain_http.post(url + path, files=FILES)
            assert refusal.status_code == 503
            assert refusal.json()["code"] == "server_stopping"
            assert int(refusal.headers["Retry-After"]) > 0
            assert refusal.headers["Connection"] == "close"
        assert started.poll() is None
        started.terminate()
        code, log = ended(started)
    assert code == 128 + signal.SIGTERM
    assert "Traceback" not in log


def test_an_upload_that_has_begun_is_finished(tmp_path):
    with serve(tmp_path, "port=0", CI_SHUTDOWN_GRACE=LONG) as started:
        url = url_of(started)
        with half_an_upload(url) as (connection, rest):
            started.terminate()
            eventually(lambda: refuses(url), what="nobody listens any more")
            connection.sendall(rest)
            answer = connection.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        code, _ = ended(started)
    assert code == 0
    assert len(list((tmp_path / "stash").iterdir())) == 1


def refuses(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_upload_that_stands_still_is_waited_for_no_longer_than_the_grace(tmp_path):
    with (
        serve(tmp_path, "port=0", CI_SHUTDOWN_GRACE="1") as started,
        half_an_upload(url_of(started)),
    ):
        started.terminate()
        started.wait(60)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_are_told_and_end_at_once_when_asked_again(tmp_path, number):
    with serve(tmp_path, "'127.0.0.1', 0, 2, {}", CI_SHUTDOWN_DELAY=LONG) as started:
        url = url_of(started)
        started.send_signal(number)
        # One after the other is asked, whichever answers.
        eventually(lambda: all(shutting_down(url) for _ in range(10)), what="both tell of it")
        workers = children(started.pid)
        assert workers
        started.send_signal(number)
        code, _ = ended(started)
        assert code == 0
        eventually(lambda: not children(started.pid), what="no worker is left")


def test_a_second_kind_of_signal_is_the_same_wish(tmp_path):
    """Ctrl-C reaches workers from the terminal, and as SIGTERM from who started them."""
    with serve(tmp_path, "port=0", CI_SHUTDOWN_DELAY=LONG) as started:
        url = url_of(started)
        started.send_signal(signal.SIGINT)
        eventually(lambda: shutting_down(url), what="it shuts down")
        started.send_signal(signal.SIGTERM)
        assert shutting_down(url)
        started.send_signal(signal.SIGINT)
        assert ended(started)[0] == 128 + signal.SIGINT
