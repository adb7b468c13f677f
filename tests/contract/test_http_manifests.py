"""Manifests, over real HTTP, with real storage."""

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ci_common.project_tree import open_project
from ci_common.project_zip import ZipLimits, collect_files
from ci_common.stash import Upload
from ci_controller.sweep import sweep, sweep_packs
from tests import plain_http
from tests.contract.http_harness import running_server
from tests.fakes.clock import FakeClock
from tests.fakes.manifests import SCOPE, link_row, manifest, manifest_of, pack, row, sha256
from tests.fakes.zips import build, file
from tests.waiting import eventually

FILES = {"src/a.py": b"a = 1\n" * 20, "src/b.py": b"b = 2\n", "test_it.py": b"def test(): pass\n"}


@pytest.fixture
def server(tmp_path):
    """A server whose controller does nothing by itself."""
    with running_server(tmp_path, max_upload_bytes="100k", max_files="50") as running:
        yield running


def send(server, text, packed=None, *, scope=SCOPE, path="/submit-async", headers=None, **fields):
    files = {"manifest": (None, text)} | {name: (None, value) for name, value in fields.items()}
    if packed is not None:
        files["file"] = ("project.zip", packed, "application/zip")
    scoped = {"CI-Scope": scope} if scope else {}
    return plain_http.post(
        server.url + path, files=files, headers=scoped | (headers or {}), timeout=30
    )


def accepted(answer) -> str:
    assert answer.status_code == 200, answer.text
    return answer.json()["job_id"]


def refused(answer, status: int, code: str) -> dict:
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    return problem


def contents(server, job_id: str) -> dict[str, bytes]:
    with open_project(server.job(job_id).zip_path) as (files, _):
        return collect_files(files, files.paths, ZipLimits())


def left(server) -> dict[str, int]:
    """How many files are in each folder."""
    top = server.settings.data_folder
    folders = ("tmp", "stash", "packs")
    return {name: len(list((top / name).glob("*"))) for name in folders}


def test_what_is_missing_is_asked_for_by_row(server):
    sent = [row(path, content) for path, content in FILES.items()]
    problem = refused(send(server, manifest(sent)), 409, "blobs_missing")
    assert problem["missing"] == [[0, 2]]
    assert "3 of the manifest's 3 files" in problem["detail"]

    problem = refused(send(server, manifest(sent), pack(FILES["src/b.py"])), 409, "blobs_missing")
    assert problem["missing"] == [[0, 0], [2, 2]]

    rest = pack(FILES["src/a.py"], FILES["test_it.py"])
    job_id = accepted(send(server, manifest(sent), rest))
    assert contents(server, job_id) == FILES


def test_an_unchanged_tree_brings_nothing(server):
    text = manifest_of(FILES)
    first = accepted(send(server, text, pack(*FILES.values())))
    second = accepted(send(server, text))
    assert first != second
    assert contents(server, second) == FILES
    assert left(server) == {"tmp": 0, "stash": 2, "packs": 1}


def test_one_changed_file_travels_alone_and_a_moved_one_not_at_all(server):
    accepted(send(server, manifest_of(FILES), pack(*FILES.values())))
    changed = FILES | {"src/b.py": b"b = 3\n", "moved.py": FILES["test_it.py"]}
    job_id = accepted(send(server, manifest_of(changed), pack(b"b = 3\n")))
    assert contents(server, job_id) == changed


def test_links_and_modes_are_those_of_the_manifest(server):
    rows = [row("run.sh", b"true\n", mode="755"), row("test_it.py", b"")]
    text = manifest(rows, [link_row("link", "run.sh")])
    job_id = accepted(send(server, text, pack(b"true\n", b"")))
    with open_project(server.job(job_id).zip_path) as (files, _):
        assert [entry.mode for entry in files.entries] == [0o755, 0o755, 0o644]
        assert files.tree.targets == {"link": b"run.sh"}


def test_a_gzipped_manifest_is_the_same_one(server):
    text = manifest_of(FILES)
    key = {"Idempotency-Key": "k"}
    first = accepted(send(server, text, pack(*FILES.values()), headers=key))
    assert accepted(send(server, gzip.compress(text), headers=key)) == first


