from pathlib import Path

import pytest

from ci_common.errors import ConfigurationError
from ci_server import configuration
from ci_server.configuration import misspelt_variables, read_configuration
from ci_server.given import from_flags
from ci_server.settings import Settings


@pytest.fixture(autouse=True)
def no_file_of_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(configuration, "MACHINE_FILE", tmp_path / "machine.yaml")
    return tmp_path / "machine.yaml"


@pytest.fixture
def read(tmp_path):
    def read(text=None, flags=None, **environ):
        file = None
        if text is not None:
            file = tmp_path / "server.yaml"
            file.write_text(text)
        return read_configuration(Settings, from_flags(flags or {}), file=file, environ=environ)

    return read


def refused(read, *arguments, **environ) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        read(*arguments, **environ)
    return caught.value


def test_flags_win_over_the_environment_that_over_the_file_that_over_defaults(read, tmp_path):
    text = "port: 1\nmax_files: 1\n\nmax_ratio: 9\n"
    found = read(text, {"port": "3"}, CI_PORT="2", CI_MAX_FILES="2")
    settings = found.settings
    assert (settings.port, settings.max_files, settings.max_ratio) == (3, 2, 9)
    assert settings.max_starting == 8
    assert found.origin("port") == "--set port"
    assert found.origin("max_files") == "CI_MAX_FILES"
    assert found.origin("max_ratio") == f"{tmp_path}/server.yaml:4"
    assert found.origin("max_starting") == "default"


def test_an_empty_value_counts_as_unset_everywhere(read):
    text = "max_files: 5\nmax_ratio:\nmax_running: ''\njob_cap_add: []\n"
    found = read(text, {"max_files": ""}, CI_MAX_FILES="")
    assert found.settings.max_files == 5
    assert list(found.given) == ["max_files"]


def test_lists_and_tables_may_be_written_as_such(read):
    text = "job_cap_add:\n- sys_ptrace\n- NET_ADMIN\njob_env:\n  A: yes\n  B: 1,2=3\n  C:\n"
    settings = read(text).settings
    assert settings.job_cap_add == ("SYS_PTRACE", "NET_ADMIN")
    assert settings.job_env == {"A": "yes", "B": "1,2=3", "C": ""}
    assert read("job_cap_add: SYS_PTRACE,CHOWN").settings.job_cap_add == ("SYS_PTRACE", "CHOWN")


