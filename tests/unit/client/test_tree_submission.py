"""What goes over the wire when a project is submitted again."""

import gzip
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ci_client import manifest as manifest_module
from ci_client.sending import Project
from ci_client.session import Session
from ci_client.tree_cache import CacheFolder, TreeCache
from ci_common.errors import InvalidArchive, InvalidRequest, ServerRefused
from tests.unit.client.cli_harness import JOB
from tests.unit.client.scripted_server import Handler, Reply, Script, Seen, answer, drop, problem

ACCEPTED = answer({"job_id": JOB})
NEW_SERVER = answer({"version": "1", "manifests": True})
OLD_SERVER = answer({"version": "1"})
SIZE = 150_000


def missing(*runs: list[int]) -> Reply:
    document = {"code": "blobs_missing", "detail": "…", "missing": runs}
    return answer(document, 409, content_type="application/problem+json")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three files that are worth a manifest, and a link."""
    folder = tmp_path / "big"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.bin", "b.txt", "sub/ünï\ncode.txt")):
        (folder / name).write_bytes(bytes([number]) * SIZE)
    (folder / "b.txt").chmod(0o755)
    (folder / "link").symlink_to("b.txt")
    return folder


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files for unchanged however lately they were written."""
    monkeypatch.setattr(manifest_module, "_RACY", -(10**15))


class Client:
    """Submits, and tells what it read, warned of and sent."""

    def __init__(self, script: Script, environ: dict[str, str]) -> None:
        self.script = script
        self.environ = environ
        self.read: list[str] = []
        self.warnings: list[str] = []

    def submit(self, folder: Path, *replies: Reply) -> list[Seen]:
        """Submit; return the requests it took."""
        from ci_client.files import select_files

        self.script.will(*replies)
        self.script.seen.clear()
        self.read.clear()
        project = Project(str(folder), select_files(folder), progress=self)
        with (
            Session(self.script.url) as server,
            project.submission(server, self.environ, self.warnings.append) as submission,
        ):
            assert server.submit(submission) == JOB
        return list(self.script.seen)

    uploaded = False

    def packing(self, name: str) -> None:
        self.read.append(name)

    def sending(self, sent: int, total: int) -> None:
        assert 0 <= sent <= total
        assert total > 0


@pytest.fixture
def client(script: Script, tmp_path: Path) -> Client:
    return Client(script, {"XDG_CACHE_HOME": str(tmp_path / "cache")})


def parts(seen: Seen) -> dict[str, bytes]:
    """The fields of a form."""
    boundary = seen.headers["content-type"].partition("boundary=")[2].encode()
    found = {}
    for part in seen.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="(\w+)"', head)
        assert name
        found[name[1].decode()] = content[:-2]
    return found


def manifest_in(seen: Seen) -> dict[str, Any]:
    return json.loads(gzip.decompress(parts(seen)["manifest"]))


def blobs_in(seen: Seen) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(parts(seen)["file"])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def first(client: Client, folder: Path) -> list[Seen]:
    """Submit to a server that takes manifests and has nothing."""
    return client.submit(folder, NEW_SERVER, ACCEPTED)


def test_the_first_time_the_server_is_asked_and_gets_everything(
    client: Client, project: Path
) -> None:
    version, submitted = first(client, project)
    assert (version.method, version.path) == ("GET", "/version")
    rows = manifest_in(submitted)
    contents = {n: (project / n).read_bytes() for n in ("a.bin", "b.txt", "sub/ünï\ncode.txt")}
    seconds = {name: int((project / name).stat().st_mtime) for name in contents}
    assert rows["files"] == [
        [name, "755" if name == "b.txt" else "644", seconds[name], SIZE, sha256(content)]
        for name, content in contents.items()
    ]
    assert [(name, target) for name, _, target in rows["links"]] == [("link", "b.txt")]
    assert blobs_in(submitted) == {sha256(content): content for content in contents.values()}
    assert re.fullmatch("[0-9a-f]{64}", submitted.headers["ci-scope"])


