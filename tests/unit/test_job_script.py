"""The job script, really run: by dash, by busybox where there is one, and by bash."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_common.errors import ConfigurationError
from ci_common.executor import FED_MARKER
from ci_common.recipe import Recipe, detect
from ci_controller.job_script import NOT_FED, render_environment, render_job_script

SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/bin", "/usr/bin"))


def shells() -> dict[str, list[str]]:
    """Return how to call each shell of this machine that images have as their sh."""
    found = {name: shutil.which(name, path=SEARCHED) for name in ("dash", "busybox", "bash")}
    present = {name: path for name, path in found.items() if path}
    calls = {"busybox": ["sh"], "bash": ["--posix"], "dash": []}
    return {name: [path, *calls[name]] for name, path in present.items()}


@pytest.fixture(params=shells().items(), ids=shells().keys())
def shell(request) -> list[str]:
    return request.param[1]


class Workplace:
    """A folder as an executor lays it out for a job."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.folder = folder
        self.shell = shell
        self.variables = {"PATH": os.environ["PATH"], "HOME": str(folder)}

    def feed(self, recipe: Recipe, env: dict[str, str] | None = None, **files: str) -> None:
        workspace = self.folder / "workspace" / recipe.root
        workspace.mkdir(parents=True)
        for name, text in files.items():
            (workspace / name.replace("__", ".")).write_text(text)
        (self.folder / "job.sh").write_bytes(render_job_script(recipe))
        (self.folder / "env").write_bytes(render_environment(recipe, env or {}))
        (self.folder / FED_MARKER).touch()

    def run(self) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self.shell, "job.sh"],
            cwd=self.folder,
            env=self.variables,
            input=b"not for the job",
            capture_output=True,
            timeout=120,
        )

    def output(self) -> tuple[int, list[str]]:
        done = self.run()
        assert done.stderr == b""
        return done.returncode, done.stdout.decode().splitlines()


@pytest.fixture
def workplace(tmp_path, shell) -> Workplace:
    return Workplace(tmp_path, shell)


@pytest.fixture
def dash_only(tmp_path) -> Workplace:
    return Workplace(tmp_path, [shutil.which("sh", path=SEARCHED) or "sh"])


def test_steps_are_announced_in_order_and_the_command_is_last(workplace):
    recipe = Recipe(
        notes=("first", "second"),
        dependencies=("echo one", "echo two"),
        project=("echo three",),
        command=("echo", "a  b", "$HOME"),
    )
    workplace.feed(recipe)

    assert workplace.output() == (
        0,
        [
            "first",
            "second",
            "Installing dependencies...",
            "$ echo one",
            "one",
            "$ echo two",
            "two",
            "Installing the project...",
            "$ echo three",
            "three",
            "Running tests...",
            "$ echo 'a  b' '$HOME'",
            "a  b $HOME",
        ],
    )


def test_without_the_marker_nothing_runs_and_nothing_is_said(workplace):
    workplace.feed(Recipe(command=("echo", "x")))
    (workplace.folder / FED_MARKER).unlink()

    assert workplace.output() == (NOT_FED, [])


def test_there_is_output_before_anything_runs_even_without_notes(workplace):
    workplace.feed(Recipe(command=("true",)), env={})
    (workplace.folder / "env").write_text("echo environment\n")

    assert workplace.output()[1][:2] == ["Runs true.", "environment"]


@pytest.mark.parametrize(
    ("step", "name"), [("dependencies", "dependencies"), ("project", "the project")]
)
def test_a_failing_installation_ends_the_job_with_its_status(workplace, step, name):
    workplace.feed(
        Recipe(**{step: ("true", "false; exit 7", "echo never")}, command=("echo", "never"))
    )

    status, lines = workplace.output()

    assert status == 1  # errexit: the first failure inside a command counts
    assert lines[-1] == f"Installing {name} failed with exit status 1; the tests did not run."
    assert "never" not in lines


def test_the_status_of_a_failing_installation_is_its_own(workplace):
    workplace.feed(Recipe(dependencies=("exit 7",)))

    assert workplace.output()[0] == 7


