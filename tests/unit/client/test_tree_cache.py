"""What is remembered, and that nothing depends on it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_client import tree_cache
from ci_client.tree_cache import CacheFolder, TreeCache

URL = "http://ci.example"


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder({"XDG_CACHE_HOME": str(tmp_path)})


def full() -> TreeCache:
    return TreeCache(
        "5c" * 32,
        refused_at=7,
        names=b"a\0b\0",
        stamps=bytes(range(64)),
        links=b"[]",
        manifest=b"zipped",
    )


def test_what_was_written_is_read(folder: CacheFolder, tmp_path: Path) -> None:
    assert folder.read("/p", URL) is None
    folder.write("/p", URL, full())
    read = folder.read("/p", URL)
    assert read is not None
    assert vars(read) == vars(full())
    assert folder.read("/p", "http://other.example") is None
    assert folder.read("/q", URL) is None
    (path,) = (tmp_path / "standby-ci/trees").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_folders_that_share_a_name_are_never_mixed_up(
    folder: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree_cache.CacheFolder, "_path", lambda self, *_: f"{self._trees}/same")
    folder.write("/p", URL, full())
    assert folder.read("/q", URL) is None
    assert folder.read("/p", "http://other.example") is None
    assert folder.read("/p", URL) is not None


@given(at=st.integers(0, 10_000), data=st.binary(min_size=1, max_size=8), cut=st.integers(0, 300))
def test_damage_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, at: int, data: bytes, cut: int
) -> None:
    top = tmp_path_factory.getbasetemp() / "damaged"
    folder = CacheFolder({"XDG_CACHE_HOME": str(top)})
    folder.write("/p", URL, full())
    (path,) = (top / "standby-ci/trees").iterdir()
    raw = bytearray(path.read_bytes())
    at %= len(raw)
    raw[at : at + len(data)] = data
    path.write_bytes(raw[: len(raw) - cut] if cut < len(raw) else b"")
    read = folder.read("/p", URL)
    assert read is None or vars(read) == vars(full())


@pytest.mark.parametrize("base", ["/proc/nothing", "/dev/null"])
def test_where_nothing_can_be_written_nothing_is_kept(base: str) -> None:
    folder = CacheFolder({"XDG_CACHE_HOME": base})
    assert folder.scope(URL) is None
    folder.write("/p", URL, full())
    assert folder.read("/p", URL) is None


def test_a_relative_place_is_not_used(own_home: Path) -> None:
    folder = CacheFolder({"XDG_CACHE_HOME": "here"})
    assert folder.scope(URL)
    assert (own_home / ".cache/standby-ci/secret").is_file()


def test_the_scope_stays_and_differs_from_server_to_server(
    folder: CacheFolder, tmp_path: Path
) -> None:
    scope = folder.scope(URL)
    assert scope == folder.scope(URL)
    assert len(bytes.fromhex(scope or "")) == 32
    assert scope != folder.scope("http://other.example")
    secret = tmp_path / "standby-ci/secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert secret.read_bytes().hex() not in (scope or "")
    secret.unlink()
    assert folder.scope(URL) != scope


def test_a_secret_that_is_too_short_is_not_used(folder: CacheFolder, tmp_path: Path) -> None:
    folder.scope(URL)
    (tmp_path / "standby-ci/secret").write_bytes(b"short")
    assert folder.scope(URL) is None


def test_many_at_once_agree_on_one_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1000))
    monkeypatch.setattr(os, "getpid", lambda: next(numbers))
    folder = CacheFolder({"XDG_CACHE_HOME": str(tmp_path)})
    with ThreadPoolExecutor(8) as threads:
        scopes = set(threads.map(lambda _: folder.scope(URL), range(32)))
    assert len(scopes) == 1
    assert [path.name for path in (tmp_path / "standby-ci").iterdir()] == ["secret"]


def test_only_so_many_are_kept(folder: CacheFolder, tmp_path: Path) -> None:
    trees = tmp_path / "standby-ci/trees"
    for number in range(tree_cache._MOST_FILES):
        folder.write(f"/p{number}", URL, full())
        for path in trees.iterdir():
            os.utime(path, (number, number) if path.stat().st_mtime > 1e6 else None)
    folder.write("/new", URL, full())
    assert len(list(trees.iterdir())) == tree_cache._MOST_FILES
    assert folder.read("/new", URL) is not None
