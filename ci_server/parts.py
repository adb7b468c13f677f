"""What the routes work with: contracts only, put together by ``bootstrap``."""

from dataclasses import dataclass
from typing import Protocol

from litestar.datastructures import State

from ci_common.executor import Executor
from ci_common.job_repository import JobRepository
from ci_common.outage import Outage
from ci_common.signals import Signals
from ci_server.control import JobControl
from ci_server.retries import Retries
from ci_server.settings import Settings
from ci_server.shutdown import Shutdown
from ci_server.submissions import Submissions


class ControllerState(Protocol):
    """What the server asks of its controller."""

    @property
    def is_leader(self) -> bool:
        """Whether this process is the one that runs jobs."""
        ...

    @property
    def engine_error(self) -> str | None:
        """Why the engine could not be seen at the last look; None when it could."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything one server process works with. ``executor_name``: ``docker`` or ``local``."""

    settings: Settings
    repository: JobRepository
    signals: Signals
    shutdown: Shutdown
    submissions: Submissions
    retries: Retries
    control: JobControl
    executor: Executor
    executor_name: str
    controller: ControllerState
    outage: Outage


def parts_of(state: State) -> Parts:
    """Return the parts of the running application."""
    parts: Parts = state.parts
    return parts
