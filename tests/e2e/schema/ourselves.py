"""As whom the requests are made, and somebody else to make them about."""

from datetime import datetime

from ci_common.access import Role
from ci_common.accounts import ApiKey, Organisation, User
from ci_server.examples import PARAMETERS

ORGANISATION_NAME = "own"
_USER_NAME = "root"
_KEY_ID, _USER_ID, _ORGANISATION_ID, _OTHERS_ID = "key_1", "usr_1", "org_1", "org_2"

OURS = {
    "user_name": {_USER_NAME, _USER_ID},
    "organisation": {ORGANISATION_NAME, _ORGANISATION_ID},
    "key_id": {_KEY_ID},
}
"""By what ourselves go, by the name of the parameter."""


def organisations(now: datetime) -> list[Organisation]:
    """Return ours, and the one that the examples name."""
    return [
        Organisation(id=_ORGANISATION_ID, name=ORGANISATION_NAME, created_at=now),
        Organisation(id=_OTHERS_ID, name=PARAMETERS["organisation"], created_at=now),
    ]


def users(now: datetime) -> list[User]:
    """Return a server admin, who is an admin of our organisation, too, and whom examples name."""
    return [
        User(
            id=_USER_ID,
            name=_USER_NAME,
            created_at=now,
            server_admin=True,
            roles={_ORGANISATION_ID: Role.ADMIN},
        ),
        User(
            id="usr_2",
            name=PARAMETERS["user_name"],
            created_at=now,
            roles={_OTHERS_ID: Role.MEMBER},
        ),
    ]


def key(now: datetime) -> ApiKey:
    """Return a key of ours that may everything."""
    return ApiKey(id=_KEY_ID, user_id=_USER_ID, name="it", hint="sci_", created_at=now)
