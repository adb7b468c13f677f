"""The list of jobs that a request asks for."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from ci_common.access import Within
from ci_common.clock import SystemClock
from ci_common.errors import InvalidRequest
from ci_common.job_query import JobFilter, JobQuery, JobSort, LabelFilter, Place
from ci_common.jobs import EndReason, JobStatus
from ci_common.quantities import parse_seconds
from ci_server.cursor import decode_cursor, digest_of, encode_cursor, old_cursor

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
MOST_VALUES = 20
LONGEST_VALUE = 200

_PAGE = ("limit", "cursor")
_FILTERS = (
    "status", "success", "reason", "project", "submitter", "label", "group", "since", "until",
    "text", "organisation",
)  # fmt: skip
_KNOWN = (*_FILTERS, "sort", *_PAGE)

AnyRequest = Request[object, object, State]
Limit = Annotated[
    int, QueryParameter(ge=1, le=LARGEST_LIMIT, description="At most so many on a page.")
]
TIME = "an RFC 3339 time (`2026-01-31T12:00:00Z`), a day, or how long ago (`2h`, `7d`)"


def _several(description: str, **item: object) -> QueryParameter:
    extra = {"items": item} if item else None
    return QueryParameter(description=description, max_items=MOST_VALUES, schema_extra=extra)


def _texts_of(description: str, least: int = 0) -> QueryParameter:
    return _several(description, type="string", minLength=least, maxLength=LONGEST_VALUE)


@dataclass(frozen=True, slots=True)
class AskedList:
    """A page that is asked for, and what its links are made of."""

    path: str
    parameters: Sequence[tuple[str, str]]
    query: JobQuery

    def within(self, limit: Within) -> JobQuery:
        """Return the query, limited to these organisations."""
        return replace(self.query, filter=replace(self.query.filter, within=limit))

    def links(self, next_place: Place | None) -> str:
        """Return the value of the ``Link`` header, ``""`` for none."""
        links = []
        if next_place is not None:
            asked = self.query.filter
            digest = digest_of(self.parameters)
            cursor = encode_cursor(digest, next_place, asked.since, asked.until)
            links.append(self._link("next", ("cursor", cursor)))
        if self.query.after is not None:
            links.append(self._link("first"))
        return ", ".join(links)

    def _link(self, relation: str, *more: tuple[str, str]) -> str:
        query = urlencode([("limit", str(self.query.limit)), *self.parameters, *more])
        return f'<{self.path}?{query}>; rel="{relation}"'


def asked_filter(  # noqa: PLR0913, PLR0917 -- one for each query parameter
    status: Annotated[list[JobStatus] | None, _several("Any of these.")] = None,
    success: Annotated[
        bool | None, QueryParameter(description="Of those that have ended: passed, or not.")
    ] = None,
    reason: Annotated[list[EndReason] | None, _several("Any of these.")] = None,
    project: Annotated[list[str] | None, _texts_of("Any of these.")] = None,
    submitter: Annotated[list[str] | None, _texts_of("Any of these.")] = None,
    label: Annotated[
        list[str] | None, _texts_of("All of these: `NAME` or `NAME=VALUE`.", least=1)
    ] = None,
    group: Annotated[list[str] | None, _texts_of("Any of these concurrency groups.")] = None,
    since: Annotated[
        str | None, QueryParameter(description=f"Submitted then or later: {TIME}.")
    ] = None,
    until: Annotated[str | None, QueryParameter(description=f"Submitted before: {TIME}.")] = None,
    text: Annotated[
        list[str] | None,
        _texts_of(
            "All of these are in project, command, submitter, detail or a label, or begin the "
            "id. Letter for letter; the case of ASCII letters does not matter.",
            least=1,
        ),
    ] = None,
) -> JobFilter:
    """Return which jobs a request asks for.

    Raises:
        InvalidRequest: a parameter is not what it has to be.

    """
    now = SystemClock().now().wall
    return JobFilter(
        statuses=frozenset(status or ()),
        success=success,
        reasons=frozenset(reason or ()),
        projects=_texts("project", project),
        submitters=_texts("submitter", submitter),
        groups=_texts("group", group),
        labels=frozenset(_label(each) for each in _texts("label", label)),
        since=asked_moment("since", since, now),
        until=asked_moment("until", until, now),
        texts=_searched(text),
    )


def asked_list(
    request: AnyRequest,
    filtered: NamedDependency[JobFilter],
    limit: Limit = DEFAULT_LIMIT,
    sort: Annotated[
        JobSort,
        QueryParameter(
            description="The order; `-` is the largest first. By `ended` there are only "
            "jobs that have ended, by `duration` only those that ran, too."
        ),
    ] = JobSort.NEWEST,
    cursor: Annotated[
        str | None,
        QueryParameter(max_length=500, description="Where the page before ended, from its Link."),
    ] = None,
) -> AskedList:
    """Return the page that a request asks for.

    Raises:
        InvalidRequest: a parameter is unknown, or the cursor is of another list.

    """
    given = list(request.query_params.multi_items())
    refuse_unknown({name for name, _ in given}, _KNOWN)
    parameters = [(name, str(value)) for name, value in given if name not in _PAGE]
    query = JobQuery(filter=filtered, sort=sort, limit=limit)
    return AskedList(request.url.path, parameters, _behind(query, cursor, parameters))


def refuse_unknown(given: Iterable[str], known: Sequence[str]) -> None:
    """Return if all parameters are known: a mistyped filter must not list everything.

    Raises:
        InvalidRequest: one is not.

    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        raise InvalidRequest(
            f"{', '.join(unknown)[:LONGEST_VALUE]}: there is no such parameter here",
            hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}.",
        )


