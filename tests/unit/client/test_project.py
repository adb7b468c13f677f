"""What a project is called."""

from pathlib import Path

import pytest

from ci_client.project import project_name, project_setting
from ci_common.recipe import detect


@pytest.mark.parametrize(
    ("pyproject", "expected"),
    [
        ('[project]\nname = "shown"\n', "shown"),
        ('[tool.poetry]\nname = "poem"\n', "poem"),
        ("[project]\nname = 3\n", "demo"),
        ("[tool]\npoetry = 3\n", "demo"),
        ("project = 3\n", "demo"),
        ("not toml", "demo"),
        ('[project]\nname = "a\\u0007b"\n', "a?b"),
        (f'[project]\nname = "{"x" * 300}"\n', "x" * 200),
    ],
)
def test_the_name_is_the_projects_own_or_the_folders(
    project: Path, pyproject: str, expected: str
) -> None:
    (project / "pyproject.toml").write_text(pyproject)
    assert project_name(project) == expected


def test_the_present_folder_has_a_name_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert project_name(Path()) == "demo"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('organisation = "acme"\n', "acme"),
        ('organisation="acme"\n', "acme"),
        ('organisation \t  =\t"acme"\n', "acme"),
        ('"organisation" = "acme"\n', "acme"),
        ("'organisation' = 'acme'\n", "acme"),
        ('# organisation: whose this is\norganisation = "acme"\n', "acme"),
        ('# organisation: whose this is\ncommand = "true"\n', None),
        ('command = "organisation"\n', None),
    ],
)
def test_a_setting_is_found_however_it_is_written(
    project: Path, text: str, expected: str | None
) -> None:
    (project / "ci.toml").write_text(text)
    found = project_setting(project, "organisation")
    assert (found and found[0]) == expected


def test_a_project_that_names_its_server_is_one_that_servers_take(project: Path) -> None:
    text = 'server = "http://ci.example"\ncommand = "true"\n'
    (project / "ci.toml").write_text(text)
    assert project_setting(project, "server") == ("http://ci.example", str(project / "ci.toml"))
    assert detect(["ci.toml"], {"ci.toml": text.encode()}, None).command == "true"
