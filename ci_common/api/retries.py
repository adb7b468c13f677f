"""Running a job again, as HTTP has it."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from ci_common.queue_rules import HIGHEST_PRIORITY, LOWEST_PRIORITY

# No two of a union may fit one value: in a description exactly one of them has to.
Number = float | str
Whole = int | str
Priority = Annotated[int, msgspec.Meta(ge=LOWEST_PRIORITY, le=HIGHEST_PRIORITY)]


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise than with the job itself; all of it may be left out.

    ``failed_only``: only the tests that failed. The rest are the options of a
    submission: sizes and durations may be text with a unit, labels are
    ``NAME`` or ``NAME=VALUE`` and come on top of the job's own.
    """

    failed_only: bool = False
    submitter: str | None = None
    label: Sequence[str] = ()
    priority: Priority | None = None
    timeout: Number | None = None
    memory: Whole | None = None
    cpus: Number | None = None
    pids: Whole | None = None
    disk: Whole | None = None
    queue_timeout: Number | None = None
    group: str | None = None
    group_policy: str | None = None

    @property
    def options(self) -> Mapping[str, Sequence[str]]:
        """The options as a form has them."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        del given["failed_only"], given["label"]
        texts = {name: [str(value)] for name, value in given.items() if value is not None}
        return {**texts, "label": list(self.label)}
