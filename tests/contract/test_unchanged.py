"""Submitting again, client and server as they are: bytes are counted on the wire between them."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from ci_client import manifest as manifest_module
from ci_client.client import submit_tests_async, submit_tests_streaming
from ci_common.project_tree import open_project
from ci_common.project_zip import ZipLimits, collect_files
from tests.contract.http_harness import passing, running_server
from tests.relay import relay_to

SIZE = 20_000
COUNT = 20
EVERYTHING = ZipLimits(max_collected_file_bytes=10**8, max_collected_bytes=10**9)


@pytest.fixture
def server(tmp_path):
    with running_server(tmp_path / "server") as running:
        yield running


@pytest.fixture
def relay(server):
    with relay_to(server.url) as relay:
        yield relay


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    (tmp_path / "server").mkdir(exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(manifest_module, "_RACY", -(10**15))


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    for number in range(COUNT):
        (folder / f"data/{number:02}.bin").write_bytes(os.urandom(SIZE))
    (folder / "ci.toml").write_text("install = []\ncommand = 'true'\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("data/00.bin")
    return folder


def contents(server, job_id: str) -> dict[str, bytes]:
    with open_project(server.job(job_id).zip_path) as (files, _):
        return collect_files(files, files.paths, EVERYTHING)


def on_disk(project: Path) -> dict[str, bytes]:
    found = (path for path in project.rglob("*") if path.is_file())
    return {str(path.relative_to(project)): path.read_bytes() for path in found}


def submit(relay, server, project: Path) -> int:
    """Submit; check that the server has what is on disk; return how much was sent for it."""
    before = relay.sent
    job_id = submit_tests_async(project, server_url=relay.url)
    assert contents(server, job_id) == on_disk(project)
    return relay.sent - before


def forget_client_cache(tmp_path: Path) -> None:
    for path in (tmp_path / "cache/standby-ci/trees").iterdir():
        path.unlink()


def packs(server) -> list[Path]:
    return list((server.settings.data_folder / "packs").iterdir())


def test_only_what_changed_travels(relay, server, project):
    everything = submit(relay, server, project)
    assert everything > COUNT * SIZE
    assert submit(relay, server, project) < 5_000
    (project / "data/07.bin").write_bytes(os.urandom(SIZE))
    assert SIZE < submit(relay, server, project) < SIZE + 6_000
    (project / "data/07.bin").rename(project / "moved.bin")
    assert submit(relay, server, project) < 5_000
    assert len(packs(server)) == 2


def test_an_unchanged_tree_takes_one_connection(relay, server, project):
    submit(relay, server, project)
    before = relay.connections
    submit(relay, server, project)
    assert relay.connections == before + 1


def test_the_stream_of_a_job_is_the_same_either_way(tmp_path, project):
    with running_server(tmp_path / "server", passing) as server:
        events = [list(submit_tests_streaming(project, server_url=server.url)) for _ in range(2)]
    kinds = [[e["type"] for e in each if e["type"] != "status"] for each in events]
    assert kinds[0][0] == kinds[1][0] == "job_id"
    assert kinds[0][-1] == kinds[1][-1] == "complete"


def test_a_client_without_memory_sends_no_more_than_the_server_lacks(
    relay, server, project, tmp_path
):
    (project / "much.bin").write_bytes(os.urandom(1_200_000))
    submit(relay, server, project)
    forget_client_cache(tmp_path)
    assert submit(relay, server, project) < 7_000


def test_what_was_swept_is_sent_again_without_anybodys_doing(relay, server, project):
    submit(relay, server, project)
    (job,) = server.call(server.parts.repository.list_recent(limit=9))
    server.finish(server.claim(job.id))
    repository = server.parts.repository
    for pack in server.call(repository.blobs.packs()):
        assert server.call(repository.blobs.drop(pack))
        repository.stash.remove_pack(pack.id)
    assert submit(relay, server, project) > COUNT * SIZE
    assert submit(relay, server, project) < 5_000


def test_a_server_that_is_new_behind_its_address_gets_what_it_lacks(
    relay, server, project, tmp_path
):
    submit(relay, server, project)
    (tmp_path / "other").mkdir()
    with running_server(tmp_path / "other") as other:
        relay.lead_to(other.url)
        assert submit(relay, other, project) > COUNT * SIZE


@pytest.mark.parametrize("share", [0.2, 0.9])
@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_an_upload_that_breaks_in_the_middle_is_repeated_and_makes_one_job(
    relay, server, project, share, size
):
    """With a zip that is made before it is sent, and with one that is made meanwhile."""
    (project / "much.bin").write_bytes(os.urandom(size))
    submit(relay, server, project)
    (project / "much.bin").write_bytes(os.urandom(size))
    jobs = len(server.get("/jobs").json())
    connections = relay.connections
    # Before much is sent it is asked for, on a connection of its own.
    uploading = connections + (1 if size < 1_000_000 else 2)
    relay.cut = {uploading: int(size * share)}
    submit(relay, server, project)
    assert relay.connections == uploading + 1
    assert len(server.get("/jobs").json()) == jobs + 1


def test_a_server_that_takes_no_manifests_gets_zips(tmp_path, project):
    with (
        running_server(tmp_path / "server", blob_bytes="0") as server,
        relay_to(server.url) as relay,
    ):
        for _ in range(2):
            assert submit(relay, server, project) > COUNT * SIZE
        assert relay.connections == 3  # one of them to ask
        assert not (server.settings.data_folder / "packs").exists()


def test_a_zip_is_taken_as_ever(server, project):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in on_disk(project).items():
            archive.writestr(name, content)
    job_id = server.submit(out.getvalue())
    assert contents(server, job_id) == on_disk(project)


def test_two_users_of_one_server_share_nothing(relay, server, project, tmp_path, monkeypatch):
    submit(relay, server, project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "anothers"))
    assert submit(relay, server, project) > COUNT * SIZE


def test_two_at_once_do_no_harm(relay, server, project):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        jobs = list(
            threads.map(lambda _: submit_tests_async(project, server_url=relay.url), range(4))
        )
    assert all(contents(server, job_id) == on_disk(project) for job_id in jobs)
    assert submit(relay, server, project) < 5_000
