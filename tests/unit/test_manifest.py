"""What a manifest is refused for, and that a tree is read as the zip of the same files is."""

import gzip
import io
import json
import os
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_common.blobs import Place
from ci_common.errors import InvalidArchive, InvalidRequest
from ci_common.project_tree import (
    Manifest,
    TreeArchive,
    check_pack,
    encode_tree,
    open_project,
    pack_name,
    unpacked,
)
from ci_common.project_zip import ZipLimits, collect_files
from ci_controller.workspace import ProjectTar
from tests.fakes.manifests import WHEN, link_row, manifest, pack, row, sha256
from tests.fakes.zips import Member, build, file, folder, link
from tests.unit.test_workspace_round_trip import trees

LIMITS = ZipLimits(max_files=50, max_unpacked_bytes=1000)


def refusal(*rows, links=()) -> str:
    with pytest.raises(InvalidArchive) as refused:
        Manifest(manifest(rows, links), LIMITS)
    return refused.value.detail


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "is absolute"),
        ("C:/x", "is absolute"),
        ("../x", "leads out of the project"),
        ("a/../../x", "leads out of the project"),
        ("a\\b", "backslash"),
        ("a\0b", "NUL"),
        ("a//b", "empty part"),
        ("a/", "is a folder by its name"),
        ("", "empty part"),
        (".", "without a name"),
        ("x" * 256, "a name in"),
        ("y/" * 2001 + "x", "4003 bytes"),
    ],
)
def test_hostile_paths(path, words):
    assert words in refusal(row(path))
    assert words in refusal(row("fine"), links=[link_row(path, "fine")])


@pytest.mark.parametrize(
    ("rows", "links", "words"),
    [
        ([row("a"), row("a")], [], "more than once"),
        ([row("a"), row("./a")], [], "more than once"),
        ([row("a")], [link_row("a", "b")], "more than once"),
        ([row("a"), row("a/b")], [], "is a file or a link, and a folder"),
        ([row("a/b")], [link_row("a", "c")], "is a file or a link, and a folder"),
        ([row("a")], [link_row("l", "/etc")], "absolute target"),
        ([row("a")], [link_row("l", "../x")], "leads out"),
        ([row("a")], [link_row("l", "m"), link_row("m", "l")], "goes in circles"),
        ([row("a")], [link_row("d/l", "../m/.."), link_row("m", "..")], "leads out"),
        ([row("a")], [link_row("l", "")], "says no path"),
        ([row("a")], [link_row("l", "x" * 4001)], "4001 bytes long"),
        ([], [link_row("l", "a")], "no files"),
        ([row(f"f{n}") for n in range(51)], [], "more than 50 files"),
        ([row("/".join("d" * 51) + "/x")], [], "more than 50 files"),
        ([row("a", size=501), row("b", size=500)], [], "more than 1000 bytes"),
        ([row("a", size=-1)], [], "less than 0 bytes"),
        ([row("a", mode="rwx")], [], "is no mode"),
        ([row("a", mode="0o755")], [], "is no mode"),
        ([row("a", sha256="0" * 63)], [], "64 hexadecimal digits"),
        ([row("a", sha256="x" * 64)], [], "64 hexadecimal digits"),
        ([row("a", sha256=" " * 64)], [], "64 hexadecimal digits"),
        ([row("a", sha256="0" * 62), row("b", sha256="0" * 66)], [], "64 hexadecimal digits"),
    ],
)
def test_hostile_manifests(rows, links, words):
    assert words in refusal(*rows, links=links)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"files": [["a"]]}',
        b'{"files": [["a", "644", 0, "big", ""]]}',
        b'{"files": [], "folders": []}',
        b'{"files": [["\\ud800", "644", 0, 0, ""]]}',
        b'{"files": 1',
    ],
)
def test_what_is_no_manifest(raw):
    with pytest.raises(InvalidRequest, match="is not a manifest"):
        Manifest(raw, LIMITS)


def test_a_gzipped_manifest_may_not_grow_without_end():
    limits = ZipLimits(max_directory_bytes=1000)
    text = manifest([row("a")])
    assert unpacked(text, limits) == unpacked(gzip.compress(text), limits) == text
    for bomb in (b" " * 1001, gzip.compress(bytes(10**7))):
        with pytest.raises(InvalidRequest, match="more than 1000 bytes"):
            unpacked(bomb, limits)
    for broken in (gzip.compress(text)[:-1], gzip.compress(text) + b"x", b"\x1f\x8bnothing"):
        with pytest.raises(InvalidRequest, match="is not a manifest"):
            unpacked(broken, limits)


