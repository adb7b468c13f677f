"""Symbolic links in a project zip: kept while they stay inside."""

import io

import pytest

from ci_common.errors import InvalidArchive
from ci_common.project_zip import ZipLimits, check_zip
from tests.fakes.zips import build, file, folder, link


def check(*members):
    return check_zip(io.BytesIO(build(file("a/b/file"), *members)), ZipLimits())


def refusal(*members) -> str:
    with pytest.raises(InvalidArchive) as refused:
        check(*members)
    return refused.value.detail


@pytest.mark.parametrize(
    "links",
    [
        [link("l", "a/b/file")],
        [link("l", "missing")],
        [link("l", "a/")],
        [link("l", ".")],
        [link("a/l", "..")],
        [link("a/b/l", "../../a/./b//file")],
        [link("l", "a/../a/b/file")],
        [link("l", "missing/../a")],
        [link("one", "two"), link("two", "a/b"), link("three", "one/file")],
        # Through "down", which leads two folders down, two up is still inside.
        [link("down", "a/b"), link("l", "down/../..")],
        [link("l", b"\xff\xfe")],
        [link(f"l{n}", f"l{n + 1}") for n in range(40)],
    ],
    ids=lambda links: links[-1].content.decode(errors="replace"),
)
def test_keeps_links_that_stay_inside(links):
    assert check(*links).files == 1 + len(links)


@pytest.mark.parametrize(
    "links",
    [
        [link("l", "..")],
        [link("l", "../x")],
        [link("a/l", "../..")],
        [link("a/l", "../../etc/passwd")],
        [link("l", "a/../../x")],
        [link("l", "missing/../..")],
        [link("l", "a/b/file/../../../..")],
        [link("a/b/l", "../../../x/../a")],
        # Each alone stays inside by its letters: "up" is one folder higher than "a/b/up/..".
        [link("a/b/up", ".."), link("l", "a/b/up/../..")],
        [link("a/b/up", "../.."), link("a/l", "b/up/..")],
        # In either order of the zip.
        [link("l", "d/up/.."), folder("d"), link("d/up", "..")],
    ],
    ids=lambda links: links[-1].content.decode(),
)
def test_refuses_links_that_lead_out(links):
    assert "leads out of the project" in refusal(*links)


def test_refuses_absolute_targets():
    said = refusal(link("l", "/etc/passwd"))

    assert said == 'the symbolic link "l" has the absolute target "/etc/passwd"'


@pytest.mark.parametrize("target", [b"", b"a\0b"])
def test_refuses_targets_that_are_no_path(target):
    assert refusal(link("l", target)) == 'the symbolic link "l" says no path'


def test_refuses_long_targets():
    assert check(link("l", "x" * 4000)).files == 2
    assert "is 4001 bytes long; the most is 4000" in refusal(link("l", "x" * 4001))


@pytest.mark.parametrize(
    "links",
    [
        [link("l", "l")],
        [link("a/l", "../m"), link("m", "a/l")],
        [link("l", "l/x")],
        [link(f"l{n}", f"l{n + 1}") for n in range(41)],
    ],
    ids=["itself", "each other", "below itself", "41 links"],
)
def test_refuses_circles_and_endless_chains(links):
    assert "goes in circles, or through more than 40 links" in refusal(*links)


def test_gives_up_on_links_made_to_take_long():
    # Every link passes 40 others, each of them by a long way round: hours, if followed.
    chain = [link(f"l{n}", "a/../" * 700 + f"l{n + 1}") for n in range(39)]
    many = [link(f"m{n}", "l0") for n in range(500)]

    assert refusal(*chain, *many) == "the symbolic links are too many and too long to follow"
