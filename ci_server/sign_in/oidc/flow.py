"""One way through a provider and back, in one browser.

All that must be remembered until the user is back is one secret in a cookie:
state, nonce and code verifier are made of it. So nothing is kept of those who
never come back, and an answer is good in the browser only that asked for it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import quote, unquote

from ci_common.sign_in import new_secret

_SEPARATOR = "."


@dataclass(frozen=True, slots=True)
class Flow:
    """See the module. ``back_to`` is the local path to go on at.

    ``session_id``: of the session whose user is to be known by the provider from
    now on; empty where somebody signs in.
    """

    secret: str
    back_to: str
    session_id: str = ""

    @classmethod
    def new(cls, back_to: str, session_id: str = "") -> "Flow":
        """Return a flow that nobody else knows."""
        return cls(new_secret(), back_to, session_id)

    @classmethod
    def of_cookie(cls, text: str) -> "Flow | None":
        """Return the flow in a cookie; None if it is none."""
        secret, *rest = text.split(_SEPARATOR)
        if len(rest) != 2 or not secret:
            return None
        return cls(secret, unquote(rest[0]), rest[1])

    def cookie(self) -> str:
        """Return what its cookie holds."""
        back_to = quote(self.back_to, safe="").replace(_SEPARATOR, "%2E")
        return _SEPARATOR.join((self.secret, back_to, self.session_id))

    @property
    def state(self) -> str:
        """What the answer has to bring back; it depends on all of the flow."""
        return self._derived(f"state {self.back_to} {self.session_id}")

    @property
    def nonce(self) -> str:
        """What the ID token has to say."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """What shows that who redeems the code is who asked for it (RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """The SHA-256 of ``verifier``, as it is sent first."""
        return _base64(hashlib.sha256(self.verifier.encode()).digest())

    def is_answered_by(self, state: str) -> bool:
        """Return whether an answer is to this flow."""
        return hmac.compare_digest(self.state.encode(), state.encode("utf-8", "replace"))

    def _derived(self, what: str) -> str:
        return _base64(hmac.digest(self.secret.encode(), what.encode(), hashlib.sha256))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
