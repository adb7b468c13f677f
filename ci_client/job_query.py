"""Which jobs to list, as the server is asked for them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    Filter = str | bool | datetime | Iterable[str] | Mapping[str, str | None] | None

STATUSES = ("queued", "running", "completed", "cancelled")
REASONS = (
    "passed",
    "failed",
    "no_tests",
    "timed_out",
    "oom_killed",
    "cancelled",
    "queue_timed_out",
    "infra_error",
)
SORTS = ("-created", "created", "-ended", "ended", "-duration", "duration")
"""As ``ci_common`` has them, which takes longer to import than a list to be printed."""

FILTERS = (
    "status",
    "success",
    "reason",
    "project",
    "submitter",
    "label",
    "group",
    "since",
    "until",
    "text",
    "sort",
)
"""What a list of jobs can be asked for."""


def query_of(filters: Mapping[str, Filter]) -> str:
    """Return the filters as the query of an address, ``""`` for none.

    A filter is a text, a time, a truth value, several texts, or (labels) a
    mapping of names to values or None for any; None is no filter.

    Raises:
        TypeError: there is no such filter.

    """
    unknown = sorted(set(filters) - set(FILTERS))
    if unknown:
        raise TypeError(f"no such filter: {', '.join(unknown)}; there are {', '.join(FILTERS)}")
    pairs = [(name, text) for name, given in filters.items() for text in _texts(given)]
    if not pairs:
        return ""
    from urllib.parse import urlencode

    return urlencode(pairs)


def _texts(given: Filter) -> Iterator[str]:
    from collections.abc import Mapping
    from datetime import datetime

    if given is None:
        return
    if isinstance(given, str):
        yield given
    elif isinstance(given, bool):
        yield "true" if given else "false"
    elif isinstance(given, datetime):
        yield _moment(given)
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield name if value is None else f"{name}={value}"
    else:
        yield from given


def _moment(when: datetime) -> str:
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone: it is another moment for everybody")
    return when.isoformat()
