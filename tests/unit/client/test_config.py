"""Which server, which key, and who said so."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ci_client.config import (
    Setting,
    Sources,
    credentials_file,
    key_from_stdin,
    masked,
    user_file,
)
from ci_client.credentials import Credentials
from ci_common.api_keys import new_key
from ci_common.errors import ConfigurationError


def sources(
    directory: Path,
    environ: Mapping[str, str] | None = None,
    *,
    server: str | None = None,
    key: str | None = None,
) -> Sources:
    return Sources(server, key, environ or {}, directory)


def assert_setting(
    found: Setting, value: str | None, origin: str, *, explicit: bool = False
) -> None:
    assert (found.value, found.origin, found.explicit) == (value, origin, explicit)


@pytest.fixture
def own(own_home: Path) -> Path:
    path = own_home / ".config/standby-ci/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('server = "http://own:1"\napi_key = "own-key"\n')
    return path


def test_the_first_that_has_a_server_wins(project: Path, own: Path) -> None:
    here, environ = project / "ci.toml", {"CI_SERVER_URL": "http://env:1"}
    here.write_text('server = "http://project:1"\n')
    flagged = sources(project, environ, server="http://flag:1").server()
    assert_setting(flagged, "http://flag:1", "--server", explicit=True)
    assert_setting(sources(project, environ).server(), "http://env:1", "CI_SERVER_URL")
    assert_setting(sources(project).server(), "http://project:1", str(here))
    here.unlink()
    assert_setting(sources(project).server(), "http://own:1", str(own))
    own.unlink()
    assert_setting(sources(project).server(), "http://localhost:8000", "default")


def test_the_project_is_found_from_below_and_ends_at_its_repository(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.ci]\nserver = "http://project:1"\n')
    inner = project / "a/b"
    inner.mkdir(parents=True)
    assert sources(inner).server().value == "http://project:1"
    (project / "a/.git").mkdir()
    assert sources(inner).server().origin == "default"


def test_ci_toml_goes_before_pyproject(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.ci]\nserver = "http://second:1"\n')
    (project / "ci.toml").write_text('server = "http://first:1"\n')
    assert sources(project).server().value == "http://first:1"


def test_the_first_that_has_a_key_wins(project: Path, own: Path) -> None:
    environ = {"CI_API_KEY": "env-key"}
    server = Setting("http://own:1/", "wherever")
    flagged = sources(project, environ, key="flag-key").api_key(server)
    assert_setting(flagged, "flag-key", "--api-key", explicit=True)
    assert_setting(sources(project, environ).api_key(server), "env-key", "CI_API_KEY")
    assert_setting(sources(project).api_key(server), "own-key", str(own))
    own.unlink()
    assert_setting(sources(project).api_key(server), None, "not set")


def test_what_login_keeps_goes_before_the_own_file_for_its_server_only(
    project: Path, own: Path
) -> None:
    kept = Credentials(credentials_file({}))
    kept.keep("http://own:1", "kept-key")
    server = Setting("http://own:1/prefix", "wherever")
    assert_setting(sources(project).api_key(server), "kept-key", kept.path)
    assert_setting(sources(project, {"CI_API_KEY": "e"}).api_key(server), "e", "CI_API_KEY")
    for other in ("https://own:1", "http://own:2", "http://own.evil:1", "http://own:1@evil:1"):
        key = sources(project).api_key(Setting(other, "ci.toml"))
        assert key.value is None
        assert "http://own:1" in key.origin


def test_the_first_that_names_an_organisation_wins(project: Path, own: Path) -> None:
    here, environ = project / "ci.toml", {"CI_ORGANISATION": "env"}
    own.write_text('organisation = "own"\n')
    here.write_text('organisation = "project"\n')
    flagged = Sources(None, None, environ, project, "flag").organisation()
    assert_setting(flagged, "flag", "--org", explicit=True)
    assert_setting(sources(project, environ).organisation(), "env", "CI_ORGANISATION")
    assert_setting(sources(project).organisation(), "project", str(here))
    none = Sources(None, None, environ, project, "").organisation()
    assert_setting(none, None, "--org", explicit=True)
    here.unlink()
    assert_setting(sources(project).organisation(), "own", str(own))
    own.unlink()
    assert_setting(sources(project).organisation(), None, "not set")


def test_a_project_cannot_send_the_own_key_to_a_server_of_its_choice(
    project: Path, own: Path
) -> None:
    (project / "ci.toml").write_text('server = "http://evil:1"\n')
    found = sources(project)
    key = found.api_key(found.server())
    assert key.value is None
    assert "http://own:1" in key.origin


def test_nor_the_key_of_the_environment(project: Path, own: Path) -> None:
    environ = {"CI_API_KEY": "env-key"}
    (project / "ci.toml").write_text('server = "https://evil:1"\n')
    found = sources(project, environ)
    with pytest.raises(ConfigurationError, match=r"only .*ci\.toml says that https") as why:
        found.api_key(found.server())
    assert "CI_SERVER_URL=https://evil:1" in str(why.value.hint)
    said = sources(project, environ | {"CI_SERVER_URL": "https://evil:1"})
    assert said.api_key(said.server()).value == "env-key"
    Credentials(credentials_file({})).keep("https://evil:1", "kept-key")
    assert found.api_key(found.server()).value == "env-key"


@pytest.mark.parametrize("server", ["http://own:1/", "http://localhost:9", "http://127.0.0.1:9"])
def test_a_project_may_name_a_server_that_is_ones_own(
    project: Path, own: Path, server: str
) -> None:
    (project / "ci.toml").write_text(f'server = "{server}"\n')
    found = sources(project, {"CI_API_KEY": "env-key"})
    assert found.api_key(found.server()).value == "env-key"


def test_an_unreadable_file_is_only_a_problem_when_it_is_needed(project: Path) -> None:
    (project / "ci.toml").write_text("server = ")
    assert sources(project, server="http://flag:1").server().value == "http://flag:1"
    with pytest.raises(ConfigurationError, match=r"ci\.toml cannot be read"):
        sources(project).server()


@pytest.mark.parametrize("value", ["1", '""', '["a"]'])
def test_a_server_that_is_no_text_is_refused(project: Path, value: str) -> None:
    (project / "ci.toml").write_text(f"server = {value}\n")
    with pytest.raises(ConfigurationError, match=r"`server` in .* is not text"):
        sources(project).server()


def test_the_own_file_is_where_xdg_says(own_home: Path) -> None:
    assert user_file({"XDG_CONFIG_HOME": "/etc/mine"}) == "/etc/mine/standby-ci/config.toml"
    default = str(own_home / ".config/standby-ci/config.toml")
    assert user_file({}) == default
    assert user_file({"XDG_CONFIG_HOME": "relative"}) == default


def test_a_key_is_never_shown_whole() -> None:
    assert masked("0123456789abcdef") == "…cdef"
    assert masked("short") == "…"
    key = new_key()
    assert masked(key) == f"{key[:8]}…"


def test_a_key_from_stdin() -> None:
    assert key_from_stdin(" abc \n") == "abc"
    with pytest.raises(ConfigurationError, match="stdin"):
        key_from_stdin("\n")
