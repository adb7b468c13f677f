"""The same job on a machine without an engine: the local executor."""

import pytest

from tests.e2e.harness import WAIT_FOR_GO
from tests.waiting import eventually


@pytest.fixture
def local(servers, namespace):
    return servers(namespace, executor="local").start()


@pytest.fixture
def held(project, tmp_path):
    go = tmp_path / "go"
    made = project(f"echo started\n{WAIT_FOR_GO.format(go=go)}\necho done\nexit 7")
    return made, go


def test_pass_and_fail(local, project):
    done = local.ci("submit", str(project("echo hello").path))
    assert (done.returncode, b"hello\n" in done.stdout) == (0, True)
    assert local.ci("submit", str(project("exit 3").path)).returncode == 1


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_job_outlives_its_server(local, held, how):
    made, go = held
    job_id = local.submit(made)
    local.until_log(job_id, "started")
    getattr(local, how)()
    local.restart()
    go.touch()
    job = local.until(job_id, "completed")
    assert (job["reason"], job["exit_code"], job["attempt"]) == ("failed", 7, 1)
    assert local.text(job_id).endswith("started\ndone\n")


def test_a_time_limit_ends_the_whole_process_group(local, project, tmp_path):
    alive = tmp_path / "alive"
    script = f"(while :; do date > {alive}; sleep 0.1; done) & sleep 600"
    job_id = local.submit(project(script, timeout="1s"))
    assert local.until(job_id, "completed")["reason"] == "timed_out"
    alive.unlink(missing_ok=True)
    eventually(lambda: not any((local.folder / "local").glob("*")), what="scratch folder removed")
    assert not alive.exists()


def test_ci_run_needs_no_server_nor_what_one_for_others_has_set(local, project):
    local.stop()
    for_others = {
        "CI_ACCOUNTS": "on",
        "CI_PUBLIC_URL": "https://ci.example",
        "CI_TRUSTED_PROXIES": "192.0.2.1",
        "CI_OIDC_ISSUER": "https://id.example",
    }
    script = str(project("echo embedded").path)
    done = local.ci("run", script, env=for_others | {"CI_EXECUTOR": "local"})
    assert (done.returncode, b"embedded\n" in done.stdout) == (0, True), done.stderr.decode()


def test_no_engine_and_open_to_the_network_is_refused(servers, namespace):
    server = servers(namespace, executor="auto")
    server.settings["DOCKER_HOST"] = "tcp://127.0.0.1:9"
    serve = ("serve", "--host", "0.0.0.0", "--port", "0")
    for more, reason in (
        ((), b"without accounts"),
        (("--let-anyone-run-code",), b"without containers"),
    ):
        done = server.ci(*serve, *more, timeout=60)
        assert done.returncode not in (0, None)
        assert reason in done.stderr
        assert b"CI_HOST=127.0.0.1" in done.stderr
        assert b"Traceback" not in done.stderr
