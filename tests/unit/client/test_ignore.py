"""Ignore rules, compared with git's own reading of them."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ci_client.ignore import IgnoreFile, TreeFilter, read_ignore_file
from ci_client.walk import Walk

names = st.sampled_from(["a", "b", "c", "src", "a.py", "b.txt"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
segments = st.sampled_from(
    ["a", "b", "c", "*", "**", "*.py", "?", "[ab]", "a*", "b.txt", "[!a]", "\\a", "src"]
)
patterns = st.builds(
    lambda negation, anchor, middle, end: negation + anchor + "/".join(middle) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(segments, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", " ", "\r", "/**", "/**/", "[", "\\"]),
)
ignore_files = st.dictionaries(
    st.one_of(st.just(""), paths),
    st.lists(patterns | st.just("# note") | st.just(""), min_size=1, max_size=4).map("\n".join),
    min_size=1,
    max_size=3,
)


def build(root: Path, files: list[str], rules: dict[str, str]) -> None:
    for path in files:
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
    for folder, text in rules.items():
        if (root / folder).is_dir():
            (root / folder / ".gitignore").write_bytes(text.encode())
    subprocess.run(["git", "init", "-q", str(root)], check=True)


def untracked(root: Path, *options: str) -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--others", *options],
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(name for name in listed.stdout.split("\0") if name)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(paths, min_size=1, max_size=8), ignore_files)
@example(["src/build/x"], {"": "build/\n!/src"})
@example(["abc/keep", "abc/d/x"], {"": "abc/**\n!abc/keep"})
@example(["a/b.txt", "a/c.py"], {"": "*\n!*/\n!*.py"})
@example(["a/x", "a/b/x"], {"": "x", "a/b": "!x"})
def test_the_walk_finds_what_git_finds(files: list[str], rules: dict[str, str]) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        build(root, files, rules)
        assert sorted(Walk(str(root), pytest.fail).names()) == untracked(root, "--exclude-standard")
    finally:
        shutil.rmtree(root)


@settings(max_examples=25, deadline=None)
@given(st.lists(paths, min_size=1, max_size=8), st.lists(patterns, min_size=1, max_size=4))
def test_one_file_at_the_top_drops_what_git_drops(files: list[str], lines: list[str]) -> None:
    root = Path(tempfile.mkdtemp())
    try:
        build(root, files, {})
        (root / ".git/rules").write_bytes("\n".join(lines).encode())
        kept = untracked(root, f"--exclude-from={root}/.git/rules")
        tree = TreeFilter(IgnoreFile("", "\n".join(lines)))
        assert sorted(name for name in untracked(root) if not tree.drops(name)) == kept
    finally:
        shutil.rmtree(root)


def test_a_missing_or_empty_file_has_no_rules(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n  \n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").write_text("*")
    for name in ("missing", "empty", "folder", "link"):
        assert read_ignore_file(str(tmp_path / name), "") is None
    assert read_ignore_file(str(tmp_path / "real"), "") is not None


def test_a_byte_order_mark_is_no_part_of_the_first_rule(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfsecret\r\n")
    (tmp_path / "secret").touch()
    (tmp_path / "kept").touch()
    assert sorted(Walk(str(tmp_path), pytest.fail).names()) == [".gitignore", "kept"]
