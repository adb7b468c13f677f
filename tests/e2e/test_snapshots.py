"""Dependencies on a real engine, really installed: once, and never twice for the same."""

import io
import json
import socket
import tarfile

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.docker

PINNED = "humanize==4.9.0\n"
HIT = "Nothing to do: they were installed "
SECRET = "s3cret-of-the-server"


@pytest.fixture
def installing(tmp_path, project):
    """Make projects with a file of requirements whose command needs what is in it."""

    def make(requirements: str = PINNED, command: str = "python3 -c 'import humanize'", **config):
        made = project(**config)
        lines = [f"command = {json.dumps(command)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in config.items()]
        return made.write(
            {"ci.toml": "\n".join(lines) + "\n", "requirements.txt": requirements, "own.py": "x"}
        )

    return make


@pytest.fixture
def settled(server, engine):
    """Submit a project and wait until it has ended and nothing of it is left."""

    def submit(made, reason: str = "passed") -> str:
        job_id = server.submit(made)
        assert server.until(job_id, "completed")["reason"] == reason, server.text(job_id)
        eventually(lambda: not engine.containers(), what="container removed")
        return job_id

    return submit


def test_installed_once_then_found(server, engine, installing, settled):
    first = server.text(settled(installing()))
    assert first.count("Installing dependencies...") == 1
    assert first.index("humanize==4.9.0") < first.index("Kept for the next job")
    assert first.index("Kept for the next job") < first.index("Running tests...")
    (image,) = engine.snapshots()

    # Another project, with the same needs and other code.
    again = installing().write({"own.py": "changed"})
    second = server.text(settled(again))
    assert HIT in second
    assert "ci_pip" not in second
    assert [each.id for each in engine.snapshots()] == [image.id]


def test_the_installation_is_shown_as_it_happens(server, engine, installing):
    # An address in a network for documentation: nothing there ever answers.
    made = installing("waits @ http://192.0.2.1/waits-1.tar.gz\n", timeout="10s")
    job_id = server.submit(made)
    server.until_log(job_id, "$ ci_pip install")
    assert server.job(job_id)["status"] == "running"
    assert engine.snapshots() == []


def test_other_requirements_are_other_dependencies(server, engine, installing, settled):
    settled(installing())
    text = server.text(settled(installing("humanize==4.10.0\n")))
    assert "humanize==4.10.0" in text
    assert HIT not in text
    assert len(engine.snapshots()) == 2


def test_a_failed_installation_is_the_jobs_and_is_not_kept(server, engine, installing, settled):
    job_id = settled(installing("no-such-package-of-ours==1\n"), reason="failed")
    text = server.text(job_id)
    assert "no-such-package-of-ours" in text
    assert "Installing dependencies failed with exit status 1; the tests did not run." in text
    assert server.job(job_id)["exit_code"] == 1
    assert engine.snapshots() == []
    assert server.ci("wait", job_id).returncode == 1


def test_two_at_once_install_once(server, engine, installing):
    job_ids = [server.submit(installing()) for _ in range(2)]
    for job_id in job_ids:
        assert server.until(job_id, "completed")["success"] is True
    texts = [server.text(job_id) for job_id in job_ids]
    assert sum("ci_pip install" in text for text in texts) == 1
    assert sum(HIT in text for text in texts) == 1
    assert len(engine.snapshots()) == 1


def files_in(engine, image) -> dict[str, bytes]:
    """Return what is below ``/ci`` when a container of the image begins; folders are empty."""
    container = engine.client.containers.create(image.id, ["true"])
    try:
        stream, _ = container.get_archive("/ci")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            return {
                entry.name: archive.extractfile(entry).read() if entry.isfile() else b""
                for entry in archive
            }
    finally:
        container.remove()


def test_neither_secrets_nor_the_projects_files_are_in_the_image(
    servers, engine, namespace, installing
):
    secrets = {"job_env": f"TOKEN={SECRET}"}
    server = servers(namespace, executor="docker", **secrets).start()
    made = installing(**{"env.MINE": f"{SECRET}-too"}).write({"own.py": SECRET})
    job_id = server.submit(made)
    assert server.until(job_id, "completed")["success"] is True
    (image,) = engine.snapshots()
    files = files_in(engine, image)
    assert any(path.startswith("ci/venv/") for path in files)
    assert not any(SECRET.encode() in content for content in files.values())
    tops = {path.split("/")[1] for path in files if "/" in path}
    assert tops - {"bin"} == {"venv", ".prepared"}
    assert SECRET not in json.dumps(image.attrs)
    history = engine.client.images.get(image.id).history()
    assert SECRET not in json.dumps(history)


@pytest.mark.parametrize(("how", "more"), [("terminate", ""), ("kill", "numpy==1.26.4\n")])
def test_a_server_that_ends_during_the_installation(server, engine, installing, how, more):
    """What it had begun goes on, and may have ended meanwhile; each line is in the log once."""
    job_id = server.submit(installing(PINNED + more))
    server.until_log(job_id, "$ ci_pip install")
    getattr(server, how)()
    server.restart()
    job = server.until(job_id, "completed")
    assert (job["success"], job["attempt"]) == (True, 1)
    text = server.text(job_id)
    for line in ("Installs requirements.txt.", "Installing dependencies...", "Running tests..."):
        assert text.count(f"{line}\n") == 1, text
    assert text.count(" + humanize==4.9.0\n") == 1, text
    assert len(engine.snapshots()) == 1


@pytest.fixture
def silent_address(engine):
    """An address that containers can connect to, where nobody ever says anything."""
    bridge = engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    with socket.create_server((bridge, 0)) as listening:
        yield f"{bridge}:{listening.getsockname()[1]}"


def test_a_time_limit_holds_for_the_installation(
    server, engine, installing, settled, silent_address
):
    made = installing(f"waits @ http://{silent_address}/waits-1.tar.gz\n", timeout="3s")
    job_id = settled(made, reason="timed_out")
    assert "time limit of 3 s" in server.text(job_id).splitlines()[-1]
    assert engine.snapshots() == []


def test_a_user_who_is_not_root(servers, engine, namespace, installing):
    server = servers(namespace, executor="docker", job_user="1000:1000").start()
    for expected in ("Kept for the next job", HIT):
        job_id = server.submit(installing())
        assert server.until(job_id, "completed")["success"] is True, server.text(job_id)
        assert expected in server.text(job_id)


def test_the_budget_is_kept(servers, engine, namespace, installing):
    """Every one of them is too much for it: each goes when its job has ended."""
    server = servers(namespace, executor="docker", snapshot_bytes="1").start()
    job_id = server.submit(installing())
    assert server.until(job_id, "completed")["success"] is True
    eventually(lambda: not engine.snapshots(), what="the snapshot is removed")


def test_listed_and_given_up(server, engine, installing, settled):
    settled(installing())
    listed = server.ci("cache", "ls")
    assert listed.returncode == 0
    assert "pip install -r requirements.txt" in listed.stdout.decode()
    (entry,) = server.get("/cache").json()
    assert entry["kind"] == "dependencies"
    assert entry["size_bytes"] > 100_000

    kept = server.ci("cache", "prune", "--older-than", "1h")
    assert "gave up 0 snapshots" in kept.stderr.decode()
    assert len(engine.snapshots()) == 1
    pruned = server.ci("cache", "prune")
    assert "gave up 1 snapshot" in pruned.stderr.decode()
    eventually(lambda: not engine.snapshots(), what="the snapshot is removed")
    assert "ci_pip install" in server.text(settled(installing()))


def test_without_a_budget_all_is_as_before(servers, engine, namespace, installing):
    server = servers(namespace, executor="docker", snapshot_bytes="0").start()
    for _ in range(2):
        job_id = server.submit(installing())
        assert server.until(job_id, "completed")["success"] is True
        assert "ci_pip install" in server.text(job_id)
    assert engine.snapshots() == []


def test_what_a_crash_of_the_engine_leaves_is_swept(servers, engine, namespace, runner_image):
    """It makes the image before it gives it its name."""
    marks = {"ci.namespace": namespace, "ci.role": "snapshot", "ci.key": "0" * 64}
    container = engine.client.containers.create(runner_image, ["true"])
    container.commit(conf={"Labels": marks})
    container.remove()
    assert len(engine.client.images.list(all=True, filters={"label": "ci.key=" + "0" * 64})) == 1
    servers(namespace, executor="docker").start()
    eventually(lambda: not engine.snapshots(), what="the leftover is removed")


def test_a_project_that_needs_only_pytest_starts_at_once(
    server, engine, tmp_path, project, settled
):
    made = project().write({"ci.toml": "", "test_it.py": "def test_it(): pass\n"})
    (made.path / "ci.toml").unlink()
    text = server.text(settled(made))
    assert "The image has pytest: nothing to install." in text
    assert engine.snapshots() == []
