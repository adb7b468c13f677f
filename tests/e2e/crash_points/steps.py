"""The path of a job, step by step, and where it is cut: what the walk over crash points goes by.

Each method of each protocol on the path is one of: a *step*, which leaves
something behind, with the crashes that are tried there; ``READS``, which
leaves nothing; or ``Off`` the path. Tests hold this against the protocols.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ci_common.accounts import AccountStore
from ci_common.artifacts import ArtifactReader, ArtifactStore, ArtifactWriter
from ci_common.audit import AuditLog
from ci_common.blobs import BlobStore
from ci_common.clock import Clock
from ci_common.executor import (
    Executor,
    OutputPump,
    SizedTar,
    SnapshotExecutor,
    StandbyExecutor,
)
from ci_common.job_events import EventStore
from ci_common.job_repository import JobRepository
from ci_common.job_secrets import SecretStore
from ci_common.logs import LogReader, LogStore, LogWriter
from ci_common.project_zip import ProjectFiles
from ci_common.quotas import QuotaStore
from ci_common.results import ResultStore
from ci_common.sign_in import SignInStore
from ci_common.signals import Signals
from ci_common.snapshots import SnapshotEngine, SnapshotStore
from ci_common.space import Space
from ci_common.stash import Stash, Upload
from ci_common.webhooks import WebhookStore
from tests.e2e.crash_points.stand_ins import AFTER, BEFORE, DURING, Point


class Kind(Enum):
    """What a method is that is no step."""

    READS = "leaves nothing behind"


READS = Kind.READS


@dataclass(frozen=True)
class Off:
    """Not on the path of a job, and why."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Crash:
    """One crash at a step.

    ``scenario`` names what is submitted, and how; ``faults`` are those of
    ``docs/reliability.md`` that this is. ``first`` is a crash before this one,
    ``attempt`` the one that comes to the end. ``sweep``: something is left
    until it is swept.
    """

    scenario: str
    faults: tuple[int, ...] = ()
    moment: str = AFTER
    nth: int = 1
    first: Point | None = None
    attempt: int = 1
    sweep: bool = False


Row = Kind | Off | tuple[Crash, ...]


def _at(scenario: str, *faults: int, **more: object) -> Crash:
    return Crash(scenario=scenario, faults=faults, **more)


_ENDS = Off("a server that ends in peace lets go of it; nothing is written")
_MANAGED = Off("what `ci webhooks` asks for, in one transaction")
_DELIVERED = Off("beside the path; test_webhook_crashes.py kills the server there")

