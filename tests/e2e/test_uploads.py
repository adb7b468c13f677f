"""Submitting a project again and again, with the real command, server and containers."""

import hashlib
import os

import pytest

from tests.relay import relay_to
from tests.waiting import eventually

pytestmark = pytest.mark.docker

SIZE = 30_000
COUNT = 12


@pytest.fixture
def tree(project):
    """A project that is worth a manifest, and says in its log what the container sees of it."""
    made = project("cat *.bin | sha256sum; ls -l run.sh; cat link; find . -type f | wc -l")
    for number in range(COUNT):
        (made.path / f"{number:02}.bin").write_bytes(os.urandom(SIZE))
    (made.path / "greeting").write_text("hello through the link\n")
    (made.path / "link").symlink_to("greeting")
    return made


@pytest.fixture
def submit(server, tree, tmp_path):
    """Submit the tree; give the bytes that were sent for it and what the job said of it."""
    with relay_to(server.url) as relay:

        def run() -> tuple[int, str]:
            before = relay.sent
            environment = {"CI_SERVER_URL": relay.url, "XDG_CACHE_HOME": str(tmp_path / "cache")}
            done = server.ci("submit", str(tree.path), env=environment)
            assert done.returncode == 0, done.stderr.decode()
            return relay.sent - before, done.stdout.decode()

        yield run


def test_only_what_changed_travels_and_the_container_sees_all_of_it(submit, server, tree):
    everything, first = submit()
    assert everything > COUNT * SIZE
    assert "hello through the link" in first

    again, second = submit()
    assert again < 5_000
    assert second == first

    (tree.path / "03.bin").write_bytes(os.urandom(SIZE))
    changed, third = submit()
    assert SIZE < changed < SIZE + 5_000
    (line,) = set(third.splitlines()) - set(first.splitlines())
    contents = (path.read_bytes() for path in sorted(tree.path.glob("*.bin")))
    assert line.split()[0] == hashlib.sha256(b"".join(contents)).hexdigest()

    eventually(lambda: not list((server.folder / "stash").iterdir()), what="stashes removed")


def test_a_server_that_died_and_came_back_still_has_it(submit, server):
    _, first = submit()
    server.kill()
    server.restart()
    again, second = submit()
    assert again < 5_000
    assert second == first


def test_what_was_thrown_away_is_sent_again(submit, server):
    _, first = submit()
    for pack in (server.folder / "packs").iterdir():
        pack.unlink()
    again, second = submit()
    assert again > COUNT * SIZE
    assert second == first
