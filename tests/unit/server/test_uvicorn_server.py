import socket
from contextlib import closing

import pytest

from ci_common.errors import ConfigurationError
from ci_server.settings import load_settings
from ci_server.uvicorn_server import base_url, bind


def test_answers_do_not_wait_for_acknowledgements():
    """Only for sockets that say their protocol does asyncio turn off Nagle's algorithm."""
    with closing(bind(load_settings({"host": "127.0.0.1", "port": "0"}))) as bound:
        assert bound.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("host", "reached_at"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("localhost", "http://"),
    ],
)
def test_the_url_can_be_used_on_this_machine(host, reached_at):
    with closing(bind(load_settings({"host": host, "port": "0"}))) as bound:
        assert base_url(bound).startswith(reached_at)
        assert base_url(bound).endswith(f":{bound.getsockname()[1]}")


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(ConfigurationError, match="CI_HOST"):
        bind(load_settings({"host": "192.0.2.1", "port": "0"}))
