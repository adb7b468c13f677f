"""What goes where, and in which form."""

import io
import sys

import pytest

from ci_client.files import Entry, Selection
from ci_client.sending import Progress
from ci_client.suspects import looks_secret, warnings_about
from ci_client.table import jobs_table
from ci_client.terminal import Terminal, count, duration, printable, wants_colour


class Screen(io.StringIO):
    def __init__(self, *, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "environ", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_when_there_is_colour(tty: bool, environ: dict[str, str], expected: bool) -> None:
    assert wants_colour(Screen(tty=tty), environ) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (3599.9, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_all_is_written_where_a_signal_cuts_a_write_short(monkeypatch) -> None:
    """With PYTHONUNBUFFERED nobody else makes up for it."""

    class Interrupted(io.RawIOBase):
        written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:
            self.written += bytes(data[:3])
            return min(3, len(data))

    pipe = Interrupted()
    unbuffered = io.TextIOWrapper(pipe, write_through=True)
    monkeypatch.setattr(sys, "stdout", unbuffered)
    Terminal(colour=False).data(b"every byte of it\n")
    assert pipe.written == b"every byte of it\n"
    unbuffered.detach()


def test_counts_and_names() -> None:
    assert count(1, "file") == "1 file"
    assert count(12345, "file") == "12,345 files"
    assert printable("a\x1b[31m\nb\u009b\udcff") == "a\\x1b[31m\\nb\\x9b\\udcff"
    assert printable("größe €") == "größe €"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm")
    return Screen(tty=True)


def test_a_status_line_is_wiped_before_anything_else(screen: Screen) -> None:
    terminal = Terminal(colour=False, err=screen)
    terminal.status("queued, position 3")
    terminal.status("queued, position 3")
    terminal.note("hello")
    assert screen.getvalue() == "\r\x1b[Kqueued, position 3\r\x1b[Khello\n"


def test_no_status_line_where_it_could_not_be_wiped() -> None:
    screen = Screen(tty=False)
    Terminal(err=screen).status("queued")
    assert screen.getvalue() == ""


def test_a_screen_without_the_characters_gets_others() -> None:
    raw = io.BytesIO()
    terminal = Terminal(colour=False, err=io.TextIOWrapper(raw, encoding="ascii"))
    terminal.note(f"{terminal.mark(good=True)} {terminal.mark(good=False)} ü")
    assert raw.getvalue() == b"ok !! \\xfc\n"


class Out(io.TextIOWrapper):
    def __init__(self, *, tty: bool) -> None:
        super().__init__(io.BytesIO())
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "expected"),
    [
        (True, b"plain \x1b[32mgreen\x1b[0m\n"),
        (False, b"plain \x1b]52;c;cm0=\x07\x1b[6n\x1b[32mgreen\x1b[0m\n"),
    ],
)
def test_output_of_a_job_does_not_drive_a_terminal(
    tty: bool, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Out(tty=tty)
    monkeypatch.setattr(sys, "stdout", out)
    terminal = Terminal(colour=False)
    for piece in ("plain ", b"\x1b]52;c;", b"cm0=\x07", "\x1b[6", "n\x1b[32mgreen\x1b[0m\n"):
        terminal.output(piece)
    assert out.buffer.getvalue() == expected  # type: ignore[attr-defined]


def test_a_line_of_the_log_is_ended_before_a_note(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Out(tty=True))
    terminal = Terminal(colour=False, err=screen)
    terminal.data("no newline")
    terminal.status("this would wipe it")
    terminal.note("verdict")
    assert screen.getvalue() == "\nverdict\n"


def test_progress_is_shown_only_when_it_takes_long(screen: Screen) -> None:
    progress = Progress(Terminal(colour=False, err=screen), "3 files")
    progress.packing("a")
    progress.sending(1, 4_000_000)
    assert screen.getvalue() == ""
    assert not progress.uploaded
    progress._due = 0.0
    progress.sending(1_000_000, 4_000_000)
    assert screen.getvalue() == "\r\x1b[Kuploading [######------------------]  25%  1.0/4.0 MB"
    progress.sending(4_000_000, 4_000_000)
    assert progress.uploaded


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (".env", True),
        ("deep/.env.local", True),
        (".env.example", False),
        ("id_rsa", True),
        ("id_rsa.pub", False),
        ("certs/server.PEM", True),
        (".aws/credentials", True),
        ("credentials.py", False),
        ("keyboard.py", False),
        ("secrets.toml", True),
    ],
)
def test_what_looks_secret(name: str, expected: bool) -> None:
    assert looks_secret(name) is expected


def test_suspicious_files_are_mentioned_but_not_all_of_them(tmp_path: object) -> None:
    entries = [Entry(f"{number}.pem", 1, executable=False, mtime=0) for number in range(7)]
    entries += [
        Entry("big.bin", 60_000_000, executable=False, mtime=0),
        Entry("env/pyvenv.cfg", 1, executable=False, mtime=0),
        Entry("env/bin/x", 1, executable=False, mtime=0),
    ]
    secret, large, environment = warnings_about(Selection(tmp_path, tuple(entries), ()))  # type: ignore[arg-type]
    assert "0.pem, 1.pem, 2.pem, 3.pem, 4.pem and 2 more look secret" in secret
    assert "big.bin (60 MB)" in large
    assert "env/ is a virtual environment" in environment
    assert "2 files" in environment


def test_ids_in_a_table_are_long_enough_to_tell_jobs_apart() -> None:
    def job(job_id: str) -> dict[str, str]:
        return {"job_id": job_id, "status": "running", "project": "p\x1b", "created_at": ""}

    lines = jobs_table([job("0123456789abc"), job("0123456789xyz")])
    assert [line.split()[0] for line in lines] == ["JOB", "0123456789a", "0123456789x"]
    assert "p\\x1b" in lines[1]
    assert jobs_table([]) == []