def _behind(query: JobQuery, cursor: str | None, parameters: Sequence[tuple[str, str]]) -> JobQuery:
    asked, since, until = query.filter, query.filter.since, query.filter.until
    if cursor is None:
        return query
    if cursor.isascii() and cursor.isdigit() and query.sort is JobSort.NEWEST:
        place = old_cursor(cursor)
    else:
        place, since, until = decode_cursor(cursor, digest_of(parameters))
    return replace(query, after=place, filter=replace(asked, since=since, until=until))


def _texts(name: str, values: Iterable[str] | None) -> frozenset[str]:
    found = frozenset(values or ())
    if any(len(value) > LONGEST_VALUE for value in found):
        raise InvalidRequest(
            f"{name}: longer than {LONGEST_VALUE} characters", hint="Look for a part: text=…"
        )
    return found


def _searched(values: Iterable[str] | None) -> frozenset[str]:
    found = _texts("text", values)
    if "" in found:
        raise InvalidRequest("text: there is nothing to look for", hint="Give a word, or leave it.")
    return found


def _label(text: str) -> LabelFilter:
    name, given, value = text.partition("=")
    if not name:
        raise InvalidRequest(f"label: {text!r} has no name", hint="Give NAME or NAME=VALUE.")
    return LabelFilter(name, value if given else None)


def asked_moment(name: str, text: str | None, now: datetime) -> datetime | None:
    """Return the moment that a parameter gives, None if it is not given.

    Raises:
        InvalidRequest: it is none.

    """
    if text is None:
        return None
    try:
        return _ago(text, now) or _absolute(text)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name}: {text[:LONGEST_VALUE]!r} is not a time",
            hint="Give one with its zone (2026-01-31T12:00:00Z; + is written %2B in an address), "
            "a day (2026-01-31), or how long ago (2h, 7d).",
        ) from None


def _ago(text: str, now: datetime) -> datetime | None:
    if not text.strip()[-1:].isalpha() or text.strip()[-1:] in "Zz":
        return None
    return now - timedelta(seconds=parse_seconds(text))


def _absolute(text: str) -> datetime:
    when = datetime.fromisoformat(text.strip())
    if when.tzinfo is None:
        if len(text.strip()) > len("2026-01-31"):
            raise ValueError("without a zone it is another moment for everybody")
        when = when.replace(tzinfo=UTC)
    return when.astimezone(UTC)