STEPS: Mapping[type, Mapping[str, Row]] = {
    JobRepository: {
        "data_dir": READS,
        "stash": READS,
        "logs": READS,
        "blobs": READS,
        "snapshots": READS,
        "events": READS,
        "webhooks": READS,
        "artifacts": READS,
        "results": READS,
        "secrets": READS,
        "space": READS,
        "initialize": (_at("plain"),),
        "close": _ENDS,
        "restored_as": READS,
        "add": (_at("plain", 3), _at("tree", 3)),
        "get": READS,
        "find": READS,
        "get_many": READS,
        "list_recent": READS,
        "list_jobs": READS,
        "queued": READS,
        "durations": READS,
        "startable": READS,
        "overdue": READS,
        "expire": Off("a queued job of which nothing is on the engine; one write ends it"),
        "running": READS,
        "uncollected": READS,
        "queue_position": READS,
        "queue_positions": READS,
        "count": READS,
        "totals": READS,
        "claim": (_at("plain", 4),),
        "record_preparing": (_at("dependencies", 5),),
        # The one crash that costs an attempt: its container may have been fed, for all we know.
        "record_container": (_at("plain", 5, attempt=2), _at("tree", 5, attempt=2)),
        "record_fed": (_at("plain", 7),),
        "record_stop": (_at("endless", 7),),
        "cancel": (_at("cancelled", 7),),
        "finish": (_at("plain", 9), _at("tree", 9), _at("leaves files", 9)),
        "requeue": (_at("plain", 5, first=Point("JobRepository.record_container"), attempt=2),),
        "oldest_ended": READS,
        "oldest_stashed": READS,
        "stashed_bytes": READS,
        "release": (_at("project kept no longer", 9),),
        "packs_of": READS,
        "forget": (_at("kept no longer", 9),),
    },
    Stash: {
        "packs_folder": READS,
        "new_upload": (_at("plain", 1, sweep=True),),
        "keep_tree": (_at("tree", 2, sweep=True),),
        "keep_again": Off("a retry, which nothing knows of yet: as keep_tree"),
        "remove": (_at("project not kept", 9),),
        "stashed": READS,
        "remove_job": (_at("abandoned", 2, first=Point("Upload.commit")),),
        "lost_packs": READS,
        "kept_packs": READS,
        "remove_pack": (_at("abandoned tree", 2, first=Point("Upload.commit_pack")),),
        "sweep_uploads": (_at("abandoned", 1, first=Point("Stash.new_upload")),),
    },
    Upload: {
        "path": READS,
        "size": READS,
        "write": (_at("large", 1, sweep=True),),
        "sha256": READS,
        "commit": (_at("plain", 2, sweep=True),),
        "commit_pack": (_at("tree", 2, sweep=True),),
        "discard": (_at("plain", 2, sweep=True),),
    },
    LogStore: {
        "open": (_at("plain", 4),),
        "sync": (_at("plain", 8),),
        "size": READS,
        "read": READS,
        "open_reader": READS,
        "stored": READS,
        "usage": READS,
        "remove": (_at("kept no longer", 9),),
    },
    LogWriter: {
        "size": READS,
        "sealed": READS,
        "write": (
            _at("plain", 7),
            _at("plain", 7, nth=2),
            _at("dependencies", 7),
            # Half of the secret is said, and held back.
            _at("secret", 7),
        ),
        "close": (_at("plain", 8),),
    },
    Space: {
        "shortage": READS,
        "deficit": READS,
        # As early as Executor.open.
        "keep_reserve": (_at("plain", sweep=True),),
        "release_reserve": Off("on a full disk only; a reserve that is not there is made anew"),
    },
    BlobStore: {
        "locate": READS,
        "add_pack": (_at("tree", 2),),
        "packs": READS,
        "drop": (_at("outdated tree", 9),),
        "forget": (_at("lost tree", 2, sweep=True),),
    },
    SnapshotStore: {
        "get": READS,
        "all": READS,
        "made": (_at("dependencies", 8), _at("nothing to install", 5)),
        "used": (_at("dependencies", 7),),
        "retire": Off("`ci cache prune` writes it, in one transaction"),
        "forget": (_at("no room for dependencies", 9),),
    },
    EventStore: {
        "after": READS,
        "latest": READS,
        "oldest": READS,
        "prune": Off("one transaction; no job needs what it deletes"),
    },
    WebhookStore: {
        "add": _MANAGED,
        "get": READS,
        "all": READS,
        "change": _MANAGED,
        "rotate": _MANAGED,
        "remove": _MANAGED,
        "collect": _DELIVERED,
        "enqueue": _MANAGED,
        "due": _DELIVERED,
        "next_try": READS,
        "record": _DELIVERED,
        "deliveries": READS,
        "delivery": READS,
        "redeliver": _MANAGED,
        "prune": Off("deletes what is over, in one statement"),
    },
    SnapshotEngine: {
        "image_of": READS,
        "image_id": READS,
        "made_at": READS,
        "run": (_at("nothing to install", 5),),
        "has_file": READS,
        "keep": (_at("dependencies", 8, moment=BEFORE), _at("dependencies", 8)),
        "all": READS,
        "remove": (_at("no room for dependencies", 9),),
    },
    ArtifactStore: {
        "new": Off("an empty temporary file, which is left as after ArtifactWriter.add"),
        "open_reader": READS,
        "size": READS,
        "remove": (_at("kept no longer", 9),),
        "stored": READS,
        "usage": READS,
    },
    ArtifactWriter: {
        "add": (_at("leaves files", 9, sweep=True),),
        "commit": (_at("leaves files", 9),),
        "discard": Off("lets go of a file; a temporary one is swept as after add"),
    },
    ResultStore: {
        "record": (_at("leaves files", 9),),
        "give_up": Off("one write, and the last; what it says is that nothing is there"),
        "artifact_room": READS,
        "left_out": READS,
        "artifacts": READS,
        "cases": READS,
        "failed_tests": READS,
        "history": READS,
        "flaky": READS,
    },
    SecretStore: {
        "all": READS,
        "set": Off("what `ci secret set` asks for, in one transaction"),
        "remove": Off("what `ci secret rm` asks for, in one transaction"),
        "missing": READS,
        "give": (_at("secret", 5),),
        "given": READS,
        "take_back": (_at("secret", 9),),
    },
    AuditLog: {
        "record": Off("told when what it tells of is on disk; without accounts of no job"),
        "entries": READS,
    },
    SizedTar: {
        "size": READS,
        "__iter__": (
            _at("tree", 5, moment=DURING, attempt=2),
            _at("tree", 6),
        ),
    },
    OutputPump: {
        "image_id": READS,
        "wait": (_at("plain", 8),),
        "close": Off("lets go of a thread"),
    },
    Executor: {
        # It comes so early that the client may still be on its way in.
        "open": (_at("plain", sweep=True),),
        "close": _ENDS,
        "ping": READS,
        "limits_disk": READS,
        "observe": READS,
        "container_name": READS,
        "launch": (
            _at("plain", 5, moment=DURING),
            _at("plain", 5),
            _at("dependencies", 5, nth=2),
        ),
        "feed": (_at("plain", 6), _at("dependencies", 6)),
        "follow": (_at("plain", 7, first=Point("JobRepository.record_fed")),),
        "has_output": READS,
        "exit_of": READS,
        "wait_exit": (_at("plain", 8), _at("dependencies", 8)),
        "startup_error": READS,
        "visit_files": READS,
        "stop": (_at("endless", 8),),
        "remove": (
            _at("plain", 9),
            _at("plain", 5, first=Point("Executor.launch")),
            _at("dependencies", 8),
        ),
    },
    StandbyExecutor: {
        "standby_name": READS,
        "take_standby": (_at("standby", 5),),
    },
    SnapshotExecutor: {"snapshots": READS},
}

NOT_STEPS: Mapping[type, str] = {
    Clock: "tells the time",
    Signals: "a signal is a hint: a lost one costs a tick",
    ProjectFiles: "reads a file",
    LogReader: "reads a file",
    ArtifactReader: "reads a file",
    QuotaStore: "counts what there is",
    AccountStore: "says who may, before there is a job",
    SignInStore: "says who asks, before there is a job",
}
"""Protocols of ``ci_common`` that leave nothing behind."""


@dataclass(frozen=True)
class Walk:
    """A crash at its point."""

    point: Point
    crash: Crash

    def __str__(self) -> str:
        said = [f"fault {' and '.join(map(str, self.crash.faults))}" if self.crash.faults else ""]
        said += [str(self.point), self.crash.scenario]
        said += [f"once {self.crash.first.step} was cut" if self.crash.first else ""]
        return ", ".join(filter(None, said))


def walks() -> Iterator[Walk]:
    """Yield every crash of the table."""
    for protocol, rows in STEPS.items():
        for name, row in rows.items():
            if isinstance(row, tuple):
                for crash in row:
                    point = Point(f"{protocol.__name__}.{name}", crash.moment, crash.nth)
                    yield Walk(point, crash)
