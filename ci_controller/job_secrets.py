"""The secrets of one attempt: given when it begins, known while it runs, and then forgotten.

They are read anew wherever they are needed, so that none stays in memory for longer
than its attempt. Jobs that ask for none cost nothing here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ci_common.errors import CIError, SecretNotFound, SecretsUnreadable
from ci_common.job_secrets import SecretStore
from ci_common.jobs import Job
from ci_common.results import Results
from ci_controller.masking import NO_MASKS, Masks

SECRET_FAULTS = (SecretNotFound, SecretsUnreadable)
"""What trying again would only say again: the job ends with it."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an attempt has, and what must not be seen of it."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    masks: Masks = NO_MASKS


@dataclass(frozen=True, slots=True)
class JobSecrets:
    """Gives jobs their secrets, and knows what to mask."""

    store: SecretStore

    async def give(self, job: Job) -> Given:
        """Return what a job asks for, for an attempt that begins.

        Raises:
            SecretNotFound: one of them was removed since it was submitted.
            SecretsUnreadable: their key is missing.

        """
        if not job.recipe.secrets:
            return Given()
        values = await self.store.give(job.id, job.attempt, job.recipe.secrets)
        return Given(values, Masks(values.values()))

    async def masks(self, job: Job) -> Masks:
        """Return what must not be seen of what an attempt says. Raises ``SecretsUnreadable``."""
        if not job.recipe.secrets:
            return NO_MASKS
        return Masks((await self.store.given(job.id)).values())

    async def hidden(self, job: Job, detail: str | None) -> str | None:
        """Return what is to be told of an attempt, masked."""
        if not detail or not job.recipe.secrets:
            return detail
        try:
            return (await self.masks(job)).text(detail)
        except CIError:
            return "its detail may hold a secret, and cannot be masked now"

    async def take_back(self, job: Job) -> None:
        """Forget what an attempt was given, once nothing of it will be written any more."""
        if job.recipe.secrets:
            await self.store.take_back(job.id, job.attempt)


def masked_results(results: Results, masks: Masks) -> Results:
    """Return what was collected with nothing of secrets in names and messages; files are as is."""
    if not masks:
        return results
    text = masks.text
    return msgspec.structs.replace(
        results,
        cases=tuple(
            msgspec.structs.replace(
                case,
                node_id=text(case.node_id),
                classname=text(case.classname),
                name=text(case.name),
                file=text(case.file),
                message=text(case.message),
            )
            for case in results.cases
        ),
        left_out=tuple(
            msgspec.structs.replace(each, path=text(each.path), reason=text(each.reason))
            for each in results.left_out
        ),
        coverage=results.coverage
        and msgspec.structs.replace(results.coverage, source=text(results.coverage.source)),
    )
