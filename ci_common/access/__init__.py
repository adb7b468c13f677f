"""Who may do what: actors, actions, resources, and the one rule that decides."""

from ci_common.access.model import (
    ALL_SCOPES,
    ANONYMOUS,
    EVERYBODY,
    NOBODYS,
    Action,
    Actor,
    Credential,
    OfOrganisation,
    OfServer,
    OfUser,
    Resource,
    Role,
    Scope,
    Within,
)
from ci_common.access.policy import can, could, scope_for, within

__all__ = [
    "ALL_SCOPES",
    "ANONYMOUS",
    "EVERYBODY",
    "NOBODYS",
    "Action",
    "Actor",
    "Credential",
    "OfOrganisation",
    "OfServer",
    "OfUser",
    "Resource",
    "Role",
    "Scope",
    "Within",
    "can",
    "could",
    "scope_for",
    "within",
]
