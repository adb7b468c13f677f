"""What the routes work with: contracts only, put together by ``bootstrap``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from litestar.datastructures import State

from ci_common.accounts import AccountStore
from ci_common.audit import AuditLog
from ci_common.executor import Executor, StandbyCounts
from ci_common.job_repository import JobRepository
from ci_common.outage import Outage
from ci_common.quotas import QuotaStore
from ci_common.signals import Signals
from ci_server.api_keys import ApiKeys
from ci_server.authentication import Authentication
from ci_server.control import JobControl
from ci_server.live import LiveUpdates
from ci_server.queue import QueueWatch
from ci_server.retries import Retries
from ci_server.settings import Settings
from ci_server.shutdown import Shutdown
from ci_server.sign_in.service import SignIn
from ci_server.submissions import Submissions
from ci_server.webhooks import Webhooks

if TYPE_CHECKING:
    # They load libraries, which nobody needs who has them switched off.
    from ci_server.metrics.page import MetricsPage
    from ci_server.tracing import ServerTracing


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

    @property
    def standbys(self) -> StandbyCounts:
        """How many standbys wait, and how many are being launched."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything one server process works with. ``executor_name``: ``docker`` or ``local``.

    ``metrics`` and ``tracing`` are None where they are switched off.
    """

    settings: Settings
    repository: JobRepository
    accounts: AccountStore
    audit: AuditLog
    quotas: QuotaStore
    authentication: Authentication
    sign_in: SignIn
    api_keys: ApiKeys
    signals: Signals
    shutdown: Shutdown
    submissions: Submissions
    retries: Retries
    control: JobControl
    queue: QueueWatch
    webhooks: Webhooks
    executor: Executor
    executor_name: str
    controller: ControllerState
    outage: Outage
    live: LiveUpdates
    metrics: "MetricsPage | None" = None
    tracing: "ServerTracing | None" = None


def parts_of(state: State) -> Parts:
    """Return the parts of the running application."""
    parts: Parts = state.parts
    return parts
