"""Fetching artifacts: nothing is written outside of the folder that was named, whatever is said."""

import hashlib
from contextlib import contextmanager

import pytest

from ci_client.results import Fetcher, chosen, collected
from ci_common.errors import ClientError, InvalidRequest, ResultNotFound

CONTENT = b"content"


class Server:
    """A server that sends the same for every file, or answers one after the other."""

    def __init__(self, *answers: dict) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def manage(self, _method: str, path: str) -> dict:
        self.asked.append(path)
        return self.answers.pop(0)

    @contextmanager
    def managed(self, path: str):
        self.asked.append(path)
        yield self

    def pieces(self):
        yield CONTENT


def file(path: str, content: bytes = CONTENT) -> dict:
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "executable": False}


def fetch(folder, *files: dict, force: bool = False) -> None:
    Fetcher(Server(), "1-2", str(folder), force=force).fetch(files)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../../x", "a//x", ".", "..", "", "a/./x", "x\0y", "a/.."]
)
def test_a_path_that_leads_elsewhere_is_refused_and_nothing_is_written(tmp_path, path):
    folder = tmp_path / "into"
    with pytest.raises(InvalidRequest, match="outside"):
        fetch(folder, file("fine"), file(path))
    assert list(tmp_path.rglob("*")) == []


def test_a_link_in_the_folder_does_not_lead_out_of_it(tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "into/link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidRequest, match="outside"):
        fetch(tmp_path / "into", file("link/x"), force=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_in_a_files_place_is_replaced_and_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    (tmp_path / "into").mkdir()
    (tmp_path / "into/x").symlink_to(target)
    with pytest.raises(InvalidRequest, match="there already"):
        fetch(tmp_path / "into", file("x"))
    fetch(tmp_path / "into", file("x"), force=True)
    assert target.read_bytes() == b"mine"
    assert (tmp_path / "into/x").read_bytes() == CONTENT


def test_what_does_not_arrive_as_it_was_kept_is_not_there(tmp_path):
    with pytest.raises(ClientError, match="try again"):
        fetch(tmp_path, file("x", b"other"))
    assert list(tmp_path.iterdir()) == []


def test_if_one_is_there_none_is_fetched(tmp_path):
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(InvalidRequest, match="there already"):
        fetch(tmp_path, file("a"), file("b"))
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_files_are_chosen_by_name_or_folder():
    files = [file("a/b"), file("a/c"), file("ab")]
    assert chosen(files, ()) == files
    assert chosen(files, ("a", "./a/b")) == files[:2]
    with pytest.raises(ResultNotFound):
        chosen(files, ("a", "nothing"))


def test_what_is_pending_is_waited_for():
    pauses: list[float] = []
    server = Server({"state": "pending"}, {"state": "pending"}, {"state": "collected"})
    assert collected(server, "1-2", "artifacts", pauses.append) == {"state": "collected"}
    assert len(pauses) == 2
    assert server.asked == ["/jobs/1-2/artifacts"] * 3
