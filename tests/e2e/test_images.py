"""Images that cannot be had, or cannot run a job: the job is told the cause, and others go on."""

import io
import socket
import tarfile

import pytest

from tests.waiting import eventually

pytestmark = pytest.mark.docker


def tar_of(**programs: bytes) -> bytes:
    """Return a root file system that has nothing but these in ``/bin``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in {"README": b"hardly anything\n", **programs}.items():
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.mode, entry.size = 0o755, len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def images(engine, namespace, runner_image):
    """Make images; all of them are gone with the test.

    Name it before the server: then the server, and what it launched from them, goes first.
    """
    repository = f"standby-ci-test-{namespace.strip('_')}"
    client = engine.client
    made = []

    class Images:
        def imported(self, name: str, **programs: bytes) -> str:
            """Return an image of these programs alone."""
            made.append(f"{repository}:{name}")
            client.api.import_image_from_data(tar_of(**programs), repository, name)
            return made[-1]

        def derived(self, name: str, script: str, **configuration: object) -> str:
            """Return the runner image after a script, with another configuration."""
            made.append(f"{repository}:{name}")
            container = client.containers.create(runner_image, ["sh", "-c", script])
            try:
                container.start()
                assert container.wait()["StatusCode"] == 0
                container.commit(repository, name, conf=configuration)
            finally:
                container.remove(force=True)
            return made[-1]

    yield Images()
    for image in made:
        client.images.remove(image)  # refused while a container is made of it


def infra_error(server, project, image: str) -> str:
    """Submit a job that runs in ``image``; return why it could not be run."""
    done = server.ci("submit", str(project(image=image).path))
    assert done.returncode == 3, done.stdout.decode()
    job = server.job("last")
    assert (job["reason"], job["success"], job["exit_code"]) == ("infra_error", False, None)
    assert job["attempt"] == 1
    assert job["detail"] in done.stdout.decode()
    assert job["detail"] in done.stderr.decode()
    return job["detail"]


def test_no_registry_answers(server, engine, project):
    """Fault 38."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        closed = f"127.0.0.1:{probe.getsockname()[1]}"
    image = f"{closed}/team/image:7"
    detail = infra_error(server, project, image)
    assert image in detail
    assert "refused" in detail
    other = server.submit(project())
    assert server.until(other, "completed")["success"] is True


def test_an_image_without_a_shell(images, server, engine, project):
    """Fault 39."""
    detail = infra_error(server, project, images.imported("no-shell"))
    assert "exec sh failed" in detail
    assert "must have `sh`, `head` and `tar`" in detail
    eventually(lambda: not engine.containers(), what="nothing is left of it")


def test_an_image_for_another_machine(images, server, engine, project):
    """Fault 39. Its programs cannot be executed here."""
    detail = infra_error(server, project, images.imported("foreign", sh=b"\x7fELF of elsewhere"))
    assert "exec format error" in detail.lower()
    assert "made for this machine" in detail
    eventually(lambda: not engine.containers(), what="nothing is left of it")


def test_an_image_without_tar(images, server, engine, project):
    """Fault 39."""
    detail = infra_error(server, project, images.derived("no-tar", "rm $(command -v tar)"))
    assert "tar" in detail
    assert "not found" in detail
    eventually(lambda: not engine.containers(), what="nothing is left of it")


def test_an_image_with_a_bad_entrypoint(images, server, project):
    """Fault 39. Jobs have an entrypoint of their own, so its own does not matter."""
    image = images.derived("bad", "true", Entrypoint=["/no/such/program"], Cmd=["nor this"])
    done = server.ci("submit", str(project(image=image).path))
    assert done.returncode == 0, done.stdout.decode()
    assert done.stdout.endswith(b"hello\n")
