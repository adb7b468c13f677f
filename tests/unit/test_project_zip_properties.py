"""Whatever is sent: accepted or refused, never a crash, a hang or a grown memory."""

import io
import shutil
import subprocess
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import InvalidArchive
from ci_common.project_zip import ZipLimits, ZipSummary, check_zip
from tests.fakes.zips import SMALL_ZIPS, mutated

LIMITS = ZipLimits(max_files=50, max_unpacked_bytes=1024**2, max_directory_bytes=64 * 1024)
MEMORY = 4 * 1024**2
ten_seconds_each = settings(max_examples=300, deadline=10_000)


def outcome(data: bytes) -> ZipSummary | InvalidArchive:
    """Check it, and its memory."""
    tracemalloc.start()
    try:
        return check_zip(io.BytesIO(data), LIMITS, collect=lambda names: names)
    except InvalidArchive as refused:
        return refused
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY


@pytest.mark.parametrize("data", SMALL_ZIPS)
def test_the_zips_to_be_mutated_are_valid(data):
    assert isinstance(outcome(data), ZipSummary)


@ten_seconds_each
@given(st.binary(max_size=2000))
def test_random_bytes_are_refused(data):
    assert isinstance(outcome(data), InvalidArchive)


@ten_seconds_each
@given(
    st.sampled_from(SMALL_ZIPS),
    st.lists(
        st.tuples(
            st.integers(0, 2000),
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\xff" * 4, bytes(4), b"PK\x05\x06", b"../", b"/"]),
            ),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_zips_are_taken_or_refused(data, changes):
    assert isinstance(outcome(mutated(data, changes)), ZipSummary | InvalidArchive)


@ten_seconds_each
@given(st.sampled_from(SMALL_ZIPS), st.data())
def test_zips_with_a_piece_missing_doubled_or_moved_are_refused(data, draw):
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), min_size=2, max_size=2)))
    head, piece, tail = data[: cuts[0]], data[cuts[0] : cuts[1]], data[cuts[1] :]
    changed = draw.draw(
        st.sampled_from([head + tail, head + piece * 2 + tail, piece + head + tail])
    )

    result = outcome(changed)

    assert isinstance(result, InvalidArchive) or result.files <= 4


@pytest.mark.parametrize("data", SMALL_ZIPS)
def test_every_truncation_is_refused(data):
    for length in range(len(data)):
        assert isinstance(outcome(data[:length]), InvalidArchive), length


@pytest.mark.parametrize("data", SMALL_ZIPS)
def test_every_single_byte_may_be_anything(data):
    for at in range(len(data)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            outcome(mutated(data, [(at, bytes([value]))]))


@settings(max_examples=100, deadline=10_000)
@given(
    st.dictionaries(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join),
        st.binary(max_size=300),
        max_size=8,
    )
)
def test_agrees_with_the_standard_library(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)

    result = outcome(out.getvalue())

    clash = any(
        f"{other}/".startswith(f"{name}/") for name in files for other in files if name != other
    )
    if not files or clash:
        assert isinstance(result, InvalidArchive)
    else:
        assert isinstance(result, ZipSummary)
        assert result.collected == files


def made_by(command: list[str], folder) -> bytes:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


@pytest.fixture
def project(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/naïve.py").write_text("x = 1\n" * 100)
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to("src/naïve.py")
    return tmp_path


def test_takes_what_info_zip_writes(project):
    made_by(["zip", "-q", "-r", "-y", "p.zip", "."], project)

    assert set(check_zip(project / "p.zip").names) == {"src/naïve.py", "empty", "link"}


def test_takes_what_info_zip_streams(project):
    data = made_by(["zip", "-q", "-r", "-", "src"], project)

    assert check_zip(io.BytesIO(data)).names == ("src/naïve.py",)


def test_takes_what_git_archives(project):
    def git(*words):
        return made_by(
            ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *words], project
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "all")

    data = git("archive", "--format=zip", "HEAD")

    assert set(check_zip(io.BytesIO(data)).names) == {"src/naïve.py", "empty", "link"}


def test_takes_what_python_streams():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 1000)
        archive.writestr("b", b"y" * 1000)

    assert check_zip(io.BytesIO(pipe.written)).unpacked_bytes == 2000