def test_a_broken_installation_command_breaks_only_itself(workplace):
    workplace.feed(Recipe(dependencies=("echo ) (",)))

    status, lines = workplace.output()

    assert status == 2
    assert "Installing dependencies failed with exit status 2" in lines[-1]


def test_each_installation_command_starts_in_the_projects_folder(workplace):
    workplace.feed(Recipe(dependencies=("cd / && export X=1", 'echo "$PWD/$X"'), root="a b-main"))

    assert f"{workplace.folder}/workspace/a b-main/" in workplace.output()[1]


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("sh", "-c", "exit 5"), 5),
        ("exit 6", 6),
        ("false\necho never", 1),
        (("no-such-program-here",), 127),
        (("sh", "-c", "kill -TERM $$"), -15),
    ],
)
def test_the_commands_status_is_the_jobs(workplace, command, status):
    workplace.feed(Recipe(command=command))

    assert workplace.run().returncode == status


def test_standard_error_and_input_are_taken_care_of(workplace):
    workplace.feed(Recipe(command="echo out; echo err >&2; cat"))

    assert workplace.output()[1][-2:] == ["out", "err"]


def test_the_recipes_environment_wins_over_the_servers_and_both_over_the_defaults(workplace):
    recipe = Recipe(env={"A": "recipe"}, command='echo "$A $B $CI $PYTHONUNBUFFERED"')
    workplace.feed(recipe, env={"A": "server", "B": "server", "CI": "maybe"})

    assert workplace.output()[1][-1] == "recipe server maybe 1"


def test_folders_to_import_from_come_first(workplace):
    recipe = Recipe(path=("src", "."), env={"PYTHONPATH": "/old"}, command='echo "$PYTHONPATH"')
    workplace.feed(recipe)

    here = workplace.folder / "workspace"
    assert workplace.output()[1][-1] == f"{here}/src:{here}:/old"


def test_a_hello_project_needs_no_virtual_environment(workplace):
    workplace.variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    workplace.feed(detect(["test_a.py"], {}), test_a__py="def test(): pass\n")

    status, lines = workplace.output()

    assert status == 0
    assert "The image has pytest: nothing to install." in lines
    assert any("1 passed" in line for line in lines)
    assert not (workplace.folder / "venv").exists()


def test_a_project_that_is_called_like_pytest_is_not_taken_for_it(dash_only):
    python = fake(dash_only, "python3", f'exec "{sys.executable}" -S "$@"')
    dash_only.variables["PATH"] = f"{python.parent}:/usr/bin:/bin"
    (dash_only.folder / "venv").touch()  # no environment can be made in its place
    recipe = Recipe(dependencies=("ci_need pytest || echo absent",), command=("true",))
    dash_only.feed(recipe, pytest__py="")

    lines = dash_only.output()[1]

    assert "absent" in lines
    assert "The image has pytest: nothing to install." not in lines


def test_python_is_there_by_both_names(dash_only):
    python = fake(dash_only, "python3", f'exec "{sys.executable}" "$@"')
    tools(dash_only, "ln", "mkdir", "sh")
    dash_only.variables["PATH"] = str(python.parent)
    dash_only.feed(Recipe(command=("python", "-c", "print('py' + 'thon')")))

    assert dash_only.output()[1][-1] == "python"


def test_an_image_without_python_is_told_so(dash_only):
    tools(dash_only, "ln", "mkdir", "sh")
    dash_only.variables["PATH"] = str(dash_only.folder / "bin")
    dash_only.feed(Recipe(dependencies=("ci_pip install x",)))

    status, lines = dash_only.output()

    assert status == 127
    assert "This image has no python3, which installing needs." in lines


def test_installing_makes_an_environment_that_the_command_runs_in(dash_only):
    dash_only.feed(
        Recipe(project=("ci_venv bare",), command='echo "$VIRTUAL_ENV"; command -v python')
    )

    venv = dash_only.folder / "venv"
    assert dash_only.output()[1][-2:] == [str(venv), f"{venv}/bin/python"]


def test_commands_of_the_users_own_find_pip(dash_only):
    recipe = detect(["ci.toml"], {"ci.toml": b'install = ["pip --version"]\ncommand = "true"'})
    dash_only.variables |= {"UV_OFFLINE": "1", "UV_NO_CACHE": "1"}  # leaves Python's own ensurepip
    dash_only.feed(recipe)

    status, lines = dash_only.output()

    assert status == 0
    assert any(line.startswith("pip ") and f"{dash_only.folder}/venv/" in line for line in lines)


