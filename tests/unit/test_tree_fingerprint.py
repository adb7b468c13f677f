"""Equal files have an equal fingerprint, whichever way they came; others have another."""

import io

import pytest

from ci_common.project_tree import Manifest
from ci_common.project_zip import UNLIMITED, check_zip
from tests.fakes.manifests import link_row, manifest, row
from tests.fakes.zips import build, file, folder, link

SCRIPT = 0o100755


def of_zip(*members) -> str:
    return check_zip(io.BytesIO(build(*members))).tree_sha256


def of_manifest(files, links=()) -> str:
    return Manifest(manifest(files, links), UNLIMITED).tree_sha256


def test_a_zip_and_a_manifest_of_the_same_files_are_the_same():
    members = [folder("a"), file("a/é.py", b"1"), link("l", "a/é.py"), file("b", b"2" * 300_000)]
    rows = [row("b", b"2" * 300_000), row("a/é.py", b"1")]
    assert of_zip(*members) == of_manifest(rows, [link_row("l", "a/é.py")])
    assert len(of_zip(*members)) == 64


def test_the_order_and_empty_folders_do_not_count():
    one, two = file("a", b"1"), file("b", b"2")
    assert of_zip(one, two) == of_zip(two, one) == of_zip(folder("empty"), one, two)


@pytest.mark.parametrize(
    "other",
    [
        [row("a", b"1"), row("b", b"3")],
        [row("a", b"1"), row("c", b"2")],
        [row("a", b"1"), row("b", b"2", mode="755")],
        [row("a", b"1")],
        [row("a", b"2"), row("b", b"1")],
        [row("a", b"1"), row("b", b"2"), row("c", b"")],
    ],
)
def test_whatever_differs_shows(other):
    assert of_manifest([row("a", b"1"), row("b", b"2")]) != of_manifest(other)


def test_a_link_is_not_a_file_and_its_target_counts():
    plain = of_manifest([row("a", b"1"), row("l", b"a")])
    linked = of_manifest([row("a", b"1")], [link_row("l", "a")])
    elsewhere = of_manifest([row("a", b"1")], [link_row("l", "./a")])
    assert len({plain, linked, elsewhere}) == 3
