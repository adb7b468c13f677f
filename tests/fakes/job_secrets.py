"""Secrets in memory: the contract of ``SecretStore`` without a key."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from ci_common.access import Within
from ci_common.errors import InvalidRequest, SecretNotFound
from ci_common.job_secrets import MOST_SECRETS, Secret, SecretPlace
from ci_common.jobs import Job


class InMemorySecretStore:
    """``jobs`` are those of the repository, by id."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        self._kept: dict[SecretPlace, tuple[Secret, str]] = {}
        self._given: dict[str, tuple[int, dict[str, str]]] = {}

    async def all(self, *, within: Within, project: str | None = None) -> Sequence[Secret]:
        found = [
            secret
            for secret, _ in self._kept.values()
            if (within is None or secret.place.organisation in within)
            and project in (None, secret.place.project)
        ]
        return sorted(found, key=lambda each: _order(each.place))

    async def set(self, place: SecretPlace, value: str, *, now: datetime) -> tuple[Secret, bool]:
        before = self._kept.get(place)
        own = sum(place.organisation == each.organisation for each in self._kept)
        if before is None and own >= MOST_SECRETS:
            raise InvalidRequest("too many")
        secret = Secret(place=place, created_at=now, updated_at=now)
        if before is not None:
            secret = replace(before[0], updated_at=now)
        self._kept[place] = (secret, value)
        return secret, before is None

    async def remove(self, place: SecretPlace) -> None:
        if self._kept.pop(place, None) is None:
            raise SecretNotFound(f"there is no secret {place.name}")

    async def missing(self, organisation: str, project: str, names: Iterable[str]) -> Sequence[str]:
        return [name for name in names if self._value(organisation, project, name) is None]

    async def give(self, job_id: str, attempt: int, names: Iterable[str]) -> Mapping[str, str]:
        job, values = self._jobs[job_id], {}
        for name in names:
            value = self._value(job.organisation, job.project, name)
            if value is None:
                raise SecretNotFound(f"there is no secret {name}")
            values[name] = value
        self._given[job_id] = (attempt, values)
        return values

    async def given(self, job_id: str) -> Mapping[str, str]:
        return self._given.get(job_id, (0, {}))[1]

    async def take_back(self, job_id: str, attempt: int) -> None:
        if self._given.get(job_id, (None,))[0] == attempt:
            del self._given[job_id]

    def _value(self, organisation: str, project: str, name: str) -> str | None:
        for of in (project, ""):
            found = self._kept.get(SecretPlace(organisation=organisation, project=of, name=name))
            if found is not None:
                return found[1]
        return None


def _order(place: SecretPlace) -> tuple[str, str, str]:
    return place.organisation, place.project, place.name
