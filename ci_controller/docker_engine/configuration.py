"""What a container is asked to be, as the engine wants to read it."""

from collections.abc import Mapping
from typing import Any

from ci_common.errors import ContainerFailed
from ci_common.executor import ContainerSpec
from ci_controller.docker_engine.feed_command import FEED_COMMAND

NAMESPACE = "ci.namespace"
ROLE = "ci.role"
KEY = "ci.key"

_CPU_PERIOD = 100_000
_LOWEST_QUOTA = 1_000
_LOG_OVERHEAD = 27
"""Bytes the ``local`` log driver writes for an empty line, which is its worst case (measured)."""
_LOG_SLACK = 1024 * 1024


def labels(namespace: str, role: str, key: str) -> dict[str, str]:
    """Return the labels by which we know a container again."""
    return {NAMESPACE: namespace, ROLE: role, KEY: key}


def limits_disk(info: Mapping[str, Any]) -> bool:
    """Return whether an engine that says this of itself can bound what a container writes.

    Of overlay2 it takes XFS below, mounted with ``pquota``; whether that is so, only
    creating a container tells.
    """
    below = dict(map(tuple, info.get("DriverStatus") or ()))
    driver = info.get("Driver")
    overlay = driver == "overlay2" and below.get("Backing Filesystem") == "xfs"
    return overlay or driver in {"btrfs", "zfs", "devicemapper", "windowsfilter"}


def is_ours(found: Mapping[str, str] | None, namespace: str) -> bool:
    """Whether labels found on something say that it belongs to ``namespace``."""
    return (found or {}).get(NAMESPACE) == namespace


def container_config(
    spec: ContainerSpec, *, labels: Mapping[str, str], network: str
) -> dict[str, Any]:
    """Return the body of a create call. ``network`` is an id, or ``none``.

    No capabilities, not even root's over files: root in the container is the
    owner of nearly everything there, so pip and test suites do not miss them
    (of pytest's own 2,100 tests none fails for it, and two that need a folder
    that cannot be written run only so). What does not work: changing owners,
    becoming another user (``apt-get``, ``su``), reading files of others,
    ``ping``. ``spec.cap_add`` gives capabilities back one by one.
    """
    return {
        "Image": spec.image,
        # As the entrypoint, so that neither the image's entrypoint nor its command is added.
        "Entrypoint": ["sh", "-c", FEED_COMMAND],
        "Cmd": [],
        "User": spec.user or "",
        "WorkingDir": "/",
        "OpenStdin": True,
        "StdinOnce": False,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": dict(labels),
        "HostConfig": _host_config(spec, network),
    }


def _host_config(spec: ContainerSpec, network: str) -> dict[str, Any]:
    quota = max(_LOWEST_QUOTA, round(spec.cpus * _CPU_PERIOD))
    config: dict[str, Any] = {
        "Init": True,
        "NetworkMode": network,
        "CapDrop": ["ALL"],
        "CapAdd": list(spec.cap_add),
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": spec.pids,
        "Memory": spec.memory,
        "MemorySwap": spec.memory,
        # A quota may exceed the machine's cores; NanoCpus may not, and would fail the job.
        "CpuPeriod": _CPU_PERIOD,
        "CpuQuota": quota,
        "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
        "LogConfig": {"Type": "local", "Config": _log_options(spec.log_limit)},
        "RestartPolicy": {"Name": "no"},
    }
    if spec.disk:
        config["StorageOpt"] = {"size": str(spec.disk)}
    if spec.runtime:
        config["Runtime"] = spec.runtime
    return config


def _log_options(log_limit: int) -> dict[str, str]:
    # Rotation would lose the beginning of the log in silence: it must never come to it.
    size = log_limit * _LOG_OVERHEAD + _LOG_SLACK
    return {"max-size": str(size), "max-file": "1", "compress": "false"}


def check_network(network: str) -> None:
    """Refuse a network that would lead out of our own.

    Raises:
        ContainerFailed: neither ``bridge`` nor ``none``.

    """
    if network not in {"bridge", "none"}:
        raise ContainerFailed(
            f"the network {network!r} is not allowed", hint="Use `bridge` or `none`."
        )