def test_what_a_manifest_says_is_brought_to_what_a_zip_can_say():
    rows = [
        row("old", modified=-5), row("odd", modified=WHEN + 1), row("late", modified=10**12),
        row("all", mode="4777"), row("none", mode="000"),
    ]  # fmt: skip
    entries = {entry.path: entry for entry in Manifest(manifest(rows), LIMITS).entries}
    assert entries["old"].modified == 315_619_200
    assert entries["odd"].modified == WHEN
    assert entries["late"].modified == 4_354_819_198
    assert (entries["all"].mode, entries["none"].mode) == (0o755, 0o644)


def check(data: bytes, *wanted: bytes, **limits: int) -> dict[bytes, Place]:
    hashes = [bytes.fromhex(sha256(content)) for content in wanted]
    return check_pack(io.BytesIO(data), 7, hashes, ZipLimits(**limits))


class TestPacks:
    def test_places_are_those_of_the_zip(self):
        data = pack(b"one" * 100, b"")
        found = check(data, b"one" * 100, b"", b"not here")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name, place in ((blob.hex(), at) for blob, at in found.items()):
                info = archive.getinfo(name)
                assert place == Place(
                    7, info.header_offset, info.compress_size, info.file_size,
                    info.compress_type, info.CRC,
                )  # fmt: skip
        assert len(found) == 2

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (build(file(sha256(b"right"), b"wrong")), "has the SHA-256"),
            (build(file("a.py")), "is no file named by"),
            (build(file(f"./{sha256(b'x')}", b"x")), "is no file named by"),
            (build(file(sha256(b"x").upper(), b"x")), "is no file named by"),
            (build(folder("d"), file(sha256(b"x"), b"x")), "is no file named by"),
            (build(link(sha256(b"x"), b"x")), "is no file named by"),
            (build(file(sha256(b"x"), b"x"), file(sha256(b"x"), b"x")), "more than once"),
            (pack(b"stowaway"), "which the manifest does not name"),
            (b"not a zip", "is not a zip"),
            (build(Member(name=sha256(b"x").encode(), content=b"x", size=2)), "size is not"),
            (build(Member(name=sha256(b"x").encode(), content=b"x", flags=1)), "is encrypted"),
        ],
    )
    def test_hostile_packs(self, data, words):
        with pytest.raises(InvalidArchive, match=words):
            check(data, b"x", b"right")

    def test_a_pack_may_not_unpack_to_too_much(self):
        bomb = bytes(10**6)
        with pytest.raises(InvalidArchive, match="unpacks to more than"):
            check(pack(bomb), bomb, ratio_free_bytes=1000)
        with pytest.raises(InvalidArchive, match="unpacks to more than"):
            check(pack(bomb), bomb, max_unpacked_bytes=10**5)


def stash(folder_: Path, text: bytes, packs: dict[int, bytes]) -> Path:
    """A tree file with the packs it needs."""
    limits = ZipLimits()
    read = Manifest(text, limits)
    places: dict[bytes, Place] = {}
    (folder_ / "packs").mkdir()
    (folder_ / "stash").mkdir()
    for number, data in packs.items():
        places |= check_pack(io.BytesIO(data), number, read.hashes, limits)
        (folder_ / "packs" / pack_name(number)).write_bytes(data)
    tree = folder_ / "stash" / "job.tree"
    tree.write_bytes(encode_tree(read, [places[blob] for blob in read.hashes], "../packs"))
    return tree


def test_contents_are_read_from_wherever_they_lie(tmp_path):
    text = manifest(
        [row("b", b"two"), row("a", b"one"), row("c/d", b"two")], [link_row("l", "c/d")]
    )
    tree = stash(tmp_path, text, {3: pack(b"one"), 2**62: pack(b"two")})

    with open_project(tree) as (files, arrived):
        found = {e.path: b"".join(files.content(e)) for e in files.entries}
        assert list(found) == list(files.paths) == ["a", "b", "c/d", "l"]
        assert found == {"a": b"one", "b": b"two", "c/d": b"two", "l": b"c/d"}
        assert collect_files(files, ["l", "none", "a"], ZipLimits()) == {"l": b"two", "a": b"one"}
    assert arrived == int(tree.stat().st_mtime)


