"""What the compose file says, read by compose itself; it needs no engine."""

import os
import subprocess

import pytest
import yaml

from tests.deploy.stack import COMPOSE_FILE


@pytest.fixture
def config(compose) -> dict:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("STANDBY_CI_", "DOCKER_"))}
    done = subprocess.run(
        [*compose, "-f", str(COMPOSE_FILE), "config"], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_compose_takes_the_file_and_every_service_is_confined(config: dict) -> None:
    assert set(config["services"]) == {"server", "engine-proxy"}
    for service in config["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["init"] is True
        assert service["restart"] == "unless-stopped"
        assert "privileged" not in service


def test_only_the_filter_has_the_socket_and_only_the_server_a_port(config: dict) -> None:
    server, proxy = config["services"]["server"], config["services"]["engine-proxy"]
    assert "docker.sock" not in str(server)
    assert "/var/run/docker.sock" in str(proxy["volumes"])
    assert "ports" not in proxy
    assert "127.0.0.1" in str(server["ports"]), "published for this machine only"
    assert list(proxy["networks"]) == ["engine"]
    assert config["networks"]["engine"]["internal"] is True
    assert server["environment"]["DOCKER_HOST"] == "tcp://engine-proxy:2375"
