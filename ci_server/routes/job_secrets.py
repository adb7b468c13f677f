"""Secrets of jobs: which there are, keeping and removing them. No value comes back."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Response, delete, get, put
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, PathParameter, QueryParameter

from ci_common.access import Action
from ci_common.api.job_secrets import SecretRequest, SecretView, secret_view
from ci_common.audit import AuditedAction
from ci_common.errors import InvalidRequest
from ci_common.job_secrets import (
    LONGEST_NAME,
    NAME_PATTERN,
    SecretPlace,
    check_secret_name,
    check_secret_value,
)
from ci_server.access import organisation_for, within_asked
from ci_server.audit import audit
from ci_server.job_query import AnyRequest
from ci_server.organisations import organisation_name, organisation_names
from ci_server.parts import parts_of
from ci_server.routes.bodies import strictly
from ci_server.routes.openapi import problems
from ci_server.uploads import LONGEST_PROJECT

_SHOWN: dict[str, Any] = {"tags": ["secrets"]}

SecretName = Annotated[
    str,
    PathParameter(
        description="The secret's name, which is that of its variable.",
        max_length=LONGEST_NAME,
        schema_extra={"pattern": NAME_PATTERN},
    ),
]
Project = Annotated[
    str,
    QueryParameter(
        description="The project that it belongs to; left out, it is for all projects.",
        max_length=LONGEST_PROJECT,
    ),
]


@get(
    "/secrets",
    operation_id="list_secrets",
    action=Action.LIST_SECRETS,
    summary="Which secrets there are",
    description="Names and places, never values. Those of all projects have `project` empty.",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def list_secrets(
    request: AnyRequest,
    state: State,
    project: Annotated[
        str | None,
        QueryParameter(
            description="Only those of this project; empty for those of all projects.",
            max_length=LONGEST_PROJECT,
        ),
    ] = None,
    organisation: Annotated[
        str, QueryParameter(description="Only those of this organisation.", max_length=200)
    ] = "",
) -> Sequence[SecretView]:
    """Answer with the secrets that may be seen."""
    parts = parts_of(state)
    within = await within_asked(request, Action.LIST_SECRETS, organisation)
    found = await parts.repository.secrets.all(within=within, project=project)
    names = await organisation_names(parts.accounts, {each.place.organisation for each in found})
    return [secret_view(each, names[each.place.organisation]) for each in found]


@put(
    "/secrets/{name:str}",
    operation_id="set_secret",
    action=Action.MANAGE_SECRETS,
    summary="Keep a secret, or replace its value",
    description="Jobs that ask for it by name have the value in their environment from their next "
    "attempt on. It is kept encrypted, masked in logs, and never shown again. A project's own "
    "secret wins over one for all projects. `201` says that it is new.",
    status_code=200,
    responses={201: ResponseSpec(SecretView, description="It is new.", generate_examples=False)}
    | problems(400, 404, 503),
    **_SHOWN,
)
async def set_secret(
    request: AnyRequest,
    state: State,
    name: SecretName,
    data: JSONBody[SecretRequest],
    project: Project = "",
) -> Response[SecretView]:
    """Keep a value."""
    parts = parts_of(state)
    place = await _place(request, name, project)
    value = check_secret_value((await strictly(request, data)).value)
    now = parts.submissions.clock.now().wall
    secret, is_new = await parts.repository.secrets.set(place, value, now=now)
    await audit(request, AuditedAction.SECRET_SET, _subject(place), organisation=place.organisation)
    of = await organisation_name(parts.accounts, place.organisation)
    return Response(secret_view(secret, of), status_code=201 if is_new else 200)


@delete(
    "/secrets/{name:str}",
    operation_id="remove_secret",
    action=Action.MANAGE_SECRETS,
    summary="Remove a secret",
    description="A queued job that asks for it ends with `infra_error` when it is its turn; what "
    "runs already has its value.",
    responses=problems(400, 404, 503),
    **_SHOWN,
)
async def remove_secret(
    request: AnyRequest, state: State, name: SecretName, project: Project = ""
) -> None:
    """Remove a secret."""
    place = await _place(request, name, project)
    await parts_of(state).repository.secrets.remove(place)
    await audit(
        request, AuditedAction.SECRET_REMOVE, _subject(place), organisation=place.organisation
    )


SECRET_HANDLERS = (list_secrets, set_secret, remove_secret)


def _subject(place: SecretPlace) -> str:
    """Return what the audit log calls a secret."""
    return f"secret {place.name}" + (f" of the project {place.project}" if place.project else "")


async def _place(request: AnyRequest, name: str, project: str) -> SecretPlace:
    try:
        check_secret_name(name)
    except ValueError as error:
        raise InvalidRequest(f"the name: {error}", hint="Write it like PYPI_TOKEN.") from None
    project = project.strip()
    if not project.isprintable():
        raise InvalidRequest("project: its name is not printable text")
    organisation = await organisation_for(request, Action.MANAGE_SECRETS)
    return SecretPlace(organisation=organisation, project=project, name=name)
