"""Examples of API keys, and of who one is."""

import msgspec

from ci_common.access import Scope
from ci_common.api.api_keys import KeyRequest, KeyRotation, KeyView, KeyWithSecret
from ci_common.api.whoami import MembershipView, WhoamiView

KEY_ID = "key_4c1f0a6be2d97385"
_VIEW = KeyView(
    id=KEY_ID,
    name="nightly builds",
    hint="sci_7Kd2",
    user="ada",
    scopes=["read", "submit"],
    organisation="acme",
    state="active",
    created_at="2026-11-20T16:02:11.004Z",
    expires_at="2027-02-18T16:02:11.004Z",
    last_used_at=None,
    revoked_at=None,
    replaced_by=None,
)
_MEMBER = MembershipView(organisation="acme", role="member")

API_KEYS = (
    KeyRequest(
        name="nightly builds",
        scopes=[Scope.READ, Scope.SUBMIT],
        organisation="acme",
        expires_in=7_776_000.0,
    ),
    KeyRotation(overlap=3600.0),
    _VIEW,
    # Its end does not fit: nobody shall find it here and take it for one that has leaked.
    KeyWithSecret(**msgspec.structs.asdict(_VIEW), key="sci_7Kd2" + "0" * 34),
    _MEMBER,
    WhoamiView(
        accounts=True,
        user="ada",
        server_admin=False,
        organisations=[_MEMBER],
        scopes=["read", "submit"],
        credential="key",
        key_id=KEY_ID,
        key_name="nightly builds",
        key_expires_at="2027-02-18T16:02:11.004Z",
    ),
)