def test_the_second_time_nothing_is_read_and_one_request_does(
    client: Client, project: Path, trusting: None
) -> None:
    _, once = first(client, project)
    (again,) = client.submit(project, ACCEPTED)
    assert client.read == []
    assert set(parts(again)) == {"project", "manifest"}
    assert parts(again)["manifest"] == parts(once)["manifest"]
    assert again.headers["ci-scope"] == once.headers["ci-scope"]
    assert len(again.body) < 1500


def test_what_changed_is_read_and_travels_alone(
    client: Client, project: Path, trusting: None
) -> None:
    first(client, project)
    (project / "a.bin").write_bytes(b"new" * 10)
    (changed,) = client.submit(project, ACCEPTED)
    assert client.read == ["a.bin"]
    assert list(blobs_in(changed).values()) == [b"new" * 10]
    (after,) = client.submit(project, ACCEPTED)
    assert client.read == []
    assert "file" not in parts(after)
    assert manifest_in(after) == manifest_in(changed)


@pytest.mark.parametrize("what", ["mode", "touched", "renamed", "link", "gone", "replaced"])
def test_every_change_shows_in_the_manifest_and_only_new_content_travels(
    client: Client, project: Path, trusting: None, what: str
) -> None:
    _, before = first(client, project)
    file = project / "a.bin"
    status = file.stat()
    if what == "mode":
        file.chmod(0o755)
    elif what == "touched":
        os.utime(file, (1e9, 1e9))
    elif what == "renamed":
        file.rename(project / "c.bin")
    elif what == "link":
        (project / "link").unlink()
        (project / "link").symlink_to("a.bin")
    elif what == "gone":
        file.unlink()
    else:  # by another file of the same size and time
        (project / "new").write_bytes(b"\xff" * SIZE)
        os.utime(project / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
        (project / "new").rename(file)
    (after,) = client.submit(project, ACCEPTED)
    assert manifest_in(after) != manifest_in(before)
    assert ("file" in parts(after)) is (what == "replaced")


def test_what_changed_a_moment_ago_is_not_trusted(client: Client, project: Path) -> None:
    first(client, project)
    status = (project / "a.bin").stat()
    (project / "a.bin").write_bytes(b"\xff" * SIZE)
    os.utime(project / "a.bin", ns=(status.st_atime_ns, status.st_mtime_ns))
    (after,) = client.submit(project, ACCEPTED)
    assert len(client.read) == 3
    assert list(blobs_in(after).values()) == [b"\xff" * SIZE]


def test_a_file_that_was_changed_back_is_sent_only_if_it_has_to(
    client: Client, project: Path, trusting: None
) -> None:
    first(client, project)
    old = (project / "a.bin").read_bytes()
    (project / "a.bin").write_bytes(b"other")
    client.submit(project, ACCEPTED)
    (project / "a.bin").write_bytes(old)
    (back,) = client.submit(project, ACCEPTED)
    assert list(blobs_in(back).values()) == [old]


def test_a_small_project_goes_as_a_zip_without_a_question(client: Client, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small/a").write_bytes(bytes(200_000))
    (seen,) = client.submit(tmp_path / "small", ACCEPTED)
    assert set(parts(seen)) == {"project", "file"}
    assert "ci-scope" not in seen.headers
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert not (tmp_path / "cache").exists()


def test_what_is_missing_is_brought_without_a_word(
    client: Client, project: Path, trusting: None
) -> None:
    first(client, project)
    asked, brought = client.submit(project, missing([0, 0], [2, 2]), ACCEPTED)
    assert "file" not in parts(asked)
    assert parts(brought)["manifest"] == parts(asked)["manifest"]
    assert [content[:1] for content in blobs_in(brought).values()] == [b"\0", b"\2"]
    assert asked.headers["idempotency-key"] == brought.headers["idempotency-key"]
    assert client.warnings == []


def test_before_much_is_sent_it_is_asked_for(client: Client, project: Path) -> None:
    (project / "much.bin").write_bytes(os.urandom(1_500_000))
    _, asked, brought = client.submit(project, NEW_SERVER, missing([2, 2]), ACCEPTED)
    assert set(parts(asked)) == {"project", "manifest"}
    (content,) = blobs_in_chunks(brought).values()
    assert content == (project / "much.bin").read_bytes()


def blobs_in_chunks(seen: Seen) -> dict[str, bytes]:
    assert seen.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in seen.headers
    return blobs_in(seen)


@pytest.mark.parametrize("runs", [([0, 2],), (), ([0, 3],), ([-1, 0],), ([2, 0],), ([0, 10**12],)])
def test_a_server_that_never_has_enough_gets_a_zip(
    client: Client, project: Path, trusting: None, runs: tuple[list[int], ...]
) -> None:
    first(client, project)
    refusals = [missing(*runs)] * (3 if runs == ([0, 2],) else 1)
    *asked, last = client.submit(project, *refusals, ACCEPTED)
    assert len(asked) == len(refusals)
    assert set(parts(last)) == {"project", "file"}
    assert "ci-scope" not in last.headers
    with zipfile.ZipFile(io.BytesIO(parts(last)["file"])) as archive:
        assert sorted(archive.namelist()) == ["a.bin", "b.txt", "link", "sub/ünï\ncode.txt"]


class TestServersThatTakeNone:
    def zip_alone(self, seen: Seen) -> None:
        assert set(parts(seen)) == {"project", "file"}

    def test_an_old_one_gets_a_zip_and_is_not_asked_again(
        self, client: Client, project: Path
    ) -> None:
        version, sent = client.submit(project, OLD_SERVER, ACCEPTED)
        assert version.path == "/version"
        self.zip_alone(sent)
        (again,) = client.submit(project, ACCEPTED)
        self.zip_alone(again)

    def test_it_is_asked_again_after_a_day(self, client: Client, project: Path) -> None:
        client.submit(project, OLD_SERVER, ACCEPTED)
        folder, root = CacheFolder(client.environ), os.path.realpath(project)
        known = folder.read(root, client.script.url)
        assert known
        known.refused_at -= 24 * 3600 + 1
        folder.write(root, client.script.url, known)
        version, sent = first(client, project)
        assert version.path == "/version"
        assert "manifest" in parts(sent)

    def test_one_that_has_become_old_gets_a_zip_at_once(
        self, client: Client, project: Path, trusting: None
    ) -> None:
        first(client, project)
        refusal = problem(400, "invalid_request", "the form has a field 'manifest' that means…")
        refused, sent = client.submit(project, refusal, ACCEPTED)
        assert "manifest" in parts(refused)
        self.zip_alone(sent)
        (again,) = client.submit(project, ACCEPTED)
        self.zip_alone(again)

    @pytest.mark.parametrize("reply", [answer(b"<html>", 404), answer({}, 503), drop])
    def test_one_that_cannot_say_gets_a_zip(
        self, client: Client, project: Path, reply: Reply
    ) -> None:
        _, sent = client.submit(project, reply, ACCEPTED)
        self.zip_alone(sent)

    def test_what_both_are_refused_for_is_told_as_ever(
        self, client: Client, project: Path, trusting: None
    ) -> None:
        first(client, project)
        with pytest.raises(InvalidRequest, match="wrong"):
            client.submit(project, problem(400, "invalid_request", "wrong"))
        assert len(client.script.seen) == 2

    def test_a_project_that_is_refused_is_refused_once(
        self, client: Client, project: Path, trusting: None
    ) -> None:
        first(client, project)
        with pytest.raises(InvalidArchive, match="leads out"):
            client.submit(project, problem(400, "invalid_archive", "leads out"))
        assert len(client.script.seen) == 1

    def test_an_answer_of_something_else_is_told(
        self, client: Client, project: Path, trusting: None
    ) -> None:
        first(client, project)
        with pytest.raises(ServerRefused):
            client.submit(project, answer(b"<html>nginx", 404))


class TestFilesThatChangeMeanwhile:
    def change_then(self, path: Path, reply: Reply) -> Reply:
        def change(handler: Handler) -> None:
            path.write_bytes(b"changed in between")
            reply(handler)

        return change

    def test_between_hash_and_upload_a_zip_is_sent(
        self, client: Client, project: Path, trusting: None
    ) -> None:
        first(client, project)
        refusal = self.change_then(project / "a.bin", missing([0, 0]))
        _, sent = client.submit(project, refusal, ACCEPTED)
        with zipfile.ZipFile(io.BytesIO(parts(sent)["file"])) as archive:
            assert archive.read("a.bin") == b"changed in between"

    def test_also_when_the_upload_has_begun(self, client: Client, project: Path) -> None:
        for name in ("much.bin", "z.bin"):
            (project / name).write_bytes(os.urandom(1_500_000))
        refusal = self.change_then(project / "z.bin", missing([0, 4]))
        _, _, *broken, sent = client.submit(project, NEW_SERVER, refusal, ACCEPTED)
        with zipfile.ZipFile(io.BytesIO(parts(sent)["file"])) as archive:
            assert archive.read("z.bin") == b"changed in between"
        assert broken == []  # what broke off was no request

    def test_a_file_that_vanishes_is_left_out_and_mentioned(
        self, client: Client, project: Path
    ) -> None:
        vanish = self.vanishing(project / "a.bin")
        _, sent = client.submit(project, vanish(NEW_SERVER), ACCEPTED)
        assert [row[0] for row in manifest_in(sent)["files"]] == ["b.txt", "sub/ünï\ncode.txt"]
        assert client.warnings == ["a.bin is left out: No such file or directory"]

    def vanishing(self, path: Path) -> Callable[[Reply], Reply]:
        def wrap(reply: Reply) -> Reply:
            def vanish(handler: Handler) -> None:
                path.unlink()
                reply(handler)

            return vanish

        return wrap


def test_a_broken_connection_brings_the_same_bytes_under_the_same_key(
    client: Client, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "much.bin").write_bytes(os.urandom(1_500_000))
    _, _, *sent = client.submit(project, NEW_SERVER, missing([0, 3]), drop, ACCEPTED)
    assert len({seen.headers["idempotency-key"] for seen in sent}) == 1
    assert [parts(seen)["file"] for seen in sent[1:]] == [parts(sent[0])["file"]]
    assert len(sent) == 2


@pytest.mark.parametrize("base", ["/dev/null", "/proc/nothing"])
def test_without_a_place_for_the_secret_it_is_a_zip(
    script: Script, project: Path, base: str
) -> None:
    (seen,) = Client(script, {"XDG_CACHE_HOME": base}).submit(project, ACCEPTED)
    assert set(parts(seen)) == {"project", "file"}


def test_a_cache_that_is_damaged_costs_a_reading(
    client: Client, project: Path, trusting: None
) -> None:
    first(client, project)
    for path in Path(client.environ["XDG_CACHE_HOME"]).glob("standby-ci/trees/*"):
        path.write_bytes(b"SCITREE1 and then nothing")
    version, sent = first(client, project)
    assert version.path == "/version"
    assert len(client.read) == 3
    assert set(blobs_in(sent)) == {row[4] for row in manifest_in(sent)["files"]}


def test_two_servers_do_not_share_a_scope_or_what_they_have(
    client: Client, project: Path, trusting: None
) -> None:
    _, one = first(client, project)
    folder = CacheFolder(client.environ)
    assert folder.read(os.path.realpath(project), "http://other.example") is None
    assert folder.scope("http://other.example") != one.headers["ci-scope"]


def rows(count: int) -> Iterator[str]:
    for number in range(count):
        yield f'["f{number}","644",0,1,"{number:064x}"]'


def test_rows_are_found_again_in_what_was_sent() -> None:
    for links in ("", '["l",0,"],\\n"]'):
        for count in (0, 1, 3):
            text = '{"files":[\n' + ",\n".join(rows(count)) + f'\n],"links":[{links}]' + "}"
            assert manifest_module.rows_of(gzip.compress(text.encode())) == list(rows(count))


def test_the_cache_of_a_tree_that_was_refused_is_not_kept(
    client: Client, project: Path, trusting: None
) -> None:
    with pytest.raises(InvalidArchive):
        client.submit(project, NEW_SERVER, problem(400, "invalid_archive", "no"))
    known = CacheFolder(client.environ).read(os.path.realpath(project), client.script.url)
    assert known is None
    assert isinstance(TreeCache("x").manifest, bytes)