def test_recipe_and_options_come_from_the_tree(server):
    files = FILES | {"ci.toml": b'image = "other:1"\ninstall = []\ncommand = "make"\n'}
    packed = pack(*files.values())
    job = server.job(accepted(send(server, manifest_of(files), packed, project="demo")))
    assert (job.recipe.image, job.recipe.command, job.project) == ("other:1", "make", "demo")
    own = json.dumps(["pytest", "-x"])
    job = server.job(accepted(send(server, manifest_of(files), command=own)))
    assert job.recipe.command == ("pytest", "-x")


def test_a_wrong_configuration_is_refused_and_leaves_no_job(server):
    files = {"ci.toml": b"nonsense = 1\n"}
    refused(send(server, manifest_of(files), pack(*files.values())), 400, "invalid_recipe")
    assert left(server) == {"tmp": 0, "stash": 0, "packs": 1}
    assert server.get("/jobs").json() == []


def test_a_repeated_submission_is_the_first_job(server):
    key, text, packed = {"Idempotency-Key": "k"}, manifest_of(FILES), pack(*FILES.values())
    first = accepted(send(server, text, packed, headers=key))
    assert accepted(send(server, text, packed, headers=key)) == first
    assert accepted(send(server, text, headers=key)) == first
    assert left(server)["stash"] == 1
    other = manifest_of(FILES | {"src/b.py": FILES["src/a.py"]})
    refused(send(server, other, headers=key), 422, "idempotency_conflict")


def test_nobody_can_refer_to_what_another_sent(server):
    accepted(send(server, manifest_of(FILES), pack(*FILES.values())))
    problem = refused(send(server, manifest_of(FILES), scope="5d" * 32), 409, "blobs_missing")
    assert problem["missing"] == [[0, 2]]


def test_the_secret_of_a_scope_is_not_kept(server):
    accepted(send(server, manifest_of(FILES), pack(*FILES.values())))
    with closing(sqlite3.connect(server.settings.db_path)) as connection:
        (kept,) = connection.execute("SELECT sha256 FROM scopes").fetchone()
    assert kept.hex() == sha256(bytes.fromhex(SCOPE))


@pytest.mark.parametrize("scope", ["", "5C" * 32, "5c" * 31, "5c" * 33])
def test_a_manifest_needs_a_scope(server, scope):
    problem = refused(send(server, manifest_of(FILES), scope=scope), 400, "invalid_request")
    assert "CI-Scope" in problem["detail"]


@pytest.mark.parametrize(
    ("text", "packed", "words"),
    [
        (manifest([row("a", b"right")]), build(file(sha256(b"right"), b"wrong")), "SHA-256"),
        (manifest([row("a", b"a")]), pack(b"a", b"more"), "does not name"),
        (manifest([row("a", b"a")]), b"PK", "not a zip"),
        (manifest([row("../a", b"a")]), pack(b"a"), "leads out of the project"),
        (manifest([row("/a", b"a")]), None, "is absolute"),
        (manifest([row("a"), row("a")]), None, "more than once"),
        (manifest([row("a")], [link_row("l", "../..")]), None, "leads out of the project"),
        (manifest([row(f"f{n}") for n in range(51)]), None, "more than 50 files"),
        (manifest([row("a", b"a", size=2)]), pack(b"a"), "1 bytes long, not 2"),
    ],
)
def test_hostile_submissions_are_refused_as_hostile_zips_are(server, text, packed, words):
    problem = refused(send(server, text, packed), 400, "invalid_archive")
    assert words in problem["detail"]
    assert left(server)["tmp"] == left(server)["stash"] == 0


def test_what_was_refused_for_its_content_is_not_there_afterwards(server):
    wrong = build(file(sha256(b"right"), b"wrong"))
    refused(send(server, manifest([row("a", b"right")]), wrong), 400, "invalid_archive")
    refused(send(server, manifest([row("a", b"right")])), 409, "blobs_missing")
    assert left(server)["packs"] == 0


def test_one_blob_many_times_counts_as_often(tmp_path):
    zeros = bytes(10**6)
    with running_server(tmp_path, max_ratio="100") as server:
        text = manifest(row(f"f{number}", zeros) for number in range(100))
        problem = refused(send(server, text, pack(zeros)), 400, "invalid_archive")
    assert "100 times their packed size" in problem["detail"]


def test_a_manifest_has_a_limit_and_so_has_its_file(server):
    long = b" " * (32 * 1024**2 + 1)
    assert "manifest is too long" in refused(send(server, long), 400, "invalid_request")["detail"]
    refused(send(server, manifest_of(FILES), bytes(100_001 + 2400)), 413, "upload_too_large")


