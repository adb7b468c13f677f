"""Keeping jobs from the engine's machine: when the rule is set, and what if it cannot be."""

import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from ci_common.errors import ConfigurationError
from ci_controller.docker_engine import firewall as module
from ci_controller.docker_engine.firewall import Firewall, FirewallMode, NetworkGuard, new_bridge

CI = str(Path(sys.executable).with_name("ci"))
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may set rules")


class Rule:
    def __init__(self, *, problem: str | None = None, installed: bool = False) -> None:
        self.problem = problem
        self.installed = installed
        self.calls = 0

    def install(self) -> None:
        self.calls += 1
        if self.problem:
            raise ConfigurationError(self.problem)
        self.installed = True

    def is_installed(self) -> bool:
        return self.installed


def guard(mode: FirewallMode, rule: Rule) -> NetworkGuard:
    return NetworkGuard(mode, cast("Firewall", rule))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(module, "is_here", lambda bridge: bridge.startswith("cibr"))
    return new_bridge()


def test_names_of_interfaces_fit_and_differ() -> None:
    names = {new_bridge() for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("cibr") and len(name) <= 15 for name in names)


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_the_rule_is_set_before_a_job_comes(mode: FirewallMode, here: str) -> None:
    rule = Rule()
    guard(mode, rule).protect(here)
    assert rule.installed


def test_off_leaves_it_alone(here: str) -> None:
    rule = Rule()
    guard("off", rule).protect(here)
    assert rule.calls == 0


def test_others_than_root_trust_the_mark_of_root(
    here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    rule = Rule(installed=True, problem="only root may")
    guard("on", rule).protect(here)
    assert rule.calls == 0


@pytest.mark.parametrize(
    ("bridge", "problem", "said"),
    [
        (None, "iptables is not on this machine", "iptables is not on this machine"),
        ("cxbr0", None, "has no interface cxbr0"),
        ("", None, "made by an earlier version"),
    ],
)
def test_what_cannot_be_kept_away(
    bridge: str | None,
    problem: str | None,
    said: str,
    here: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rule = Rule(problem=problem)
    with pytest.raises(ConfigurationError, match=said):
        guard("on", rule).protect(here if bridge is None else bridge)
    guard("auto", rule).protect(here if bridge is None else bridge)
    assert said in caplog.text
    assert "jobs can reach what listens on the engine's machine" in caplog.text


def test_without_the_programs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="iptables-restore is not on this machine") as info:
        Firewall(tools=str(tmp_path), mark=tmp_path / "mark").install()
    assert "CI_JOB_FIREWALL=off" in (info.value.hint or "")
    assert not (tmp_path / "mark").exists()


@as_root
def test_the_command_sets_and_removes_it() -> None:
    """In a network of its own, and with a /run of its own: the machine's rule stays as it is."""

    def ci(*arguments: str) -> str:
        return f"{CI} admin firewall {' '.join(arguments)}"

    steps = [ci("status"), ci("install"), ci("install"), ci("status"), "ls /run", ci("remove"),
             ci("remove"), ci("status"), "iptables -t raw -S | grep -c STANDBY"]  # fmt: skip
    script = "mount -t tmpfs none /run; " + "; ".join(f"{each}; echo $?" for each in steps)
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
    )
    assert done.stdout.split("\n") == [
        "not installed", "1", "0", "0", "installed", "0", "standby-ci.firewall", "0",
        "0", "0", "not installed", "1", "0", "1", "",
    ]  # fmt: skip
