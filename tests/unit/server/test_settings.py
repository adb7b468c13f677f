from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ci_common.errors import ConfigurationError
from ci_common.quantities import parse_bytes, parse_seconds
from ci_server.settings import Settings, is_loopback, load_settings, variable_name

DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_name(name), raising=False)


def test_the_defaults_are_those_of_the_documentation():
    settings = load_settings()
    assert settings.db_path == Path("ci_jobs.db")
    assert settings.container_prefix == ""
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.executor == "auto"


def test_units_and_lists_are_read(monkeypatch):
    monkeypatch.setenv("CI_MAX_UPLOAD_BYTES", "512m")
    monkeypatch.setenv("CI_JOB_MEMORY", "1.5 GiB")
    monkeypatch.setenv("CI_JOB_TIMEOUT", "1h30m")
    monkeypatch.setenv("CI_JOB_CAP_ADD", "sys_ptrace, NET_ADMIN")
    monkeypatch.setenv("CI_JOB_USER", "")
    settings = load_settings()
    assert settings.max_upload_bytes == 512 * 1024**2
    assert settings.job_memory == 3 * 1024**3 // 2
    assert settings.job_timeout == 5400
    assert settings.job_cap_add == ("SYS_PTRACE", "NET_ADMIN")
    assert settings.job_user is None


@pytest.mark.parametrize(
    "text",
    ["A=1,PIP_INDEX_URL=http://h/?a=b", "A=1\nPIP_INDEX_URL=http://h/?a=b\n",
     '{"A": "1", "PIP_INDEX_URL": "http://h/?a=b"}'],
)  # fmt: skip
def test_the_three_ways_to_write_variables(text):
    expected = {"A": "1", "PIP_INDEX_URL": "http://h/?a=b"}
    assert load_settings({"job_env": text}).job_env == expected


def test_commas_may_stand_in_a_value_when_lines_separate():
    assert load_settings({"CI_JOB_ENV": "A=1,2\nB=3"}).job_env == {"A": "1,2", "B": "3"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CI_PORT", "70000"),
        ("CI_MAX_RUNNING", "many"),
        ("CI_EXECUTOR", "podman"),
        ("CI_JOB_MEMORY", "2q"),
        ("CI_JOB_TIMEOUT", "soon"),
        ("CI_JOB_TIMEOUT", "nan"),
        ("CI_JOB_ENV", "secret-without-a-name"),
        ("CI_JOB_ENV", "1A=x"),
        ("CI_JOB_ENV", "{broken"),
        ("CI_JOB_CAP_ADD", "--privileged"),
        ("CI_CONTAINER_PREFIX", "a/b"),
        ("CI_UNHEARD_OF", "1"),
    ],
)
def test_a_wrong_value_names_its_key_and_the_way_out(key, value):
    with pytest.raises(ConfigurationError) as caught:
        load_settings({key: value})
    assert key in caught.value.detail
    assert key in caught.value.hint
    assert "docs/configuration.md" in caught.value.hint


def test_every_wrong_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("CI_PORT", "x")
    with pytest.raises(ConfigurationError, match=r"CI_PORT.*CI_MAX_FILES"):
        load_settings({"max_files": "0"})


def test_a_secret_is_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"job_env": "TOKEN-hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("database", "folder"),
    [("/data/ci_jobs.db", "/data"), ("/data/test1.db", "/data/test1.data"), ("x", "x.data")],
)
def test_databases_in_one_folder_share_no_data(database, folder):
    assert load_settings({"db_path": database}).data_folder == Path(folder)


def test_a_given_data_directory_wins():
    assert load_settings({"data_dir": "/d", "db_path": "/x/y.db"}).data_folder == Path("/d")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_not_loopback(host):
    assert not is_loopback(host)


@hypothesis_settings(deadline=None)
@given(st.text(max_size=12))
def test_quantities_never_fail_otherwise_than_by_value_error(text):
    for parse in (parse_bytes, parse_seconds):
        with suppress(ValueError):
            assert isinstance(parse(text), int | float)


def test_every_setting_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    missing = [
        name for name in map(variable_name, Settings.model_fields) if f"`{name}`" not in text
    ]
    assert not missing


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())
