"""A table that is drawn again in its place."""

import os
from typing import Any

import pytest

from ci_client import screen
from ci_client.listing import ListWatch
from ci_client.screen import Screen
from ci_client.terminal import Terminal


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to a terminal of 5 lines of 20 characters."""
    texts: list[str] = []
    monkeypatch.setattr(Terminal, "data", lambda _, text: texts.append(text))
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((20, 5)))
    monkeypatch.setattr(screen.sys.stdout, "fileno", lambda: 1, raising=False)
    return texts


def test_each_drawing_takes_the_place_of_the_last(drawn: list[str]) -> None:
    shown = Screen(Terminal())
    shown.draw(["one", "two"])
    shown.draw(["three"])
    shown.draw(["four"])
    assert drawn == [
        "\r\x1b[Jone\ntwo\n",
        "\x1b[2A\r\x1b[Jthree\n",
        "\x1b[1A\r\x1b[Jfour\n",
    ]


def test_no_line_is_so_long_or_low_that_the_terminal_would_scroll(drawn: list[str]) -> None:
    Screen(Terminal()).draw(["x" * 30, "2", "3", "4", "5"])
    assert drawn == ["\r\x1b[J" + "x" * 19 + "\n2\n3\n… and 2 more\n"]


def job(name: str, status: str = "queued") -> dict[str, Any]:
    return {"job_id": name, "status": status, "reason": None, "project": "p\x1b[2J"}


def watch(*, as_json: bool = False) -> ListWatch:
    return ListWatch(
        Terminal(), lambda _: [], lambda each: {**each, "status": "running"}, as_json=as_json
    )


def test_only_what_has_changed_is_told_and_the_oldest_first(drawn: list[str]) -> None:
    watching = watch()
    watching.show([job("b"), job("a")])
    watching.show([job("c"), job("b"), job("a")])
    watching.show([job("c"), job("b", "running")])
    # Those of the same state are no news.
    watching.show([job("c"), job("b", "running")])
    told = [line.split() for line in drawn]
    assert [words[:2] for words in told] == [
        ["a", "queued"],
        ["b", "queued"],
        ["c", "queued"],
        ["a", "running"],
        ["b", "running"],
    ]
    assert told[0][2] == r"p\x1b[2J"


def test_what_a_full_list_pushes_off_its_end_is_no_change(drawn: list[str]) -> None:
    watching = watch(as_json=True)
    watching.show([job("b"), job("a")], full=True)
    watching.show([job("c"), job("b")], full=True)
    assert [line[12:17] for line in drawn] == ["added"] * 3
