"""Clients of a server that ends: their jobs go on, and what they send arrives."""

from tests.e2e.harness import WAIT_FOR_GO
from tests.waiting import eventually


def test_submissions_and_streams_go_on_at_the_next_server(servers, namespace, project, tmp_path):
    server = servers(namespace, executor="local", shutdown_delay="600").start()
    go = tmp_path / "go"
    watched = project(f"echo started\n{WAIT_FOR_GO.format(go=go)}\necho done")
    job_id = server.submit(watched)
    watching = server.ci_process("wait", job_id, "--all")
    server.until_log(job_id, "started")
    server.process.terminate()
    eventually(lambda: server.get("/ready").status_code == 503, what="it shuts down")
    with (tmp_path / "notes").open("wb") as notes:
        sending = server.ci_process("submit", str(project("echo hello").path), stderr=notes)
    said = tmp_path / "notes"
    eventually(lambda: "shutting down" in said.read_text(), what="the client was refused")
    assert sending.poll() is None
    server.process.terminate()
    server.process.wait(60)
    server.settings["CI_SHUTDOWN_DELAY"] = "0"
    server.restart()
    go.touch()
    output, errors = watching.communicate(timeout=60)
    assert watching.returncode == 0, errors
    assert output.endswith(b"started\ndone\n")
    output, _ = sending.communicate(timeout=60)
    assert sending.returncode == 0, said.read_text()
    assert b"hello\n" in output
    assert len(server.get("/jobs").json()) == 2
    assert server.job(job_id)["attempt"] == 1
