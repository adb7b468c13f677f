"""Jobs that try to get out, and get nowhere."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.e2e.isolation import escape

pytestmark = pytest.mark.docker

LISTEN = """
import socket, time
tcp = socket.create_server(("0.0.0.0", 7777))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 7777))
print("listening", flush=True)
while True:
    print("reached by", tcp.accept()[1], flush=True)
"""


class Listener:
    """Listens on every address of this machine, and answers; knows who came."""

    def __init__(self) -> None:
        self._tcp = socket.create_server(("0.0.0.0", 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("0.0.0.0", self.port))
        self.came: list[str] = []
        self._threads = [threading.Thread(target=each) for each in (self._accept, self._answer)]
        for thread in self._threads:
            thread.start()

    def _accept(self) -> None:
        while True:
            connection, (address, _) = self._tcp.accept()
            connection.close()
            if address == "127.0.0.1":
                return
            self.came.append(address)

    def _answer(self) -> None:
        while True:
            data, sender = self._udp.recvfrom(100)
            if sender[0] == "127.0.0.1":
                return
            self.came.append(sender[0])
            self._udp.sendto(data, sender)

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
            there.sendto(b"", ("127.0.0.1", self.port))
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()


@pytest.fixture
def listener():
    with contextlib.closing(Listener()) as listening:
        yield listening


@pytest.fixture
def link_local(namespace):
    """A link-local address of this machine, on an interface made for it."""
    interface = f"cit{namespace[1:9]}"
    address = f"169.254.{os.getpid() % 250 + 1}.77"
    # Not every kernel has dummies; a bridge without members is as good.
    made = any(
        subprocess.run(["ip", "link", "add", interface, "type", kind], capture_output=True)
        .returncode == 0
        for kind in ("dummy", "bridge")
    )  # fmt: skip
    assert made, "no interface can be made"
    try:
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", interface], check=True)
        subprocess.run(["ip", "link", "set", interface, "up"], check=True)
        yield address
    finally:
        subprocess.run(["ip", "link", "del", interface], check=True)


def escaping(project, targets):
    made = project("python3 escape.py")
    program = Path(escape.__file__).read_text()
    return made.write({"escape.py": program, "targets.json": json.dumps(targets)})


def outcomes(log: str) -> dict:
    found = [json.loads(line) for line in log.splitlines() if line.startswith('{"attempt"')]
    return {each["attempt"]: each["got"] for each in found}


def gateway(engine) -> str:
    (network,) = engine.networks()
    return network.attrs["IPAM"]["Config"][0]["Gateway"]


def test_a_job_that_tries_to_get_out(servers, engine, namespace, project, listener, link_local):
    server = servers(namespace, executor="docker", job_firewall="on", max_running="2").start()
    neighbour = server.submit(project("python3 listen.py").write({"listen.py": LISTEN}))
    server.until_log(neighbour, "listening")
    networks = engine.of(neighbour).attrs["NetworkSettings"]["Networks"].values()
    (beside,) = [each["IPAddress"] for each in networks]
    targets = {
        "host": [[gateway(engine), listener.port], [own_address(), listener.port]],
        "link_local": [[link_local, listener.port]],
        "neighbour": [[beside, 7777]],
    }
    job_id = server.submit(escaping(project, targets))
    assert server.until(job_id, "completed")["reason"] == "passed", server.text(job_id)
    got = outcomes(server.text(job_id))
    assert set(got) == set(escape.ATTEMPTS)
    assert {name: what for name, what in got.items() if what is not None} == {}
    assert listener.came == []
    assert "reached by" not in server.text(neighbour)
    # What was not reached was there to be reached.
    code, _ = engine.of(neighbour).exec_run(
        ["python3", "-c", f"import socket; socket.create_connection(({beside!r}, 7777), 10)"]
    )
    assert code == 0
    server.until_log(neighbour, "reached by")


def test_what_the_firewall_keeps_away(servers, engine, namespace, project, listener, link_local):
    """Without it all of these are reached: what is shown above is not shown by chance."""
    # The rule is one for all servers on this machine, and goes by how the interface is called.
    engine.client.networks.create(
        f"{namespace}standby-ci",
        labels={"ci.namespace": namespace},
        options={"com.docker.network.bridge.name": f"cj{namespace[1:9]}"},
    )
    server = servers(namespace, executor="docker", job_firewall="off").start()
    targets = {
        "host": [[gateway(engine), listener.port], [own_address(), listener.port]],
        "link_local": [[link_local, listener.port]],
        "neighbour": [],
    }
    job_id = server.submit(escaping(project, targets))
    server.until(job_id, "completed")
    got = outcomes(server.text(job_id))
    assert len(got["the_host_by_network"]) == 4
    assert len(got["a_link_local_address"]) == 2


def own_address() -> str:
    """Return this machine's address towards others; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]
