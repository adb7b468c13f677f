"""What a submission says about its job beside the project: who, what for, when, and how much.

Options come as text, from a form or from JSON, and win over what the project's own
configuration says. The server's caps win over both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn

from ci_common.errors import InvalidOption
from ci_common.jobs import GroupPolicy
from ci_common.quantities import format_bytes, format_seconds, parse_seconds
from ci_common.queue_rules import HIGHEST_PRIORITY, LOWEST_PRIORITY
from ci_common.recipe import Recipe
from ci_common.recipe.config import read_limit

MAX_LABELS = 20
LONGEST_LABEL_NAME = 63
LONGEST_LABEL_VALUE = 255
LONGEST_NAME = 200
"""Characters of a submitter's or a group's name."""

LIMITS = ("timeout", "memory", "cpus", "pids", "disk")
"""What a recipe may say too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The options of a submission; None, or empty, for what it does not say.

    ``timeout`` and ``queue_timeout`` in seconds, ``memory`` and ``disk`` in bytes.
    """

    submitter: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int | None = None
    timeout: float | None = None
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    disk: int | None = None
    queue_timeout: float | None = None
    group: str = ""
    group_policy: GroupPolicy | None = None

    @property
    def given(self) -> Mapping[str, Any]:
        """Those that were said."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, "", {})}

    def limited(self, recipe: Recipe) -> Recipe:
        """Return ``recipe`` with the limits that were said."""
        return replace(recipe, **{n: v for n, v in self.given.items() if n in LIMITS})

    def over(self, other: "JobOptions") -> "JobOptions":
        """Return ``other`` with what is said here in its place; labels are joined."""
        labels = _bounded({**other.labels, **self.labels})
        return replace(other, **{**self.given, "labels": labels})


OPTIONS = (*(each.name for each in fields(JobOptions) if each.name != "labels"), "label")
"""The names of options as they are sent: each once, but ``label``."""


def read_options(texts: Mapping[str, Sequence[str]]) -> JobOptions:
    """Return the options in what was sent for each name of ``OPTIONS``.

    Raises:
        InvalidOption: one cannot be used; the text names it and what it may be.

    """
    values: dict[str, Any] = {}
    for name, given in texts.items():
        if name == "label":
            values["labels"] = _labels(given)
        elif given and given[-1].strip():
            values[name] = _read(name, given[-1].strip())
    if "group_policy" in values and "group" not in values:
        _refuse("group_policy", "says nothing without a group")
    return JobOptions(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCaps:
    """The most that a job may ask for; None for no bound. Units as in ``JobOptions``."""

    timeout: float | None = None
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    disk: int | None = None
    queue_timeout: float | None = None

    def check(self, recipe: Recipe, queue_timeout: float | None = None) -> None:
        """Refuse a job that asks for more.

        Raises:
            InvalidOption: the text names what, the cap, and the way out.

        """
        asked = {name: getattr(recipe, name) for name in LIMITS}
        for name, value in {**asked, "queue_timeout": queue_timeout}.items():
            cap = getattr(self, name)
            if value is not None and cap is not None and value > cap:
                raise InvalidOption(
                    f"{name} is {_shown(name, value)}, and this server gives a job"
                    f" {_shown(name, cap)} at the most",
                    hint=f"Ask for less: with the submission, or in the project's configuration;"
                    f" or have the server's {cap_setting(name)} raised.",
                )


NO_CAPS = JobCaps()


def cap_setting(name: str) -> str:
    """Return the variable of the server that bounds an option."""
    return "CI_MAX_QUEUE_TIMEOUT" if name == "queue_timeout" else f"CI_MAX_JOB_{name.upper()}"


def _shown(name: str, value: float) -> str:
    if name in ("memory", "disk"):
        return format_bytes(value)
    return format_seconds(value) if name.endswith("timeout") else f"{value:g}"


def _labels(given: Sequence[str]) -> Mapping[str, str]:
    labels = {}
    for text in given:
        name, _, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not name or len(name) > LONGEST_LABEL_NAME or not _plain(name):
            _refuse("label", f"{text[:80]!r} has no name of 1 to {LONGEST_LABEL_NAME} printable"
                    " characters without spaces; write NAME or NAME=VALUE")  # fmt: skip
        if len(value) > LONGEST_LABEL_VALUE or not value.isprintable():
            _refuse("label", f"the value of {name!r} is not printable text of at most"
                    f" {LONGEST_LABEL_VALUE} characters")  # fmt: skip
        labels[name] = value
    return _bounded(labels)


def _bounded(labels: Mapping[str, str]) -> Mapping[str, str]:
    if len(labels) > MAX_LABELS:
        _refuse("label", f"there are {len(labels)} of them; {MAX_LABELS} are the most")
    return labels


def _plain(name: str) -> bool:
    return name.isprintable() and " " not in name and "," not in name


def _read(name: str, text: str) -> Any:  # noqa: ANN401 -- each option has its type
    try:
        return _READERS[name](text)
    except ValueError as error:
        _refuse(name, str(error))


def _refuse(name: str, problem: str) -> NoReturn:
    raise InvalidOption(
        f"the option {name}: {problem}", hint="`ci submit --help` and /schema list the options."
    )


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise ValueError(f"must be printable text of at most {LONGEST_NAME} characters")
    return text


def _priority(text: str) -> int:
    expected = f"must be a whole number from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{expected}, not {text[:40]!r}") from None
    if not LOWEST_PRIORITY <= number <= HIGHEST_PRIORITY:
        raise ValueError(f"{expected}, not {number}")
    return number


def _policy(text: str) -> GroupPolicy:
    try:
        return GroupPolicy(text)
    except ValueError:
        known = " or ".join(GroupPolicy)
        raise ValueError(f"must be {known}, not {text[:40]!r}") from None


def _queue_timeout(text: str) -> float:
    seconds = parse_seconds(text)
    if not 0 < seconds < 10**9:
        raise ValueError("must be more than 0 seconds, such as 90 or 10m")
    return seconds


def _limit(name: str) -> Callable[[str], object]:
    return lambda text: read_limit(name, text)


_READERS: Mapping[str, Callable[[str], object]] = {
    "submitter": _name,
    "priority": _priority,
    "queue_timeout": _queue_timeout,
    "group": _name,
    "group_policy": _policy,
    **{name: _limit(name) for name in LIMITS},
}