def test_more_packs_than_are_kept_open_can_be_read(tmp_path):
    contents = [b"%d" % number for number in range(200)]
    text = manifest(row(f"f{number}", content) for number, content in enumerate(contents))
    tree = stash(tmp_path, text, {n + 1: pack(content) for n, content in enumerate(contents)})
    with open_project(tree) as (files, _):
        found = [b"".join(files.content(e)) for e in files.entries]
    assert sorted(found) == sorted(contents)


@pytest.mark.parametrize("damage", [b"", b"\x93", b"not msgpack"])
def test_a_damaged_tree_is_said_to_be_one(tmp_path, damage):
    path = tmp_path / "job.tree"
    path.write_bytes(damage)
    with pytest.raises(InvalidArchive, match="tree of the job is damaged"), open_project(path):
        pass


def test_a_damaged_pack_is_removed_so_that_it_comes_again(tmp_path):
    tree = stash(tmp_path, manifest([row("a", b"one" * 50)]), {1: pack(b"one" * 50)})
    packed = tmp_path / "packs" / pack_name(1)
    data = bytearray(packed.read_bytes())
    data[100] ^= 0xFF
    packed.write_bytes(data)
    with open_project(tree) as (files, _), pytest.raises(InvalidArchive, match="damaged"):
        b"".join(files.content(files.entries[0]))
    assert not packed.exists()
    with open_project(tree) as (files, _), pytest.raises(FileNotFoundError):
        b"".join(files.content(files.entries[0]))


def zip_and_manifest(tree: dict[str, tuple]) -> tuple[bytes, bytes, bytes]:
    """The files and links of a tree as a zip, as a manifest, and the pack of the manifest."""
    kept = {path: what for path, what in sorted(tree.items()) if what[0] != "folder"}
    kept.setdefault("always", ("file", 0o644, b"here"))
    out, rows, links = io.BytesIO(), [], []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, (kind, *rest) in sorted(kept.items()):
            info = zipfile.ZipInfo(path, (2025, 6, 1, 12, 0, 0))
            is_link = kind == "link"
            mode = stat.S_IFLNK | 0o777 if is_link else stat.S_IFREG | rest[0]
            info.external_attr = mode << 16
            archive.writestr(info, rest[-1])
            if is_link:
                links.append(link_row(path, rest[0]))
            else:
                rows.append(row(path, rest[1], mode=f"{rest[0]:04o}"))
    contents = {what[2] for what in kept.values() if what[0] == "file"}
    return out.getvalue(), manifest(rows, links), pack(*contents)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees())
def test_a_container_sees_the_same_bytes_whichever_way_a_project_came(tree):
    zipped, text, packed = zip_and_manifest(tree)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        by_zip, by_tree = top / "project.zip", stash(top, text, {1: packed})
        by_zip.write_bytes(zipped)
        for path in (by_zip, by_tree):
            os.utime(path, (WHEN + 5, WHEN + 5))
        by_zip, by_tree = (ProjectTar(path, b"true\n", b"A=1\n") for path in (by_zip, by_tree))
        assert b"".join(by_zip) == b"".join(by_tree)
        assert by_zip.size == by_tree.size


@settings(max_examples=100)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_be_refused(raw):
    with pytest.raises(InvalidRequest):
        Manifest(unpacked(raw, LIMITS), LIMITS)


_JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=100)
@given(
    files=st.lists(
        st.tuples(
            st.text(max_size=8), st.sampled_from(["644", "755"]), st.integers(), st.integers(),
            st.text(alphabet="0a f", max_size=64),
        ),
        max_size=3,
    ) | _JSON,
    links=_JSON,
)  # fmt: skip
def test_no_document_does_anything_but_pass_or_be_refused(files, links):
    raw = json.dumps({"files": files, "links": links}).encode()
    try:
        read = Manifest(raw, LIMITS)
    except InvalidRequest:
        return
    assert isinstance(TreeArchive(read, [], Path("nowhere")).paths, tuple)
