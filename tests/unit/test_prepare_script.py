"""The script that only installs, really run, and the job's script that follows it."""

import shutil
import subprocess

import pytest

from ci_common.executor import FED_MARKER
from ci_common.recipe import Recipe
from ci_controller.job_script import (
    NOT_FED,
    PREPARED,
    render_environment,
    render_job_script,
    render_prepare_script,
)
from tests.unit.test_job_script import Workplace, shells

RECIPE = Recipe(
    notes=("found",),
    dependencies=('ci_venv bare; echo "$TOKEN $PWD"',),
    project=("echo project",),
    command='echo "$VIRTUAL_ENV"',
    root="a b",
)


@pytest.fixture(params=shells().items(), ids=shells().keys())
def workplace(request, tmp_path) -> Workplace:
    return Workplace(tmp_path, request.param[1])


def install(workplace: Workplace, recipe: Recipe = RECIPE, **files: str) -> tuple[int, list[str]]:
    workplace.feed(recipe, {"TOKEN": "s3cret"}, **files)
    (workplace.folder / "job.sh").write_bytes(render_prepare_script(recipe))
    return workplace.output()


def feed(workplace: Workplace, script: bytes) -> None:
    """Lay out a job beside what an installation has left."""
    (workplace.folder / "workspace" / RECIPE.root).mkdir(parents=True)
    (workplace.folder / "job.sh").write_bytes(script)
    (workplace.folder / "env").write_bytes(render_environment(RECIPE, {}))
    (workplace.folder / FED_MARKER).touch()


def test_it_installs_and_leaves_nothing_else(workplace):
    status, lines = install(workplace, requirements__txt="one")

    assert status == 0
    assert lines[:2] == ["found", "Installing dependencies..."]
    assert lines[-1] == f"s3cret {workplace.folder}/workspace/a b"
    assert "project" not in lines
    left = {path.name for path in workplace.folder.iterdir()} - {"bin"}
    assert left == {"venv", PREPARED}
    found = subprocess.run(["grep", "-r", "s3cret", workplace.folder], capture_output=True)
    assert found.stdout == b""


def test_one_that_fails_says_what_a_job_says(workplace):
    recipe = Recipe(dependencies=("ci_venv bare", "exit 7"))
    status, lines = install(workplace, recipe)

    assert status == 7
    assert lines[-1] == (
        "Installing dependencies failed with exit status 7; the tests did not run."
    )
    assert not (workplace.folder / PREPARED).exists()


def test_one_that_makes_no_environment_leaves_no_sign(workplace):
    assert install(workplace, Recipe(dependencies=("true",)))[0] == 0
    assert not (workplace.folder / PREPARED).exists()


def test_without_the_marker_nothing_runs(workplace):
    workplace.feed(RECIPE)
    (workplace.folder / "job.sh").write_bytes(render_prepare_script(RECIPE))
    (workplace.folder / FED_MARKER).unlink()

    assert workplace.output() == (NOT_FED, [])


def test_the_job_after_it_finds_the_environment_and_installs_nothing(workplace):
    install(workplace)
    feed(workplace, render_job_script(RECIPE, kept="as installed"))

    assert workplace.output() == (
        0,
        [
            "found",
            "Installing dependencies...",
            "as installed",
            "Installing the project...",
            "$ echo project",
            "project",
            "Running tests...",
            f"$ {RECIPE.command}",
            str(workplace.folder / "venv"),
        ],
    )


def test_the_job_that_installed_goes_on_where_its_log_is(workplace):
    install(workplace)
    feed(workplace, render_job_script(RECIPE, opening=("Kept.",), kept=""))

    assert workplace.output()[1][:2] == ["Kept.", "Installing the project..."]


def test_where_nothing_was_left_the_job_installs_by_itself(workplace):
    """An image may keep the folder in a volume, which is no part of a snapshot."""
    feed(workplace, render_job_script(RECIPE, kept="as installed"))

    status, lines = workplace.output()

    assert status == 0
    assert "as installed" not in lines
    assert (workplace.folder / "venv").is_dir()


def test_a_job_that_is_to_install_does_so_whatever_the_image_has(workplace):
    install(workplace)
    feed(workplace, render_job_script(RECIPE))

    assert f"$ {RECIPE.dependencies[0]}" in workplace.output()[1]


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize(
    "script",
    [
        render_prepare_script(RECIPE),
        render_job_script(RECIPE, kept="it's"),
        render_job_script(RECIPE, opening=("it's",), kept=""),
    ],
)
def test_shellcheck_has_no_complaints(script):
    done = subprocess.run(["shellcheck", "--shell=sh", "-"], input=script, stdout=subprocess.PIPE)
    assert done.stdout.decode() == ""
