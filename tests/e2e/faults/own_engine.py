"""A Docker engine of the tests' own: to be killed, restarted, stopped and cut off from power.

It lives in a sandbox, on data of its own, and shares nothing with the
machine's engine but the program.
"""

import contextlib
import io
import os
import signal
import socket
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from shutil import which

from tests.e2e.faults.sandbox import Sandbox, remove_cgroups
from tests.e2e.harness import Engine, children
from tests.waiting import eventually

IMAGE = "small:1"
"""A shell, tar and a few of the usual programs, taken from this machine."""

_PROGRAMS = ("sh", "cat", "dd", "head", "mkdir", "rm", "seq", "sleep", "tar", "touch", "tr", "yes")


class OwnEngine:
    """See the module. ``folder`` must have a short name: it holds the socket."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._folder = folder
        self._namespace = namespace
        self._cgroup = f"ci-test-{namespace}"
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self.sandbox = Sandbox().power_on()
        self.log = folder / "engine.log"
        self.host = f"unix://{folder}/docker.sock"
        self.seen = Engine(namespace, host=self.host)

    @property
    def settings(self) -> dict[str, str]:
        """What a server must have in its environment to use this engine."""
        return {"DOCKER_HOST": self.host, "CI_DEFAULT_IMAGE": IMAGE, "CI_JOB_NETWORK": "none"}

    def start(self, *, live_restore: bool = False) -> None:
        """Start it and wait until it answers."""
        command = [
            "dockerd", "--host", self.host, "--pidfile", f"{self._folder}/docker.pid",
            "--data-root", f"{self._folder}/data", "--exec-root", f"{self._folder}/run",
            "--cgroup-parent", f"/{self._cgroup}", "--log-level", "warn", "--shutdown-timeout", "5",
            f"--live-restore={str(live_restore).lower()}",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.sandbox.entering("mount", "net", "pid"), *command], stdout=log, stderr=log
            )
        self._pid = eventually(lambda: children(self._process.pid), what="the engine starts")[0]
        eventually(self._answers, what="the engine answers")

    def import_image(self) -> None:
        """Have the image that jobs run in."""
        self.seen.client.api.import_image_from_data(_image(), *IMAGE.split(":"))

    def kill(self) -> None:
        """End it as a crash would; containers are left alone."""
        os.kill(self._pid, signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> None:
        """Ask it to end and wait until it has; containers end too, unless it is to restore them."""
        os.kill(self._pid, signal.SIGTERM)
        self._process.wait(60)

    def suspend(self) -> None:
        """Have it hang: it takes connections and never answers."""
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on from where it hung."""
        # Whoever waits for it stopped with it.
        for pid in (self._process.pid, self._pid):
            os.kill(pid, signal.SIGCONT)

    def lose_power(self) -> None:
        """End the engine and its containers at one moment, as a machine without power does."""
        self.sandbox.power_off()
        self._process.wait()

    def boot(self) -> None:
        """Have the engine's machine come up again; what is gone with the power is gone."""
        for name in ("run", "docker.pid", "docker.sock"):
            subprocess.run(["rm", "-rf", str(self._folder / name)], check=True)
        self.sandbox.power_on()

    def shim_of(self, container) -> int:
        """Return the process between the engine and a container."""
        for pid in children(self.sandbox.init):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"containerd-shim" in command[0] and container.id.encode() in command:
                    return pid
        raise AssertionError(f"no shim of {container.name}")

    def go(self, job_id: str) -> None:
        """Let a job go on that waits for ``/tmp/go``, whatever another container is like."""
        api = self.seen.client.api
        (container,) = api.containers(filters={"name": job_id})
        api.exec_start(api.exec_create(container["Id"], ["touch", "/tmp/go"])["Id"])

    def close(self) -> None:
        """Leave nothing behind."""
        self.seen.close()
        self.lose_power()
        remove_cgroups(self._cgroup)

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"the engine ended:\n{self.log.read_text()[-5000:]}")
        # The SDK would leave a socket open for every look.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(self.host.removeprefix("unix://"))
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"200 OK" in probe.recv(1000)
        return False


@cache
def _image() -> bytes:
    """Return a tar of a root file system with what a job's script needs."""
    programs = [path for name in _PROGRAMS if (path := which(name))]
    listed = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
    libraries = {word for word in listed.split() if word.startswith("/") and word[-1] != ":"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as image:
        for path in programs:
            _add(image, path, f"bin/{Path(path).name}")
        for path in sorted(libraries):
            _add(image, path, path.lstrip("/"))
        for name, mode in (("etc", 0o755), ("tmp", 0o1777)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            image.addfile(folder)
    return buffer.getvalue()


def _add(image: tarfile.TarFile, path: str, name: str) -> None:
    entry = tarfile.TarInfo(name)
    content = Path(path).read_bytes()  # through links: what they lead to is what counts
    entry.size, entry.mode = len(content), 0o755
    image.addfile(entry, io.BytesIO(content))
