"""Which events somebody wants, from the words they said it in."""

from collections.abc import Sequence
from dataclasses import dataclass

from ci_common.access import Within
from ci_common.api import QUEUE_DEPTH
from ci_common.errors import InvalidRequest
from ci_common.job_events import EVERYTHING, EventFilter, EventType


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a listener wants: changes of jobs (None: none of them), how deep the queue is.

    Of the queue, jobs of the organisations ``within`` are counted.
    """

    jobs: EventFilter | None = EVERYTHING
    depth: bool = False
    within: Within = None


def selection_of(
    job_id: str | None,
    project: str | None,
    submitter: str | None,
    types: Sequence[str] | None,
    within: Within = None,
) -> Selection:
    """Return what these parameters select; without types every change of a job.

    Nothing is of jobs of other organisations than ``within``.

    Raises:
        InvalidRequest: there is no such type.

    """
    named = {name.strip() for item in types or () for name in item.split(",") if name.strip()}
    depth = QUEUE_DEPTH in named
    named.discard(QUEUE_DEPTH)
    unknown = named - {kind.value for kind in EventType}
    if unknown:
        raise InvalidRequest(
            f"type: there is no event {min(unknown)[:40]!r}",
            hint=f"Types are {', '.join(EventType)} and {QUEUE_DEPTH}.",
        )
    if depth and not named:
        return Selection(jobs=None, depth=True, within=within)
    kinds = frozenset(map(EventType, named))
    wanted = EventFilter(
        job_id=job_id, project=project, submitter=submitter, types=kinds, within=within
    )
    return Selection(jobs=wanted, depth=depth, within=within)
