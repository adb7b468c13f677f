"""Which files go up."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ci_client.files import Selection, SelectOptions, leads_out, select_files
from ci_common.errors import InvalidRequest


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", folder, *arguments],
        check=True,
        capture_output=True,
    )


def write(root: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names_in(selection: Selection) -> list[str]:
    return [entry.name for entry in selection.entries]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    return root


class TestInAGitWorkTree:
    def test_tracked_changed_and_new_files_go_up_deleted_and_ignored_ones_do_not(
        self, repository: Path
    ) -> None:
        write(repository, "tracked", "deleted", "kept_though_ignored.log")
        (repository / ".gitignore").write_text("*.log\nbuild/\n")
        git(repository, "add", "-f", ".")
        git(repository, "commit", "-qm", "first")
        (repository / "deleted").unlink()
        write(repository, "tracked", text="changed")
        write(repository, "new", "other.log", "build/x")
        selection = select_files(repository)
        assert names_in(selection) == [".gitignore", "kept_though_ignored.log", "new", "tracked"]
        assert selection.entries[-1].size == len("changed")
        assert selection.warnings == ()

    def test_a_subfolder_goes_up_alone(self, repository: Path) -> None:
        write(repository, "outside", "sub/inside", "sub/ignored", "sub/deep/er")
        (repository / ".gitignore").write_text("ignored\n")
        git(repository, "add", "sub/inside")
        assert names_in(select_files(repository / "sub")) == ["deep/er", "inside"]

    def test_a_folder_that_the_tree_around_it_ignores_is_walked(self, repository: Path) -> None:
        (repository / ".gitignore").write_text("scratch/\n")
        write(repository, "scratch/a", "scratch/b.log")
        (repository / "scratch/.gitignore").write_text("*.log\n")
        assert names_in(select_files(repository / "scratch")) == [".gitignore", "a"]

    def test_ciignore_comes_on_top_even_of_tracked_files(self, repository: Path) -> None:
        write(repository, "docs/a.md", "docs/keep.py", "big/x", "a.py", "src/big/y")
        git(repository, "add", ".")
        (repository / ".ciignore").write_text("*.md\n/big/\n")
        assert names_in(select_files(repository)) == [
            ".ciignore",
            "a.py",
            "docs/keep.py",
            "src/big/y",
        ]

    def test_ignored_files_go_up_when_asked_for_but_not_what_is_made_anew(
        self, repository: Path
    ) -> None:
        (repository / ".gitignore").write_text("*.so\n.venv/\n__pycache__/\n")
        write(repository, "a.py", "lib.so", "__pycache__/a.pyc", ".venv/bin/python")
        write(repository, "node_modules/tracked.js")
        git(repository, "add", "node_modules")
        options = SelectOptions(include_ignored=True)
        assert names_in(select_files(repository, options)) == [
            ".gitignore",
            "a.py",
            "lib.so",
            "node_modules/tracked.js",
        ]

    def test_the_repository_goes_along_when_asked_for(self, repository: Path) -> None:
        write(repository, "a")
        git(repository, "add", ".")
        git(repository, "commit", "-qm", "first")
        assert not any(name.startswith(".git/") for name in names_in(select_files(repository)))
        found = names_in(select_files(repository, SelectOptions(with_git=True)))
        assert {".git/HEAD", ".git/index", "a"} <= set(found)

    def test_a_linked_work_tree_has_no_repository_to_send(
        self, repository: Path, tmp_path: Path
    ) -> None:
        write(repository, "a")
        git(repository, "add", ".")
        git(repository, "commit", "-qm", "first")
        git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
        selection = select_files(tmp_path / "linked", SelectOptions(with_git=True))
        assert names_in(selection) == ["a"]
        assert "pointer" in selection.warnings[0]

    def test_nested_repositories_go_up_with_their_own_ignore_rules(self, repository: Path) -> None:
        inner = repository / "vendor/inner"
        inner.mkdir(parents=True)
        git(inner, "init", "-q")
        write(inner, "code.py", "junk.log")
        (inner / ".gitignore").write_text("*.log\n")
        git(inner, "add", ".")
        git(inner, "commit", "-qm", "first")
        write(inner, "new.py")
        write(repository, "top.log")
        assert names_in(select_files(repository)) == [
            "top.log",
            "vendor/inner/.gitignore",
            "vendor/inner/code.py",
            "vendor/inner/new.py",
        ]
        git(repository, "add", "vendor/inner")  # now a submodule's entry
        assert "vendor/inner/new.py" in names_in(select_files(repository))

    def test_a_submodule_that_is_not_checked_out_is_mentioned(self, repository: Path) -> None:
        write(repository, "a")
        git(repository, "add", "a")
        empty_tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        git(repository, "update-index", "--add", "--cacheinfo", f"160000,{empty_tree},sub")
        (repository / "sub").mkdir()
        selection = select_files(repository)
        assert names_in(selection) == ["a"]
        assert "git submodule update --init" in selection.warnings[0]

    def test_files_below_a_folder_that_became_a_symlink_are_gone(self, repository: Path) -> None:
        write(repository, "folder/file", "elsewhere/file")
        git(repository, "add", ".")
        (repository / "folder/file").unlink()
        (repository / "folder").rmdir()
        (repository / "folder").symlink_to("elsewhere")
        assert names_in(select_files(repository)) == ["elsewhere/file", "folder"]

    def test_a_conflict_lists_its_file_once(self, repository: Path) -> None:
        write(repository, "a")
        blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
        git(repository, "hash-object", "-w", "--stdin")
        entries = "".join(f"100644 {blob} {stage}\ta\n" for stage in (1, 2, 3))
        subprocess.run(
            ["git", "-C", repository, "update-index", "--index-info"],
            input=entries.encode(),
            check=True,
        )
        assert names_in(select_files(repository)) == ["a"]

    def test_the_variables_of_a_hook_do_not_lead_elsewhere(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(repository, "a")
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "no-index"))
        assert names_in(select_files(repository)) == ["a"]

    def test_a_broken_repository_is_walked_and_mentioned(self, repository: Path) -> None:
        write(repository, "a")
        (repository / ".git/index").write_bytes(b"garbage")
        selection = select_files(repository)
        assert names_in(selection) == ["a"]
        assert "git cannot list" in selection.warnings[0]

    def test_without_git_the_folder_is_walked(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(repository, "a", "b.log")
        (repository / ".gitignore").write_text("*.log\n")
        monkeypatch.setenv("PATH", "")
        selection = select_files(repository)
        assert names_in(selection) == [".gitignore", "a"]
        assert "not installed" in selection.warnings[0]


def _listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


class TestElsewhere:
    def test_git_is_not_started_where_no_repository_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[object] = []
        monkeypatch.setattr(subprocess, "run", lambda *args, **_: started.append(args))
        write(tmp_path, "a")
        assert names_in(select_files(tmp_path)) == ["a"]
        assert started == []

    def test_what_every_machine_makes_for_itself_stays(self, tmp_path: Path) -> None:
        write(tmp_path, "a.py", "a.pyc", "pkg/__pycache__/a.pyc", ".tox/x", ".git/HEAD")
        write(tmp_path, "my-env/pyvenv.cfg", "my-env/bin/python", "node_modules/x/y.js")
        write(tmp_path, ".hidden")
        assert names_in(select_files(tmp_path)) == [".hidden", "a.py"]

    def test_ignored_files_go_up_when_asked_for(self, tmp_path: Path) -> None:
        write(tmp_path, "a.py", "b.log", "__pycache__/a.pyc")
        (tmp_path / ".gitignore").write_text("*.log\n")
        options = SelectOptions(include_ignored=True)
        assert names_in(select_files(tmp_path, options)) == [".gitignore", "a.py", "b.log"]

    def test_with_git_where_there_is_none_is_mentioned(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        assert "not in here" in select_files(tmp_path, SelectOptions(with_git=True)).warnings[0]

    def test_executable_bits_and_symlinks_are_seen(self, tmp_path: Path) -> None:
        write(tmp_path, "run.sh", "data/x")
        (tmp_path / "run.sh").chmod(0o700)
        (tmp_path / "link").symlink_to("data/x")
        (tmp_path / "folder").symlink_to("data")
        (tmp_path / "dangling").symlink_to("missing")
        found = {entry.name: entry for entry in select_files(tmp_path).entries}
        assert found["run.sh"].executable
        assert not found["data/x"].executable
        assert found["link"].link == "data/x"
        assert found["folder"].link == "data"
        assert found["dangling"].link == "missing"
        assert "folder/x" not in found

    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda path: path.symlink_to("/etc/passwd"), "links out of the project"),
            (lambda path: path.symlink_to("../../x"), "links out of the project"),
            (lambda path: path.symlink_to("a\\b"), "backslash"),
            (lambda path: path.symlink_to(os.fsdecode(b"\xff")), "not valid UTF-8"),
            (os.mkfifo, "neither a file nor a symlink"),
            (_listen, "neither a file nor a symlink"),
        ],
    )
    def test_what_no_server_would_take_is_left_out_and_mentioned(
        self,
        tmp_path: Path,
        make: Callable[[Path], None],
        reason: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        write(tmp_path, "a")
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        make(Path("odd"))
        selection = select_files(tmp_path)
        assert names_in(selection) == ["a"]
        (warning,) = selection.warnings
        assert warning.startswith("odd is left out")
        assert reason in warning

    def test_odd_names_go_up_or_are_mentioned(self, tmp_path: Path) -> None:
        write(tmp_path, "with space", "new\nline", "ünïcode", "quo'te\"d", "-dash")
        (tmp_path / "back\\slash").touch()
        (tmp_path / os.fsdecode(b"bad\xff")).touch()
        selection = select_files(tmp_path)
        assert names_in(selection) == ["-dash", "new\nline", "quo'te\"d", "with space", "ünïcode"]
        assert sorted(selection.warnings) == [
            "back\\slash is left out: the name has a backslash in it",
            "bad\\udcff is left out: the name is not valid UTF-8",
        ]

    def test_an_empty_project_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="no files"):
            select_files(tmp_path)

    def test_a_file_is_no_project(self, tmp_path: Path) -> None:
        write(tmp_path, "a")
        with pytest.raises(InvalidRequest, match="not a folder"):
            select_files(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "target", "out"),
    [
        ("a", "b", False),
        ("a/b", "../c", False),
        ("a/b", "..", False),
        ("a", "..", True),
        ("a/b", "../../c", True),
        ("a", "b/../../c", True),
        ("a", "/b", True),
        ("a/b", "c/../../d", False),
    ],
)
def test_where_a_symlink_leads(name: str, target: str, out: bool) -> None:
    assert leads_out(name, target) is out
