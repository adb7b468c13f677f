"""Running a job again, as HTTP has it."""

from collections.abc import Mapping, Sequence

import msgspec

Quantity = int | float | str


class RetryRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be otherwise than with the job itself; all of it may be left out.

    ``failed_only``: only the tests that failed. The rest are the options of a
    submission: sizes and durations may be text with a unit, labels are
    ``NAME`` or ``NAME=VALUE`` and come on top of the job's own.
    """

    failed_only: bool = False
    submitter: str | None = None
    label: Sequence[str] = ()
    priority: Quantity | None = None
    timeout: Quantity | None = None
    memory: Quantity | None = None
    cpus: Quantity | None = None
    pids: Quantity | None = None
    disk: Quantity | None = None
    queue_timeout: Quantity | None = None
    group: str | None = None
    group_policy: str | None = None

    @property
    def options(self) -> Mapping[str, Sequence[str]]:
        """The options as a form has them."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        del given["failed_only"], given["label"]
        texts = {name: [str(value)] for name, value in given.items() if value is not None}
        return {**texts, "label": list(self.label)}