def test_a_server_may_take_no_manifests(tmp_path):
    with running_server(tmp_path, blob_bytes="0") as server:
        assert server.get("/version").json()["manifests"] is False
        problem = refused(send(server, manifest_of(FILES)), 400, "invalid_request")
        assert "CI_BLOB_BYTES=0" in problem["detail"]
        assert server.submit()


def test_a_pack_whose_file_is_lost_is_asked_for_again(server):
    text = manifest_of(FILES)
    accepted(send(server, text, pack(*FILES.values())))
    for path in (server.settings.data_folder / "packs").iterdir():
        path.unlink()
    problem = refused(send(server, text), 409, "blobs_missing")
    assert problem["missing"] == [[0, 2]]
    job_id = accepted(send(server, text, pack(*FILES.values())))
    assert contents(server, job_id) == FILES


def test_a_pack_that_is_damaged_where_the_recipe_is_read_is_asked_for_again(server):
    files = FILES | {"ci.toml": b"install = []\ncommand = 'true'\n"}
    text = manifest_of(files)
    accepted(send(server, text, pack(*files.values())))
    (path,) = (server.settings.data_folder / "packs").iterdir()
    path.write_bytes(bytes(path.stat().st_size))
    refused(send(server, text), 409, "blobs_missing")
    assert not path.exists()


def test_a_pack_that_goes_while_the_tree_is_written_is_asked_for(server, monkeypatch):
    text = manifest_of(FILES)
    accepted(send(server, text, pack(*FILES.values())))
    (job,) = server.call(server.parts.repository.list_recent(limit=9))
    server.finish(server.claim(job.id))
    blobs = server.parts.repository.blobs
    stash = server.parts.repository.stash
    keep_tree = stash.keep_tree

    def sweep_meanwhile(job_id: str, content: bytes) -> Upload:
        tree = keep_tree(job_id, content)
        for pack_ in server.call(blobs.packs()):
            assert server.call(blobs.drop(pack_))
            stash.remove_pack(pack_.id)
        return tree

    monkeypatch.setattr(stash, "keep_tree", sweep_meanwhile)
    problem = refused(send(server, text), 409, "blobs_missing")
    assert problem["missing"] == [[0, 2]]
    assert left(server) == {"tmp": 0, "stash": 1, "packs": 0}


@pytest.mark.parametrize("row_of", ["the tree", "the pack"])
def test_a_sweep_takes_nothing_whose_row_is_still_to_come(server, monkeypatch, row_of):
    repository = server.parts.repository
    store, name = {
        "the tree": (repository, "add"),
        "the pack": (repository.blobs, "add_pack"),
    }[row_of]
    real, swept = getattr(store, name), []

    async def sweep_first(*arguments):
        late = FakeClock()
        late.jump_wall(10**9)
        swept.append(await sweep(repository, late, grace=0))
        swept.append(await sweep_packs(repository, late, grace=0, budget=10**9, age=10**10))
        return await real(*arguments)

    monkeypatch.setattr(store, name, sweep_first)
    job_id = accepted(send(server, manifest_of(FILES), pack(*FILES.values())))
    assert swept == [0, 0]
    assert contents(server, job_id) == FILES


def test_a_job_lets_go_of_its_packs_when_it_ends(server):
    job_id = accepted(send(server, manifest_of(FILES), pack(*FILES.values())))

    def held() -> list[bool]:
        return [p.held for p in server.call(server.parts.repository.blobs.packs())]

    assert held() == [True]
    job = server.claim(job_id)
    assert held() == [True]
    server.finish(job)
    assert eventually(lambda: held() == [False], what="the pack is free")


@pytest.mark.parametrize("path", ["/submit", "/submit-stream", "/api/v1/submit-async"])
def test_every_way_to_submit_takes_a_manifest(server, path):
    answer = send(server, manifest_of(FILES), path=path)
    refused(answer, 409, "blobs_missing")


def test_the_description_has_manifest_scope_and_problem(server):
    document = server.get("/schema/openapi.json").json()
    operation = document["paths"]["/api/v1/submit"]["post"]
    fields = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert {"file", "manifest", "command", "project"} <= set(fields)
    assert {"Idempotency-Key", "CI-Scope"} <= {each["name"] for each in operation["parameters"]}
    assert "409" in operation["responses"]


def test_the_page_for_other_clients_names_it_all():
    page = (Path(__file__).parents[2] / "docs/http-api.md").read_text()
    assert all(f"`{word}`" in page for word in ("manifest", "CI-Scope", "blobs_missing", "missing"))