def test_uv_is_preferred_and_told_what_pip_is_told(dash_only):
    says = 'echo "$1 $2 $UV_DEFAULT_INDEX $UV_INDEX $UV_INDEX_STRATEGY $UV_FIND_LINKS'
    says += ' ${UV_SYSTEM_PYTHON-}"'
    uv = fake(dash_only, "uv", f'{says}; [ "$1" != venv ] || mkdir -p "$PWD/../venv/bin"')
    dash_only.variables["PATH"] = f"{uv.parent}:{os.environ['PATH']}"
    env = {
        "PIP_INDEX_URL": "https://a/simple",
        "PIP_EXTRA_INDEX_URL": "https://b/simple",
        "PIP_FIND_LINKS": "x y",
        "UV_SYSTEM_PYTHON": "1",
    }
    dash_only.feed(Recipe(dependencies=("ci_pip install x",), command=("true",)), env=env)

    assert (
        "pip install https://a/simple https://b/simple unsafe-best-match x,y "
        in dash_only.output()[1]
    )


def test_a_home_nobody_can_write_to_is_replaced(dash_only):
    dash_only.variables["HOME"] = "/"
    dash_only.feed(Recipe(command='echo "$HOME"'))

    assert dash_only.output()[1][-1] == str(dash_only.folder / "home")


@pytest.mark.parametrize("name", ["A-B", "", "1A", "A\nB", "UID", "PPID"])
def test_names_that_no_shell_can_set_are_refused(name):
    with pytest.raises(ConfigurationError):
        render_environment(Recipe(), {name: "x"})


def test_values_that_no_variable_can_hold_are_refused():
    with pytest.raises(ConfigurationError, match="A holds a NUL"):
        render_environment(Recipe(), {"A": "x\0y"})


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        detect(["a-main/pyproject.toml"], {"a-main/pyproject.toml": b"[project]\nname='it'"}),
        Recipe(
            image="x", command="it's\n$x", project=("a 'b'", "c"), root="it's", path=("src", ".")
        ),
    ],
)
def test_shellcheck_has_no_complaints(recipe):
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=render_job_script(recipe), stdout=subprocess.PIPE
    )

    assert done.stdout.decode() == ""


BYTES = st.binary(max_size=40).filter(lambda data: b"\0" not in data)
TEXT = BYTES.map(lambda data: data.decode("utf-8", "surrogateescape"))
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True).map(lambda name: f"V_{name}")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, TEXT, max_size=5))
@pytest.mark.parametrize("call", shells().values(), ids=shells().keys())
def test_any_bytes_survive_in_the_environment(tmp_path_factory, call, values):
    folder = tmp_path_factory.mktemp("env")
    (folder / "env").write_bytes(render_environment(Recipe(), values))

    done = subprocess.run([*call, "-c", ". ./env; exec env -0"], cwd=folder, capture_output=True)

    exported = dict(item.split(b"=", 1) for item in done.stdout.split(b"\0") if item)
    for name, value in values.items():
        assert exported[name.encode()] == value.encode("utf-8", "surrogateescape")


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4), TEXT)
@pytest.mark.parametrize("call", shells().values(), ids=shells().keys())
def test_any_bytes_survive_in_the_command_and_the_notes(tmp_path_factory, call, words, note):
    folder = tmp_path_factory.mktemp("command")
    workplace = Workplace(folder, call)
    workplace.feed(Recipe(notes=(note,), command=("printf", "%s\\0", *words)))

    output = workplace.run().stdout

    assert output.startswith(note.encode("utf-8", "surrogateescape") + b"\nRunning tests...\n")
    printed = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)
    assert output.endswith(printed)


def fake(workplace: Workplace, name: str, script: str) -> Path:
    """Put a program of our own making beside the job."""
    program = workplace.folder / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def tools(workplace: Workplace, *names: str) -> None:
    """Put the machine's own programs of these names beside the job, and no others."""
    folder = workplace.folder / "bin"
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).symlink_to(shutil.which(name, path=SEARCHED) or name)
