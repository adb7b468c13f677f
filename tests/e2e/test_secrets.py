"""Secrets of jobs, through real servers and engines: given, masked, and nowhere to be seen."""

import json

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.docker

TOKEN = "open-sesame-or-else"
KEY = "-----BEGIN THING-----\nc29tZXRoaW5nIGVsc2U\nx=\n-----END THING-----"

SCRIPT = r"""
set -u
[ ! -e ../env ] && echo no file is left
[ "$KEY" = "$(cat key.txt)" ] && echo the same
printf 'begins '
printf 'open-ses'; sleep 0.2; printf 'ame-or-'; sleep 0.2; printf 'else ends\n'
printf 'a prompt without an end? '
until [ -e /tmp/go ]; do sleep 0.05; done
echo "$KEY" | base64 -w0; echo
printf 'open-sesame'; sleep 0.2; printf -- '-for-nobody\n'
python3 -m pytest -q -p no:cacheprovider || true
echo "$TOKEN"
exit 5
"""

TESTS = """
import os
def test_tells():
    assert os.environ["TOKEN"] == "nothing"
"""

REPORT = '<testsuite><testcase classname="c" name="n" time="0"><failure message="%s"/></testcase>'


@pytest.fixture
def told(project):
    """A project that tells its secrets in every way."""
    made = project(SCRIPT, secrets=["TOKEN"], reports=["report.xml"])
    made.write({"key.txt": KEY, "test_it.py": TESTS, "report.xml": REPORT % TOKEN + "</testsuite>"})
    return made


def keep(server, name: str, value: str, *more: str) -> None:
    done = server.ci("secret", "set", name, *more, input=value.encode())
    assert done.returncode == 0, done.stderr.decode()
    assert value.encode() not in done.stdout + done.stderr


def all_bytes(server) -> bytes:
    """Everything that the server has on disk, but what was submitted."""
    files = [path for path in server.folder.rglob("*") if path.is_file()]
    return b"\0".join(p.read_bytes() for p in files if p.parent.name != "stash")


def test_a_job_tells_its_secrets_and_nobody_hears_them(server, engine, told):
    """The server is killed while half of a secret is on its way. Fault 7."""
    refused = server.ci("submit", "--secret", "KEY", str(told.path))
    assert refused.returncode == 2
    assert b"KEY, TOKEN" in refused.stderr or b"TOKEN, KEY" in refused.stderr
    assert b"ci secret set" in refused.stderr
    assert server.rows("SELECT count(*) FROM jobs") == [(0,)]
    keep(server, "TOKEN", f"{TOKEN}\n")
    keep(server, "KEY", KEY, "--project", told.path.name)
    done = server.ci("submit", "--async", "--secret", "KEY", str(told.path))
    assert done.returncode == 0, done.stderr.decode()
    job_id = done.stdout.decode().split()[0]
    server.until_log(job_id, "begins ")
    server.kill()
    server.restart()
    # The engine shows an unfinished line, such as the prompt, only to who was there.
    server.until_log(job_id, " ends\n")
    # What runs has what it was given, whatever becomes of the secret.
    keep(server, "TOKEN", "quite another value")
    server.kill()
    inspected = json.dumps([each.attrs for each in engine.containers()])
    server.restart()
    engine.go(job_id)
    job = server.until(job_id, "completed")
    eventually(lambda: server.job(job_id)["results"] == "collected", what="collected")
    text = server.text(job_id)
    assert (job["reason"], job["exit_code"]) == ("failed", 5)
    assert text.count("no file is left\nthe same\n") == 1
    assert f"begins {'*' * len(TOKEN)} ends\n" in text
    assert "open-sesame-for-nobody\n" in text
    assert text.endswith(f"{'*' * len(TOKEN)}\n")
    tests = server.get(f"/api/v1/jobs/{job_id}/tests").json()
    assert "*" * len(TOKEN) in json.dumps(tests)
    said = [
        inspected,
        text,
        json.dumps(tests),
        json.dumps(job),
        server.get("/api/v1/secrets").text,
        server.get("/api/v1/events/history").text,
        server.ci("secret", "ls", "--json").stdout.decode(),
        all_bytes(server).decode(errors="replace"),
    ]
    for value in (TOKEN, "c29tZXRoaW5nIGVsc2U", "quite another value", KEY):
        assert [each for each in said if value in each] == []
    eventually(
        lambda: server.rows("SELECT count(*) FROM given_secrets") == [(0,)],
        what="what was given is forgotten",
    )


def test_a_secret_that_is_gone_ends_the_job_that_waits_for_it(servers, engine, namespace, waiting):
    server = servers(namespace, executor="docker", max_running="1").start()
    keep(server, "TOKEN", TOKEN)
    first = server.submit(waiting())
    server.until_log(first, "started")
    second = server.submit(waiting(secrets=["TOKEN"]))
    assert server.ci("secret", "rm", "TOKEN").returncode == 0
    assert server.ci("secret", "rm", "TOKEN").returncode == 2
    engine.go(first)
    job = server.until(second, "completed")
    assert job["reason"] == "infra_error"
    assert "TOKEN" in job["detail"]
    assert "ci secret set" in server.text(second)


def test_a_job_without_an_engine_is_given_secrets_too(servers, namespace, project):
    server = servers(namespace, executor="local").start()
    keep(server, "TOKEN", TOKEN)
    made = project('[ -e ../env ] || echo gone; echo "<$TOKEN>"', secrets=["TOKEN"])
    done = server.ci("submit", str(made.path))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().endswith(f"gone\n<{'*' * len(TOKEN)}>\n")
