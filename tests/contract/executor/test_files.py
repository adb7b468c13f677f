"""What every executor keeps about the files of an ended container."""

from dataclasses import dataclass, field

import pytest

from ci_common.errors import ContainerGone
from ci_common.executor import ProducedFile, ProducedKind
from tests.contract.executor.places import DEADLINE, REAL, Collector, Program, tar_of
from tests.fakes.tars import pieces

MOST = 10_000_000


@dataclass
class Seen:
    """What was shown; ``until``: the path of the file on which to break off."""

    files: dict[str, ProducedFile] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, file: ProducedFile) -> None:
        self.files[file.path] = file
        self.contents[file.path] = b"".join(file.content)


async def ended(executor, name, spec, files: dict[str, bytes]) -> None:
    """Have a container that has ended, with these files besides those of its program."""
    await executor.launch(name, spec)
    pump = await executor.feed(name, pieces(tar_of(Program().files() | files)), Collector())
    await pump.wait()
    await pump.close()
    assert await executor.wait_exit(name, timeout=DEADLINE) is not None


async def test_a_folder_is_shown_file_by_file(executor, name, spec, place):
    place.prepare(Program())
    files = {"w/a": b"1" * 300_000, "w/sub/b": b"2", "w2/c": b"3"}
    await ended(executor, name, spec, files)
    seen = Seen()
    assert await executor.visit_files(name, "w", seen, most_bytes=MOST)
    assert seen.contents == {"w/a": b"1" * 300_000, "w/sub/b": b"2"}
    assert {file.kind for file in seen.files.values()} == {ProducedKind.FILE}
    assert seen.files["w/a"].size == 300_000


async def test_a_single_file_is_shown_and_a_missing_one_is_not(executor, name, spec, place):
    place.prepare(Program())
    await ended(executor, name, spec, {"w/sub/b": b"2"})
    seen = Seen()
    assert await executor.visit_files(name, "w/sub/b", seen, most_bytes=MOST)
    assert await executor.visit_files(name, "w/sub/nothing", seen, most_bytes=MOST)
    assert await executor.visit_files(name, "nowhere", seen, most_bytes=MOST)
    assert seen.contents == {"w/sub/b": b"2"}


async def test_content_need_not_be_read_and_more_than_may_be_is_not(executor, name, spec, place):
    place.prepare(Program())
    await ended(executor, name, spec, {"w/1": b"x" * 70_000, "w/2": b"y", "w/3": b"z" * 70_000})
    paths: list[str] = []
    visit = lambda file: paths.append(file.path)  # noqa: E731
    assert not await executor.visit_files(name, "w", visit, most_bytes=100_000)
    assert len(paths) < 3
    paths.clear()
    assert await executor.visit_files(name, "w", visit, most_bytes=MOST)
    assert sorted(paths) == ["w/1", "w/2", "w/3"]


async def test_what_a_visitor_raises_comes_out(executor, name, spec, place):
    place.prepare(Program())
    await ended(executor, name, spec, {"w/1": b"x" * 1_000_000, "w/2": b"y"})

    def refuse(file: ProducedFile) -> None:
        raise LookupError(file.path)

    with pytest.raises(LookupError):
        await executor.visit_files(name, "w", refuse, most_bytes=MOST)
    seen = Seen()
    assert await executor.visit_files(name, "w/2", seen, most_bytes=MOST)
    assert seen.contents == {"w/2": b"y"}


async def test_there_is_nothing_to_see_of_a_container_that_is_gone(executor, name):
    with pytest.raises(ContainerGone):
        await executor.visit_files(name, "w", Seen(), most_bytes=MOST)


HOSTILE = b"""
exec 2>&1
mkdir -p w/sub w/zz
ln -s /etc w/etc
ln -s /etc/passwd w/link
ln -s ../.. w/up
mkfifo w/pipe
echo x >w/sub/plain
ln w/sub/plain w/twin
chmod 755 w/sub/plain
dd if=/dev/null of=w/zz/sparse bs=1 seek=1000000000000
echo done
"""


@pytest.mark.parametrize("place", REAL, indirect=True)
async def test_nothing_hostile_is_followed_or_read(executor, name, spec):
    await executor.launch(name, spec)
    pump = await executor.feed(name, pieces(tar_of({"job.sh": HOSTILE})), Collector())
    await pump.wait()
    await pump.close()
    assert await executor.wait_exit(name, timeout=DEADLINE) is not None
    seen = Seen()
    # The sparse file comes last, and stops it.
    assert not await executor.visit_files(name, "w", seen, most_bytes=MOST)
    kinds = {path: file.kind for path, file in seen.files.items()}
    links = {"w/etc", "w/link", "w/up"}
    assert {path for path, kind in kinds.items() if kind is ProducedKind.LINK} == links
    assert kinds["w/pipe"] is ProducedKind.OTHER
    assert seen.contents["w/sub/plain"] == b"x\n"
    assert seen.files["w/sub/plain"].executable
    assert all(not seen.contents[path] for path in (*links, "w/pipe"))
    below = Seen()
    await executor.visit_files(name, "w/etc/passwd", below, most_bytes=MOST)
    await executor.visit_files(name, "w/up/job.sh", below, most_bytes=MOST)
    assert not any(b"root:" in content for content in below.contents.values()) or (
        type(executor).__name__ == "ContainerManager"  # its own /etc, not this machine's
    )
