"""What containers are called, and whose they are."""

import re
from dataclasses import dataclass

from ci_common.errors import ConfigurationError

_PREFIX = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*)?")
_STANDBY = "standby-"


@dataclass(frozen=True, slots=True)
class ContainerNames:
    """The names of one namespace.

    ``{prefix}ci-{job_id}-{attempt}`` for a job, ``{prefix}ci-standby-<hex>``
    for a standby. A name says what a container is for; whose it is, its label
    says, because one prefix may begin with another.
    """

    prefix: str = ""

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ConfigurationError(
                f"The container prefix {self.prefix!r} cannot begin a container's name.",
                hint="Set CI_CONTAINER_PREFIX to letters, digits, '_', '.' and '-', "
                "beginning with a letter or a digit.",
            )

    def for_job(self, job_id: str, attempt: int) -> str:
        """Return the name of an attempt's container."""
        return f"{self.prefix}ci-{job_id}-{attempt}"

    def for_standby(self, token: str) -> str:
        """Return the name of a standby; ``token`` makes it unique."""
        return f"{self.prefix}ci-{_STANDBY}{token}"

    @property
    def network(self) -> str:
        """The name of the network that the containers share."""
        return f"{self.prefix}standby-ci"

    def fits(self, name: str) -> bool:
        """Whether ``name`` is one that we would give."""
        return name.startswith(f"{self.prefix}ci-")

    def is_standby(self, name: str) -> bool:
        """Whether ``name`` is a standby's."""
        return name.startswith(f"{self.prefix}ci-{_STANDBY}")

    def parse(self, name: str) -> tuple[str, int] | None:
        """Return the job id and the attempt that ``name`` stands for, None for a standby."""
        if not self.fits(name) or self.is_standby(name):
            return None
        job_id, _, attempt = name.removeprefix(f"{self.prefix}ci-").rpartition("-")
        return (job_id, int(attempt)) if job_id and attempt.isdecimal() else None
