"""Where a server may listen that has no accounts."""

import os
import socket

import pytest
import uvicorn

from ci_common.errors import ConfigurationError
from ci_server import listening
from ci_server.exposure import OPEN_WARNING, refuse_exposed
from ci_server.settings import Settings, load_settings


class Accounts:
    """Says whether accounts are in force."""

    def __init__(self, *, in_force: bool) -> None:
        self._in_force = in_force

    async def in_force(self) -> bool:
        return self._in_force


EXPOSED = [
    ("0.0.0.0", {}, "CI_HOST"),
    ("::", {}, "CI_HOST"),
    ("192.0.2.7", {}, "CI_HOST"),
    ("ci.example", {}, "CI_HOST"),
    ("127.0.0.1", {"trusted_proxies": "127.0.0.1"}, "CI_TRUSTED_PROXIES"),
    ("localhost", {"public_url": "https://ci.example"}, "CI_PUBLIC_URL"),
]
ALONE = [
    ("127.0.0.1", {}),
    ("::1", {}),
    ("localhost", {"public_url": "http://localhost:8000"}),
]


def chosen(settings: dict[str, str]) -> Settings:
    return load_settings({"log_level": "error", **settings})


@pytest.mark.parametrize(("host", "settings", "named"), EXPOSED)
async def test_without_accounts_it_is_for_this_machine_only(host, settings, named):
    with pytest.raises(ConfigurationError, match=f"^{named}: .*without accounts") as refused:
        await refuse_exposed(chosen(settings), host, Accounts(in_force=False))
    for way_out in ("CI_ACCOUNTS=on", "keep to this machine: ", "--let-anyone-run-code"):
        assert way_out in refused.value.hint


@pytest.mark.parametrize(("host", "settings"), ALONE)
async def test_on_this_machine_nothing_is_asked(host, settings):
    await refuse_exposed(chosen(settings), host, Accounts(in_force=False))


@pytest.mark.parametrize(("host", "settings", "_named"), EXPOSED)
async def test_with_accounts_or_by_the_flag_it_is_for_others_too(host, settings, _named, caplog):
    await refuse_exposed(chosen(settings), host, Accounts(in_force=True))
    assert not caplog.messages
    flag = {"let_anyone_run_code": "true"}
    await refuse_exposed(chosen(settings | flag), host, Accounts(in_force=False))
    assert caplog.messages == [OPEN_WARNING]


@pytest.mark.parametrize(
    ("family", "address", "host"),
    [(socket.AF_INET, ("0.0.0.0", 0), "0.0.0.0"), (socket.AF_UNIX, "\0ci-test", "localhost")],
)
def test_a_socket_that_was_handed_over_tells_where_it_leads(monkeypatch, family, address, host):
    address = f"{address}-{os.getpid()}" if family == socket.AF_UNIX else address
    with socket.socket(family) as handed_over:
        handed_over.bind(address)
        server = uvicorn.Server(uvicorn.Config("none:app", fd=handed_over.fileno()))
        monkeypatch.setattr(listening.signal, "getsignal", lambda _: server.handle_exit)
        assert listening.listening_host(Settings()) == host
        assert handed_over.fileno() >= 0, "it is still open"
        handed_over.getsockname()