@pytest.mark.parametrize("text", ["no", "010", "1:30", "1e3", "2026-01-01", "~x", "0x1F", "1_000"])
def test_yaml_guesses_at_no_value(read, text):
    assert read(f"default_image: {text}").settings.default_image == text


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_a_file_without_a_setting_is_one(read, text):
    assert read(text).given == {}


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("port: 1\nmax_files: 3\nport: 2\n", 3, "'port' stands on line 1 already"),
        ("job_env:\n  A: 1\n  A: 2\n", 3, "'A' stands on line 2 already"),
        ("port: 1\n\t- oops\n", 2, "this is no YAML"),
        ("- port\n", 1, "lines such as"),
        ("port: [[1]]\n", 1, "inside of another"),
        ("port: {a: {b: 1}}\n", 1, "inside of another"),
        ("[1]: 2\n", 1, "inside of another"),
        ("job_env: &a\n  A: 1\njob_user: *a\n", 3, "write it out"),
        ("a: &a [*a]\n", 1, "write it out"),
        ("max_files: 9\nport: 70000\n", 2, "port: Input should be less than or equal to 65535"),
        ("\nmax_runing: 4\n", 2, "max_runing: there is no such setting; do you mean max_running?"),
        ("max-running: 4\n", 1, "do you mean max_running?"),
        ("job_timeout: soon\n", 1, "job_timeout: give seconds, or a number with a unit"),
        ("trusted_proxies: [10.0.0.1/8]\n", 1, "trusted_proxies: '10.0.0.1/8' is no address"),
        ("cors_origins: ['*']\n", 1, "cors_origins: '*' is not the origin"),
        ("port: !!python/object/apply:os.system [exit]\n", 1, "port: Input should be a valid"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_line(read, tmp_path, text, line, cause):
    error = refused(read, text)
    assert f"{tmp_path}/server.yaml:{line}: " in error.detail
    assert cause in error.detail
    assert error.hint


def test_all_that_is_wrong_is_told_at_once_each_with_its_place(read, tmp_path):
    error = refused(read, "port: x\n", {"max_files": "0"}, CI_MAX_RATIO="1")
    for place in (f"{tmp_path}/server.yaml:1: port", "--set max_files", "CI_MAX_RATIO"):
        assert f"{place}: " in error.detail
        assert place in error.hint
    assert "(it is 'x')" in error.detail


def test_a_file_that_is_named_has_to_be_there(read, tmp_path):
    missing = tmp_path / "missing.yaml"
    for give in (
        lambda: read_configuration(Settings, {}, file=missing, environ={}),
        lambda: read(CI_CONFIG=str(missing)),
    ):
        with pytest.raises(ConfigurationError, match=r"missing\.yaml: .* No such file"):
            give()


def test_which_file_is_read(read, tmp_path, no_file_of_the_machine):
    assert read().file is None
    no_file_of_the_machine.write_text("port: 1\n")
    other = tmp_path / "other.yaml"
    other.write_text("port: 2\n")
    assert read().settings.port == 1
    assert read(CI_CONFIG=str(other)).settings.port == 2
    assert read("port: 3", CI_CONFIG=str(other)).settings.port == 3
    assert read(CI_CONFIG="/dev/null").settings.port == 8000


def test_a_file_in_the_folder_we_are_in_is_not_read_by_itself(read, tmp_path, monkeypatch):
    for name in ("config.yaml", "ci-server.yaml", "server.yaml", "standby-ci.yaml"):
        (tmp_path / name).write_text("port: 1\n")
    monkeypatch.chdir(tmp_path)
    assert read().settings.port == 8000


@pytest.mark.parametrize("given", ["environment", "file", "flag"])
def test_a_secret_may_stand_in_a_file_of_its_own(read, tmp_path, given):
    secret = tmp_path / "job_env"
    secret.write_text("TOKEN=hunter2\nOTHER=x\n")
    found = {
        "environment": lambda: read(CI_JOB_ENV_FILE=str(secret)),
        "file": lambda: read(f"job_env_file: {secret}\n"),
        "flag": lambda: read(None, {"job_env_file": str(secret)}, CI_JOB_ENV="A=1"),
    }[given]()
    assert found.settings.job_env == {"TOKEN": "hunter2", "OTHER": "x"}


def test_a_secret_is_given_in_one_way(read, tmp_path):
    error = refused(read, CI_JOB_ENV_FILE="/x", CI_JOB_ENV="TOKEN=hunter2")
    assert "CI_JOB_ENV_FILE: CI_JOB_ENV is given as well" in error.detail
    assert (
        "CI_JOB_ENV_FILE: the file '/x' cannot be read"
        in refused(read, CI_JOB_ENV_FILE="/x").detail
    )


def test_what_is_no_secret_has_no_file(read):
    assert "there is no such setting" in refused(read, "port_file: /x").detail


@pytest.mark.parametrize(
    "text",
    ["job_env: hunter2", "job_env: [hunter2]", "job_env: {'1hunter': hunter2}", "job_env: {broken",
     "job_env: {A: [hunter2]}", "job_env: 'hunter2\n", "job_env:\n  A: hunter2: x\n"],
)  # fmt: skip
def test_a_secret_in_a_file_is_not_repeated(read, text):
    error = refused(read, text)
    assert "hunter2" not in error.detail + (error.hint or "")


def test_variables_that_look_like_settings_are_told():
    environ = {
        "CI_MAX_RUNING": "4", "CI_PORT": "1", "CI_JOB_ENV_FILE": "/x", "CI_CONFIG": "/x",
        "CI_SERVER_URL": "x", "CI_API_KEY": "x", "CI_COMMIT_SHA": "x", "MAX_FILE": "1",
    }  # fmt: skip
    assert list(misspelt_variables(Settings, environ)) == [("CI_MAX_RUNING", "CI_MAX_RUNNING")]


def test_the_client_knows_nothing_of_yaml():
    for path in Path(configuration.__file__).parents[1].joinpath("ci_client").rglob("*.py"):
        assert "import yaml" not in path.read_text(encoding="utf-8")
