"""Short-lived tokens: what they open, and when they cease to."""

import base64
import hashlib
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar.connection import ASGIConnection

from ci_common.access import Action, OfOrganisation, OfServer, Role, Scope, can
from ci_common.accounts import ApiKey, Organisation
from ci_common.audit import AuditedAction
from ci_common.clock import SystemClock
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.sign_in_people import Browser, People

_NUMBERS = iter(range(10_000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("tokens"), accounts="on") as running:
        people = Machines(running)
        people.add("root", server_admin=True)
        people.organisation("acme")
        people.organisation("umbrella")
        yield running


@pytest.fixture(scope="module")
def machines(server: RunningServer) -> "Machines":
    return Machines(server)


class Machines(People):
    """Users with keys."""

    def organisation(self, name: str) -> None:
        now = SystemClock().now().wall
        made = Organisation(id=f"org_{name}", name=name, created_at=now)
        self.server.call(self.parts.accounts.add_organisation(made))

    def key(self, user, **fields) -> tuple[ApiKey, str]:
        number = next(_NUMBERS)
        text = f"sci_{number:032x}"
        key = ApiKey(
            id=f"key_{number}",
            user_id=user.id,
            name="of a test",
            hint=text[:8],
            created_at=SystemClock().now().wall,
            **fields,
        )
        digest = hashlib.sha256(text.encode()).digest()
        self.server.call(self.parts.accounts.add_key(key, digest))
        return key, text

    def exchange(self, credential: str, **asked) -> httpx2.Response:
        return httpx2.post(
            self.server.url + "/api/v1/token", json=asked, headers=bearer(credential), timeout=30
        )

    def token(self, credential: str, **asked) -> str:
        answer = self.exchange(credential, **asked)
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]

    def get(self, path: str, credential: str) -> httpx2.Response:
        return httpx2.get(self.server.url + path, headers=bearer(credential), timeout=30)


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def test_a_key_is_exchanged_for_a_token_that_opens_as_much(machines, server) -> None:
    user = machines.add("ada", roles={"org_acme": Role.MEMBER})
    key, text = machines.key(user)
    answer = machines.exchange(text)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["token_type"] == "Bearer"
    assert said["expires_in"] == 600
    assert said["scopes"] == ["admin", "read", "submit"]
    assert machines.get("/api/v1/jobs", said["access_token"]).status_code == 200
    claims = jwt.decode(said["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] <= 900
    assert claims["sub"] == user.id
    assert claims["client_id"] == key.id
    assert text not in json.dumps(claims)


def test_others_can_verify_a_token_with_the_published_keys(machines, server) -> None:
    _, text = machines.key(machines.add("grace"))
    token = machines.token(text)
    published = httpx2.get(server.url + "/.well-known/jwks.json").json()
    assert all("d" not in key for key in published["keys"])
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_dict(published)[header["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["EdDSA"], audience="standby-ci", issuer="standby-ci"
    )
    assert claims["jti"]


def test_a_token_can_be_narrower_but_never_wider(machines, server) -> None:
    user = machines.add("linus", roles={"org_acme": Role.ADMIN, "org_umbrella": Role.VIEWER})
    _, text = machines.key(user, scopes=frozenset({Scope.READ, Scope.SUBMIT}))
    narrow = machines.token(text, scopes=["submit"])
    assert machines.get("/api/v1/jobs", narrow).status_code == 403
    assert machines.exchange(text, scopes=["admin"]).status_code == 403
    only = machines.exchange(text, organisation="ACME").json()
    claims = jwt.decode(only["access_token"], options={"verify_signature": False})
    assert claims["org"] == "org_acme"
    assert machines.exchange(text, organisation="nobodys").status_code == 404
    assert machines.exchange(text, lifetime=10_000).status_code == 400
    assert machines.exchange(text, lifetime=5).json()["expires_in"] == 5


def test_a_token_for_one_organisation_opens_no_other(machines, server) -> None:
    admin = machines.add("boss", server_admin=True)
    _, text = machines.key(admin)
    token = machines.token(text, organisation="acme")
    seen = server.call(_actor(server, token))
    assert not can(seen, Action.READ, OfServer())
    assert can(seen, Action.READ, OfOrganisation("org_acme"))
    assert not can(seen, Action.READ, OfOrganisation("org_umbrella"))


async def _actor(server: RunningServer, token: str):
    headers = [(b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "headers": headers, "state": {}}
    return await server.parts.authentication.actor(ASGIConnection(scope))


def test_a_token_is_not_exchanged_for_another(machines) -> None:
    _, text = machines.key(machines.add("margaret"))
    answer = machines.exchange(machines.token(text))
    assert answer.status_code == 403


def test_a_token_leaves_no_key_behind_that_outlives_it(machines, server) -> None:
    key, text = machines.key(machines.add("katherine"))
    token, keys = machines.token(text), f"{server.url}/api/v1/keys"
    for address, asked in ((keys, {"name": "for ever"}), (f"{keys}/{key.id}/rotate", {})):
        answer = httpx2.post(address, json=asked, headers=bearer(token), timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
    assert [each["id"] for each in machines.get("/api/v1/keys", token).json()] == [key.id]


def test_a_token_ends_with_its_key_its_user_and_its_session(machines, server) -> None:
    user = machines.add("jean", roles={"org_acme": Role.VIEWER})
    key, text = machines.key(user)
    token = machines.token(text)
    assert machines.get("/api/v1/jobs", token).status_code == 200
    now = SystemClock().now().wall
    accounts = server.parts.accounts
    server.call(accounts.change_key(key.id, lambda it: replace(it, revoked_at=now)))
    assert machines.get("/api/v1/jobs", token).status_code == 401

    _, text = machines.key(user)
    token = machines.token(text)
    machines.change(user, disabled_at=now)
    assert machines.get("/api/v1/jobs", token).status_code == 401

    other = machines.add("frances", roles={"org_acme": Role.VIEWER})
    _, expiring = machines.key(other, expires_at=now + timedelta(seconds=3600))
    of_key = machines.token(expiring)
    with Browser(server) as browser:
        browser.sign_in("frances")
        of_session = browser.post("/token", json={}).json()["access_token"]
        assert machines.get("/api/v1/jobs", of_session).status_code == 200
        browser.post("/sign-out")
    assert machines.get("/api/v1/jobs", of_session).status_code == 401
    assert machines.get("/api/v1/jobs", of_key).status_code == 200


def test_a_token_that_is_not_ours_opens_nothing(machines, server) -> None:
    user = machines.add("hedy", roles={"org_acme": Role.VIEWER})
    _, text = machines.key(user)
    token = machines.token(text)
    header, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(token)["kid"]
    name, key = server.call(server.parts.sign_in.tokens.keys.signing())
    assert name == kid
    public = httpx2.get(server.url + "/.well-known/jwks.json").content
    typ = {"kid": kid, "typ": "at+jwt"}
    stranger = Ed25519PrivateKey.generate()
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt","kid":"%s"}' % kid.encode())
    for forged in (
        jwt.encode(claims, stranger, "EdDSA", headers=typ),
        jwt.encode(claims, stranger, "EdDSA", headers=typ | {"kid": "20200101T000000Z-00000000"}),
        jwt.encode(claims, public + b"x" * 64, "HS256", headers=typ),
        f"{none.decode().rstrip('=')}.{body}.",
        f"{header}.{body}.{signature[:-4]}AAAA",
        jwt.encode(claims | {"aud": "somebody-else"}, key, "EdDSA", headers=typ),
        jwt.encode(claims | {"iss": "somebody-else"}, key, "EdDSA", headers=typ),
        jwt.encode(claims | {"exp": claims["iat"] - 60}, key, "EdDSA", headers=typ),
        jwt.encode(claims | {"iat": claims["exp"] + 9**9}, key, "EdDSA", headers=typ),
        jwt.encode(claims, key, "EdDSA", headers={"kid": kid, "typ": "JWT"}),
        jwt.encode({k: v for k, v in claims.items() if k != "exp"}, key, "EdDSA", headers=typ),
        jwt.encode(claims | {"sub": "usr_somebody"}, key, "EdDSA", headers=typ),
        jwt.encode(claims | {"client_id": "key_9999"}, key, "EdDSA", headers=typ),
        jwt.encode(claims | {"scope": "everything"}, key, "EdDSA", headers=typ),
        "a.b.c",
        "..",
    ):
        answer = machines.get("/api/v1/jobs", forged)
        assert answer.status_code == 401, (forged, answer.text)
    assert machines.get("/api/v1/jobs", jwt.encode(claims, key, "EdDSA", headers=typ)).is_success


def test_keys_are_files_that_only_the_server_reads(machines, server) -> None:
    machines.token(machines.key(machines.add("mary"))[1])
    folder = server.settings.data_folder / "signing-keys"
    (key,) = folder.iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_who_got_a_token_is_in_the_audit_log(machines, server) -> None:
    token = machines.token(machines.key(machines.add("lise"))[1], scopes=["read"])
    query = "SELECT subject, detail FROM audit WHERE action = ? AND actor = 'lise'"
    fetched = server.parts.repository._database.fetch_all(query, (AuditedAction.TOKEN_ISSUE.value,))
    (row,) = server.call(fetched)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["jti"] in row["subject"]
    assert row["detail"].startswith("read; until ")
    assert token not in str(dict(row))


def test_without_accounts_there_is_no_token(tmp_path) -> None:
    with running_server(tmp_path) as server:
        answer = httpx2.post(server.url + "/api/v1/token", json={})
        assert answer.status_code == 403
        assert not (server.settings.data_folder / "signing-keys").exists()
