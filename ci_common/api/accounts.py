"""Users, organisations and members as HTTP shows them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

from ci_common.access import Role
from ci_common.accounts import LONGEST_EMAIL, LONGEST_NAME, Organisation, User
from ci_common.clock import format_utc

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
Email = Annotated[str, msgspec.Meta(max_length=LONGEST_EMAIL)]
# A larger number would not be the same in every reader of JSON.
Quota = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class UserRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to be. ``organisations``: its role in each, by name: `viewer`, `member`, `admin`."""

    name: Name
    email: Email = ""
    server_admin: bool = False
    organisations: dict[str, Role] = {}


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a user; what is left out or null stays as it is."""

    name: Name | None = None
    email: Email | None = None
    server_admin: bool | None = None
    disabled: bool | None = None


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """One user. Times are UTC in RFC 3339 with a ``Z``.

    ``organisations``: its role in each of them, by name. ``disabled_at``: since
    when it may do nothing; null if it may. ``has_password``: whether it can sign
    in with one; ``signs_in_at``: the OIDC provider that knows it, or null.
    """

    id: str
    name: str
    email: str
    server_admin: bool
    disabled_at: str | None
    created_at: str
    last_sign_in: str | None
    has_password: bool
    signs_in_at: str | None
    organisations: Mapping[str, str]


class OrganisationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An organisation to be. A quota that is null is the server's default; 0 is none at all."""

    name: Name
    max_running: Quota | None = None
    max_queued: Quota | None = None
    max_project_bytes: Quota | None = None
    max_artifact_bytes: Quota | None = None


class OrganisationChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of an organisation; what is left out stays as it is.

    A quota that is null becomes the server's default; 0 is none at all.
    """

    name: Name | msgspec.UnsetType = msgspec.UNSET
    max_running: Quota | msgspec.UnsetType | None = msgspec.UNSET
    max_queued: Quota | msgspec.UnsetType | None = msgspec.UNSET
    max_project_bytes: Quota | msgspec.UnsetType | None = msgspec.UNSET
    max_artifact_bytes: Quota | msgspec.UnsetType | None = msgspec.UNSET


class OrganisationView(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation. A quota that is null is the server's default.

    ``max_running``: jobs that run at once; ``max_queued``: jobs that wait;
    ``max_project_bytes`` and ``max_artifact_bytes``: what is kept of them.
    """

    id: str
    name: str
    created_at: str
    max_running: int | None
    max_queued: int | None
    max_project_bytes: int | None
    max_artifact_bytes: int | None


class MemberRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody is to be in an organisation: `viewer`, `member` or `admin`."""

    role: Role


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """One member of an organisation. ``disabled``: it may do nothing at present."""

    name: str
    role: str
    disabled: bool


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs an organisation was given."""

    jobs: int


def user_view(user: User, names: Mapping[str, str]) -> UserView:
    """Return what admins may see of a user. ``names``: of the organisations, by id."""
    return UserView(
        id=user.id,
        name=user.name,
        email=user.email,
        server_admin=user.server_admin,
        disabled_at=_when(user.disabled_at),
        created_at=format_utc(user.created_at),
        last_sign_in=_when(user.last_sign_in),
        has_password=user.password is not None,
        signs_in_at=user.issuer,
        organisations={
            names[each]: role.value
            for each, role in sorted(user.roles.items(), key=lambda item: names.get(item[0], ""))
            if each in names
        },
    )


def organisation_view(organisation: Organisation) -> OrganisationView:
    """Return what its members may see of an organisation."""
    return OrganisationView(
        id=organisation.id,
        name=organisation.name,
        created_at=format_utc(organisation.created_at),
        max_running=organisation.max_running,
        max_queued=organisation.max_queued,
        max_project_bytes=organisation.max_project_bytes,
        max_artifact_bytes=organisation.max_artifact_bytes,
    )


def member_view(user: User, organisation: str) -> MemberView:
    """Return what the others may see of a member of the organisation with that id."""
    return MemberView(
        name=user.name,
        role=user.roles[organisation].value,
        disabled=user.disabled_at is not None,
    )


def _when(when: datetime | None) -> str | None:
    return None if when is None else format_utc(when)
