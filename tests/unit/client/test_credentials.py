"""Keys that are kept: for whom, who can read them, and what a crash leaves of them."""

import os
import stat
import threading
from pathlib import Path

import pytest

from ci_client import credentials
from ci_client.credentials import IN_KEYRING, Credentials, origin_in
from ci_common.errors import ConfigurationError

URL = "https://ci.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config/standby-ci/credentials"


@pytest.fixture
def kept(path: Path) -> Credentials:
    return Credentials(str(path))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_found_again_and_forgotten(kept: Credentials) -> None:
    assert kept.find(URL) is None
    kept.keep(URL, "key-1")
    kept.keep("http://localhost:8000", IN_KEYRING)
    assert kept.find(URL) == "key-1"
    kept.keep(URL, "key-2")
    assert kept.find(URL) == "key-2"
    assert kept.forget(URL)
    assert kept.find(URL) is None
    assert not kept.forget(URL)
    assert kept.find("http://localhost:8000") == IN_KEYRING


@pytest.mark.parametrize(
    ("kept_for", "asked_for", "same"),
    [
        (URL, "https://ci.example/", True),
        (URL, "HTTPS://CI.Example:443/prefix", True),
        (URL, "https://ann:secret@ci.example", True),
        ("ci.example:8000", "http://ci.example:8000", True),
        ("http://ci.example", "http://ci.example:80", True),
        ("http://[::1]:8000", "[::1]:8000/", True),
        ("http://bücher.example", "http://xn--bcher-kva.example", True),
        (URL, "http://ci.example:443", False),
        (URL, "http://ci.example", False),
        (URL, "https://ci.example:8443", False),
        (URL, "https://ci.example.evil.example", False),
        (URL, "https://ci.example@evil.example", False),
        (URL, "https://evil.example/https://ci.example", False),
        (URL, "https://evil.example#ci.example", False),
        (URL, "https://ci.example.", False),
        (URL, "ftp://ci.example", False),
        (URL, "", False),
        ("http://127.0.0.1:1", "http://localhost:1", False),
        ("http://a:80", "http://a:8", False),
    ],
)
def test_a_key_is_for_one_scheme_host_and_port(
    kept: Credentials, kept_for: str, asked_for: str, same: bool
) -> None:
    kept.keep(kept_for, "key")
    assert kept.find(asked_for) == ("key" if same else None)
    assert kept.forget(asked_for) is same


def test_only_the_owner_can_read_it_whatever_the_umask(path: Path, kept: Credentials) -> None:
    before = os.umask(0)
    try:
        kept.keep(URL, "key")
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    path.chmod(0o644)
    kept.keep(URL, "other")
    assert mode(path) == 0o600


@pytest.mark.parametrize("shared", [0o640, 0o604, 0o620, 0o666])
def test_what_others_can_get_at_is_not_used(path: Path, kept: Credentials, shared: int) -> None:
    kept.keep(URL, "key")
    path.chmod(shared)
    with pytest.raises(ConfigurationError, match="others can read it") as caught:
        kept.find(URL)
    assert f"chmod 600 {path}" in str(caught.value.hint)
    # Whoever has no key there is not troubled, and a key can always be forgotten.
    assert kept.find("http://localhost:8000") is None
    assert kept.forget(URL)


def test_a_write_that_fails_leaves_the_file_as_it_was(
    path: Path, kept: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.keep(URL, "key")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        assert path.read_bytes() == before
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(credentials.os, "replace", fail)
        with pytest.raises(ConfigurationError, match="cannot be written: No space left"):
            kept.keep(URL, "other")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["credentials"]


def test_what_a_killed_process_left_is_in_nobodys_way(path: Path, kept: Credentials) -> None:
    kept.keep(URL, "key")
    left = path.with_name("credentials.new")
    left.write_text("half a li")
    left.chmod(0o644)
    kept.keep(URL, "other")
    assert kept.find(URL) == "other"
    assert mode(path) == 0o600
    assert not left.exists()


def test_a_link_stays_a_link(path: Path, kept: Credentials, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles/ci"
    target.parent.mkdir()
    path.parent.mkdir(parents=True)
    path.symlink_to(target)
    kept.keep(URL, "key")
    assert path.is_symlink()
    assert mode(target) == 0o600
    assert kept.find(URL) == "key"


def test_two_at_once_both_keep_theirs(kept: Credentials) -> None:
    urls = [f"http://host-{number}:1" for number in range(20)]
    threads = [threading.Thread(target=kept.keep, args=(url, url)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [kept.find(url) for url in urls] == urls


@pytest.mark.parametrize("content", [b"one-word\n", b"a b c\n", "http://a:1 kä\n".encode()])
def test_a_damaged_file_is_told_with_the_way_out(
    path: Path, kept: Credentials, content: bytes
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read: it is damaged") as caught:
        kept.find(URL)
    assert "delete it and sign in again" in str(caught.value.hint)


def test_what_is_no_address_has_no_key(kept: Credentials) -> None:
    with pytest.raises(ConfigurationError, match="not a server's address"):
        kept.keep("ftp://x", "key")
    assert origin_in("http://a:b:c") is None
