"""A project goes through zip, check, tar and a real tar program, and is the same."""

import io
import os
import shutil
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_common.executor import FED_MARKER
from ci_common.project_zip import check_zip
from ci_controller.workspace import ProjectTar
from tests.fakes.zips import build, file, link

SCRIPT, ENVIRONMENT = b"echo hello\n", b"A=1\n"
TARS = [
    pytest.param(
        command, id=command[0], marks=pytest.mark.skipif(not found, reason="not installed")
    )
    for command, found in (
        (["tar"], shutil.which("tar")),
        (["busybox", "tar"], shutil.which("busybox")),
    )
]


def unpack(command: list[str], path: Path, into: Path) -> Path:
    """Unpack as the container does; return the project's folder."""
    into.mkdir()
    project = ProjectTar(path, SCRIPT, ENVIRONMENT)
    data = b"".join(project)
    assert project.size == len(data)
    done = subprocess.run([*command, "xf", "-"], input=data, cwd=into, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return into / "workspace"


def seen(top: Path) -> dict[str, tuple]:
    """Everything below a folder: kind, permissions, content."""
    found = {}
    for path in top.rglob("*"):
        info, name = path.lstat(), str(path.relative_to(top))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))  # noqa: PTH115 -- a Path would tidy it
        elif path.is_dir():
            found[name] = ("folder", stat.S_IMODE(info.st_mode))
        else:
            found[name] = ("file", stat.S_IMODE(info.st_mode), path.read_bytes())
    return found


@pytest.mark.parametrize("tar", TARS)
def test_long_names_and_targets(tmp_path, tar):
    long = "/".join(["d" * 99] * 39) + "/" + "é" * 49
    edge = {f"{'e' * (100 - len('workspace/') + n)}" for n in (-1, 0, 1)}
    target = "./" * 49 + "aa"
    links = [link("100", target), link("101", target + "/"), link("long", long)]
    path = tmp_path / "project.zip"
    path.write_bytes(build(file(long), *map(file, edge), *links))
    check_zip(path)

    top = unpack(tar, path, tmp_path / "ci")

    found = seen(top)
    assert found[long] == ("file", 0o644, b"x = 1\n")
    assert edge <= found.keys()
    assert [found[name][1] for name in ("100", "101", "long")] == [target, target + "/", long]


NAMES = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\\\0"),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in {".", ".."} and name[1:2] != ":")
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MODES = st.integers(0, 0o777).map(lambda mode: mode | 0o400)  # a test may not be root


@st.composite
def trees(draw) -> dict[str, tuple]:
    """Files, folders and links by path, none below a file or a link, no two alike."""
    tree: dict[str, tuple] = {}
    for path in draw(st.lists(PATHS, min_size=1, max_size=8, unique=True)):
        above = {path[:at] for at, letter in enumerate(path) if letter == "/"}
        clash = any(other.startswith(f"{path}/") for other in tree)
        if clash or any(tree.get(name, ("folder",))[0] != "folder" for name in above):
            continue
        kind = draw(st.sampled_from(["file", "file", "folder", "link"]))
        if kind == "link" and tree:
            target = draw(st.sampled_from(sorted(tree)))
            tree[path] = ("link", os.path.relpath(f"/{target}", Path(f"/{path}").parent))
        elif kind == "folder":
            tree[path] = ("folder", draw(MODES))
        else:
            tree[path] = ("file", draw(MODES), draw(st.binary(max_size=2000)))
    return tree


def zipped(tree: dict[str, tuple]) -> bytes:
    out = io.BytesIO()
    types = {"file": stat.S_IFREG, "folder": stat.S_IFDIR, "link": stat.S_IFLNK}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("always", b"here")
        for path, (kind, *rest) in tree.items():
            info = zipfile.ZipInfo(f"{path}/" if kind == "folder" else path)
            mode = 0o777 if kind == "link" else rest[0]
            info.external_attr = (types[kind] | mode) << 16
            content = {"file": rest[-1], "folder": b"", "link": rest[0]}[kind]
            archive.writestr(info, content)
    return out.getvalue()


def expected(tree: dict[str, tuple]) -> dict[str, tuple]:
    result = {"always": ("file", 0o600, b"here")}
    for path in tree:
        for at, letter in enumerate(path):
            if letter == "/":
                result.setdefault(path[:at], ("folder", 0o755))
    for path, (kind, *rest) in tree.items():
        if kind == "file":
            result[path] = ("file", rest[0] & 0o755 or 0o644, rest[1])
        elif kind == "folder":
            result[path] = ("folder", (rest[0] & 0o755 or 0o755) | 0o700)
        else:
            result[path] = ("link", *rest)
    return result


@pytest.mark.parametrize("tar", TARS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=trees())
def test_a_tree_arrives_as_it_left_and_nothing_beside_it(tar, tree):
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        path = top / "project.zip"
        path.write_bytes(zipped(tree))
        check_zip(path)

        workspace = unpack(tar, path, top / "ci")

        assert seen(workspace) == expected(tree)
        assert {p.name for p in top.iterdir()} == {"project.zip", "ci"}
        assert {p.name for p in (top / "ci").iterdir()} == {
            "job.sh", "env", "workspace", FED_MARKER,
        }  # fmt: skip
        assert (top / "ci/job.sh").read_bytes() == SCRIPT
        assert (top / "ci/env").read_bytes() == ENVIRONMENT
