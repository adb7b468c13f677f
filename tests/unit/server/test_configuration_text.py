"""Every setting is in the pages and the example that list them all."""

import re
from pathlib import Path

import pytest

from ci_server.configuration import read_configuration, variable_name
from ci_server.configuration_text import (
    EXAMPLE_FILE,
    PAGE,
    as_text,
    example_file,
    kind_of,
    shown_settings,
    with_reference,
)
from ci_server.settings import Settings

ROOT = Path(__file__).parents[3]
FIELDS = Settings.model_fields


def defaults(**changed):
    return read_configuration(Settings, changed, file=Path("/dev/null"), environ={}).settings


def test_what_is_generated_is_up_to_date():
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert page == with_reference(page), "run `make reference`"
    assert (ROOT / EXAMPLE_FILE).read_text(encoding="utf-8") == example_file()


def test_the_example_as_it_is_gives_the_defaults():
    found = read_configuration(Settings, {}, file=ROOT / EXAMPLE_FILE, environ={})
    assert found.settings == defaults()
    assert found.given == {}


def test_every_key_of_the_example_may_be_taken_as_it_stands(tmp_path):
    text = re.sub(r"^#(?=\w)", "", (ROOT / EXAMPLE_FILE).read_text("utf-8"), flags=re.MULTILINE)
    file = tmp_path / "server.yaml"
    file.write_text(text)
    found = read_configuration(Settings, {}, file=file, environ={})
    shown = {name for name in FIELDS if re.search(rf"^{name}:", text, re.MULTILINE)}
    assert shown == set(FIELDS)
    for name, info in FIELDS.items():
        if not info.examples:
            assert getattr(found.settings, name) == getattr(defaults(), name), name


def test_every_key_has_an_example_that_tells_something():
    missing = [name for name, info in FIELDS.items() if info.default is None and not info.examples]
    assert missing == []


@pytest.mark.parametrize("name", FIELDS)
def test_a_value_is_written_as_it_is_read(name):
    value = getattr(defaults(), name)
    text = as_text(value, kind_of(FIELDS[name]))
    assert not text or getattr(defaults(**{name: text}), name) == value


def test_each_row_of_the_page_has_the_default_that_the_setting_has():
    page = (ROOT / PAGE).read_text(encoding="utf-8").partition("## Every key")[0]
    rows = dict(re.findall(r"^\| `(CI_\w+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert {variable_name(name) for name in FIELDS} <= set(rows)
    for name in FIELDS:
        written = rows[variable_name(name)]
        if written.startswith("`"):
            assert getattr(defaults(**{name: written.strip("`")}), name) == getattr(
                defaults(), name
            ), name


def test_secrets_are_not_shown():
    shown = dict(shown_settings(defaults(job_env="TOKEN=hunter2")))
    assert shown["job_env"] == "…"
    assert shown["port"] == "8000"
    assert shown["job_user"] is None
