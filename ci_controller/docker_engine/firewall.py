"""Keeps jobs from what listens on the machine of the engine, by a rule of its packet filter.

A bridge leads to the machine it is on: whatever listens there on every address
can be reached from a container, and so can cloud providers' link-local
addresses, which hand out credentials. The engine has no option against it, so
the rule stands in the table ``raw``, before the engine's own: what comes from
a bridge of ours for any address of this machine, or a link-local one, is
dropped. Also to published ports of other containers, which are such addresses.

The rule goes by how our bridges are named, so it is the same for all servers
on a machine, and it stays when they go.
"""

import logging
import os
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from ci_common.errors import ConfigurationError

FirewallMode: TypeAlias = Literal["auto", "on", "off"]
"""Whether jobs are kept from the engine's machine: where we can, always or not at all, never."""

_logger = logging.getLogger(__name__)

BRIDGE_PREFIX = "cibr"
"""What the interfaces of our networks are called, and a token."""

_CHAIN = "STANDBY-CI"
_JUMP = ("PREROUTING", "-i", f"{BRIDGE_PREFIX}+", "-j", _CHAIN)
_RULES = f"""*raw
:{_CHAIN} - [0:0]
-A {_CHAIN} -m addrtype --dst-type LOCAL -j DROP
-A {_CHAIN} -d 169.254.0.0/16 -j DROP
COMMIT
"""
_NO_RULES = f"*raw\n:{_CHAIN} - [0:0]\n-X {_CHAIN}\nCOMMIT\n"
_WAY_OUT = (
    "Run `ci admin firewall install` as root on the machine of the engine, once after each of "
    "its starts; or let jobs reach that machine with CI_JOB_FIREWALL=off."
)
_PATIENCE = 10.0
"""Seconds a call may take; somebody else may hold the filter's lock."""
_SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_MARK = Path("/run/standby-ci.firewall")
"""Says to those who may not look that the rule was set since the machine started."""


def new_bridge() -> str:
    """Return a name for the interface of a network, 14 of the 15 characters it may have."""
    return BRIDGE_PREFIX + secrets.token_hex(5)


def is_here(bridge: str) -> bool:
    """Return whether the interface is one of ours, and on this machine.

    Only then does this machine's filter see what comes from it.
    """
    return bridge.startswith(BRIDGE_PREFIX) and Path("/sys/class/net", bridge).exists()


class Firewall:
    """The rule, on this machine.

    ``tools`` is where the programs are looked for that set it; ``mark`` a file that
    tells users without rights to look at the rule that it was set.
    """

    def __init__(self, tools: str = _SYSTEM_PATH, mark: Path = _MARK) -> None:
        self._tools = tools
        self._mark = mark

    def install(self) -> None:
        """Set the rule. Idempotent; there is no moment without it if it was there.

        Raises:
            ConfigurationError: it cannot be set here.

        """
        self._run("iptables-restore", "--noflush", standard_input=_RULES)
        if not self._jumps():
            self._run("iptables", "-t", "raw", "-I", *_JUMP)
        with suppress(OSError):
            self._mark.touch(mode=0o644)

    def remove(self) -> None:
        """Take the rule away. Idempotent.

        Raises:
            ConfigurationError: it cannot be taken away here.

        """
        while self._jumps():
            self._run("iptables", "-t", "raw", "-D", *_JUMP)
        self._mark.unlink(missing_ok=True)
        self._run("iptables-restore", "--noflush", standard_input=_NO_RULES)

    def is_installed(self) -> bool:
        """Return whether the rule is set; for others than root, as the mark has it.

        Raises:
            ConfigurationError: that cannot be seen here.

        """
        if os.geteuid() != 0:
            return self._mark.exists()
        return self._jumps() and self._succeeds(
            "-C", _CHAIN, "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DROP"
        )

    def _jumps(self) -> bool:
        return self._succeeds("-C", *_JUMP)

    def _succeeds(self, *arguments: str) -> bool:
        done = self._call("iptables", "-t", "raw", *arguments)
        # 1 and 2 say that there is no such rule or chain; 4 is the lock, and 3 or 111 rights.
        if done.returncode not in {0, 1, 2}:
            raise _failed("iptables", done.stderr)
        return done.returncode == 0

    def _run(self, program: str, *arguments: str, standard_input: str = "") -> None:
        done = self._call(program, *arguments, standard_input=standard_input)
        if done.returncode:
            raise _failed(program, done.stderr)

    def _call(
        self, program: str, *arguments: str, standard_input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        path = shutil.which(program, path=self._tools)
        if path is None:
            raise ConfigurationError(f"{program} is not on this machine", hint=_WAY_OUT)
        if os.geteuid() != 0:
            raise ConfigurationError("only root may set rules of the packet filter", hint=_WAY_OUT)
        try:
            return subprocess.run(
                [path, "--wait", "5", *arguments],
                input=standard_input,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(program, str(error)) from error


def _failed(program: str, text: str) -> ConfigurationError:
    said = " ".join(text.split()) or "it does not say why"
    return ConfigurationError(f"{program} cannot set the rule: {said}", hint=_WAY_OUT)


class NetworkGuard:
    """Sees to it that the rule stands before a container is on a network."""

    def __init__(self, mode: FirewallMode, firewall: Firewall | None = None) -> None:
        self._mode = mode
        self._firewall = firewall or Firewall()

    def protect(self, bridge: str) -> None:
        """Keep what is on the network ``bridge`` from this machine. For a worker thread.

        Raises:
            ConfigurationError: it cannot be kept, and must be.

        """
        if self._mode == "off":
            return
        try:
            _require_here(bridge)
            if os.geteuid() == 0 or not self._firewall.is_installed():
                self._firewall.install()
        except ConfigurationError as problem:
            if self._mode == "on":
                raise
            _logger.warning(
                "jobs can reach what listens on the engine's machine: %s. %s",
                problem.detail,
                problem.hint,
            )


def _require_here(bridge: str) -> None:
    if not bridge:
        raise ConfigurationError(
            "the network of jobs was made by an earlier version",
            hint="Stop the server, remove the network with `docker network rm`, and start again.",
        )
    if not is_here(bridge):
        raise ConfigurationError(
            f"the engine is not on this machine, which has no interface {bridge}", hint=_WAY_OUT
        )
