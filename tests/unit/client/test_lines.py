"""A line is understood without click as click understands it, or left to click."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from ci_client.commands import COMMANDS, load
from ci_client.dispatch import plain_call
from ci_client.invocation import Invocation
from ci_client.lines import Line
from ci_client.options import as_click
from ci_client.terminal import Terminal

LINES = {name: command for name in COMMANDS if isinstance(command := load(name), Line)}
"""The commands that are read in both ways."""

USUAL = [
    "submit",
    "submit demo",
    "submit demo --async",
    "submit --async demo --json",
    "submit --include-ignored --with-git --passthrough-exit --dry-run",
    "submit -- pytest -x",
    "submit demo --json -- pytest --json -- x",
    "submit --",
    "submit --async --async",
    "run",
    "run demo --json -- true",
    "retry last",
    "retry 550e --failed --async --json --passthrough-exit",
    "wait last",
    "wait 550e --all --json --passthrough-exit",
]
UNUSUAL = [
    "submit --help",
    "submit -h",
    "submit --asyn",
    "submit --async=yes",
    "submit --nosuch",
    "submit nosuchfolder",
    "submit afile",
    "submit demo demo",
    "submit -",
    "submit --label nightly --priority 3",
    "submit --org acme demo",
    "retry last --org=acme",
    "submit --label=nightly demo",
    "retry",
    "wait",
    "wait a b",
    "wait last -- true",
    "wait -- -x",
    "wait last --async",
    "--server http://ci.example submit",
    "list",
    "nosuch",
    "",
]


@pytest.fixture(autouse=True)
def folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.parent / "afile").touch()
    monkeypatch.chdir(project.parent)
    monkeypatch.delenv("_CI_COMPLETE", raising=False)


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[list[dict[str, Any]]]:
    calls: list[dict[str, Any]] = []

    def record(invocation: Invocation, /, **parameters: Any) -> int:
        calls.append({"invocation": invocation, **parameters})
        return 42

    with monkeypatch.context() as patch:
        patch.setattr(LINES[name], "run", record)
        yield calls


@pytest.mark.parametrize("line", USUAL)
def test_both_ways_of_reading_make_the_same_call(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *words = line.split()
    with recording(monkeypatch, name) as calls:
        plain = plain_call([name, *words])
        assert plain is not None
        assert plain() == 42
        obj = Invocation(None, None, Terminal(), str(Path.cwd()), {})
        command = as_click(LINES[name])
        assert command.main(words, prog_name="ci", obj=obj, standalone_mode=False) == 42
    first, second = calls
    assert first.pop("invocation").directory == second.pop("invocation").directory
    assert first == second


@pytest.mark.parametrize("line", UNUSUAL)
def test_what_is_not_usual_is_left_to_click(line: str) -> None:
    assert plain_call(line.split()) is None


def test_completion_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_CI_COMPLETE", "bash_complete")
    assert plain_call(["submit"]) is None


@pytest.mark.parametrize("name", LINES)
def test_every_option_and_no_other_is_known_to_both(name: str) -> None:
    parameters = as_click(LINES[name]).params
    known = [each for each in parameters if isinstance(each, click.Option)]
    options = {name for each in known for name in each.opts}
    named = {one for each in LINES[name].options for one in each.names}
    assert options == {flag.name for flag in LINES[name].flags} | named


def test_a_line_with_a_value_is_left_to_click_and_one_without_gets_none(tmp_path) -> None:
    line = LINES["submit"]
    assert line.read(["-o", "out/**", str(tmp_path)]) is None
    plain = line.read([str(tmp_path)])
    assert plain is not None
    assert plain["artifact"] == ()
