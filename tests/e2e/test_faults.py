"""What goes wrong is said as it is, and a fault of ours is never shown as a failed test."""

import io
import zipfile

import pytest

from tests import plain_http
from tests.waiting import eventually

pytestmark = pytest.mark.docker


def post_bytes(server, content: bytes):
    files = {"file": ("project.zip", content, "application/zip")}
    return plain_http.post(f"{server.url}/submit-async", files=files, timeout=60)


def zip_of(**entries: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def encrypted() -> bytes:
    content = bytearray(zip_of(a="x"))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"this is no zip at all", "zip"),
        (zip_of(a="x" * 1000)[:-30], "zip"),
        (zip_of(), "no files"),
        (zip_of(**{"../out": "x"}), ".."),
        (zip_of(**{"/etc/passwd": "x"}), "absolute"),
        (zip_of(**{"a\\b": "x"}), "backslash"),
        (zip_of(**{"a": "x", "a/b": "x"}), "folder"),
        (encrypted(), "encrypted"),
    ],
)
def test_hostile_zips_are_refused_and_leave_nothing(server, content, says):
    """Fault 37."""
    answer = post_bytes(server, content)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert says in answer.json()["detail"].lower()
    assert server.get("/jobs").json() == []
    for folder in ("stash", "tmp"):
        assert list((server.folder / folder).iterdir()) == []


def test_an_upload_over_the_limit(servers, engine, namespace):
    server = servers(namespace, executor="docker", max_upload_bytes="1000").start()
    answer = post_bytes(server, zip_of(a="x" * 2000))
    assert answer.status_code == 413
    assert list((server.folder / "tmp").iterdir()) == []


def test_a_missing_image_is_named(server, project):
    """Fault 38."""
    job_id = server.submit(project(image="no-such-image:1"))
    job = server.until(job_id, "completed")
    assert (job["reason"], job["success"]) == ("infra_error", False)
    assert "no-such-image:1" in job["detail"]
    assert "no-such-image:1" in server.text(job_id)
    assert server.ci("wait", job_id).returncode == 3


def test_an_absent_engine_is_waited_for(servers, namespace, project):
    """The server takes jobs and says why they wait."""
    server = servers(namespace, executor="docker", container_prefix=namespace)
    server.settings["DOCKER_HOST"] = "tcp://127.0.0.1:9"
    server.start()
    job_id = server.submit(project())
    assert server.job(job_id)["status"] == "queued"
    ready = server.get("/ready")
    assert ready.status_code == 503
    assert "engine" in ready.text
    assert server.ci("doctor").returncode == 3


def test_a_container_removed_by_hand_is_run_again(server, engine, waiting):
    """Fault 16."""
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    engine.of(job_id).remove(force=True)
    eventually(lambda: server.job(job_id)["attempt"] == 2, what="a second attempt")
    eventually(lambda: server.text(job_id).count("started\n") == 2, what="it runs again")
    engine.go(job_id)
    assert server.until(job_id, "completed")["success"] is True
    assert "vanished" in server.text(job_id)


def test_attempts_are_bounded(servers, engine, namespace, waiting):
    server = servers(namespace, executor="docker", max_attempts="1").start()
    job_id = server.submit(waiting())
    server.until_log(job_id, "started")
    engine.of(job_id).remove(force=True)
    job = server.until(job_id, "completed")
    assert (job["reason"], job["success"], job["exit_code"]) == ("infra_error", False, None)
    assert "vanished" in job["detail"]


def test_a_time_limit(server, waiting):
    """Fault 29."""
    job_id = server.submit(waiting(timeout="2s"))
    job = server.until(job_id, "completed")
    assert (job["reason"], job["success"]) == ("timed_out", False)
    assert "2 s" in server.text(job_id).splitlines()[-1]
    assert server.ci("wait", job_id).returncode == 6


def test_out_of_memory(server, project):
    """Fault 24."""
    job_id = server.submit(project("exec python3 -c 'b = bytearray(10**9)'", memory="64m"))
    assert server.until(job_id, "completed")["reason"] == "oom_killed"


def test_background_processes_do_not_keep_a_job(server, project):
    """Fault 28."""
    job_id = server.submit(project("sleep 600 & echo out"))
    assert server.until(job_id, "completed")["success"] is True


def test_a_failing_install_is_the_jobs_failure(server, project):
    job_id = server.submit(
        project().write({"ci.toml": "install = ['echo no wheels; exit 9']\ncommand = 'true'\n"})
    )
    job = server.until(job_id, "completed")
    assert (job["reason"], job["exit_code"]) == ("failed", 9)
    assert "no wheels" in server.text(job_id)


def test_wrong_configuration_is_refused_at_once(server, project):
    done = server.ci("submit", str(project(timeuot=5).path))
    assert done.returncode == 2
    assert "timeuot" in done.stderr.decode()
    assert "timeout" in done.stderr.decode()


def test_two_namespaces_on_one_engine(servers, engine, namespace, waiting):
    """Neither server sees, adopts or sweeps the other's containers, prefix of a prefix or not."""
    from tests.e2e.harness import Engine

    other = Engine(f"{namespace}x_")
    try:
        one = servers(namespace, executor="docker", orphan_grace="0").start()
        two = servers(other.namespace, name="two", executor="docker", orphan_grace="0").start()
        jobs = [(one, engine, one.submit(waiting())), (two, other, two.submit(waiting()))]
        for server, _, job_id in jobs:
            server.until_log(job_id, "started")
            server.kill()
            server.restart()
        for server, seen, job_id in jobs:
            assert len(seen.containers()) == 1
            seen.go(job_id)
            job = server.until(job_id, "completed")
            assert (job["success"], job["attempt"]) == (True, 1)
    finally:
        other.close()


def test_repeating_a_submit_with_its_key_gives_the_same_job(server):
    """Fault 3."""
    content = zip_of(**{"ci.toml": "install = []\ncommand = 'true'\n"})
    headers = {"Idempotency-Key": "key-1"}
    files = {"file": ("project.zip", content, "application/zip")}
    answers = [
        plain_http.post(f"{server.url}/submit-async", files=files, headers=headers, timeout=60)
        for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len(server.get("/jobs").json()) == 1
