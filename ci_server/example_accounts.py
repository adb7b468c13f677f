"""Examples of users, organisations and members."""

from ci_common.access import Role
from ci_common.api.accounts import (
    Adoption,
    MemberRequest,
    MemberView,
    OrganisationChange,
    OrganisationRequest,
    OrganisationView,
    UserChange,
    UserRequest,
    UserView,
)

USER_NAME = "ada"
ORGANISATION_NAME = "acme"
_EMAIL = "ada@example.org"

ACCOUNTS = (
    UserRequest(name=USER_NAME, email=_EMAIL, organisations={ORGANISATION_NAME: Role.MEMBER}),
    UserChange(disabled=True),
    UserView(
        id="usr_5f0c2d9e8a7b4c6d1e3f0a9b",
        name=USER_NAME,
        email=_EMAIL,
        server_admin=False,
        disabled_at=None,
        created_at="2026-11-20T16:02:11.004Z",
        last_sign_in="2026-11-21T09:30:00.125Z",
        has_password=True,
        signs_in_at=None,
        organisations={ORGANISATION_NAME: "member"},
    ),
    OrganisationRequest(name=ORGANISATION_NAME, max_running=4),
    OrganisationChange(max_running=8, max_queued=None),
    OrganisationView(
        id="org_1b7e0c4d9a2f5e8d3c6b7a10",
        name=ORGANISATION_NAME,
        created_at="2026-11-20T16:01:02.518Z",
        max_running=4,
        max_queued=None,
        max_project_bytes=None,
        max_artifact_bytes=10_737_418_240,
    ),
    MemberRequest(role=Role.MEMBER),
    MemberView(name=USER_NAME, role="member", disabled=False),
    Adoption(jobs=41),
)
