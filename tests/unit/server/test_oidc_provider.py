"""What of a provider's answers is believed; a real one is in tests/contract/test_http_oidc.py."""

import time
from dataclasses import replace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ci_common.clock import SystemClock
from ci_common.errors import ProviderUnavailable, SignInRefused
from ci_server.sign_in.oidc import Flow, Provider, ProviderSettings, http
from ci_server.sign_in.oidc.people import roles_of

ISSUER = "https://id.example"
SETTINGS = ProviderSettings(
    issuer=ISSUER,
    client_id="standby-ci",
    client_secret="hush",
    scopes=("openid",),
    redirect_uri="https://ci.example/sign-in/oidc/answer",
)
KEY = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
FLOW = Flow.new("/")


class FakeProvider:
    """Answers as a provider would whose every word is the test's."""

    def __init__(self, monkeypatch) -> None:
        self.asked: list[str] = []
        self.metadata = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/me",
            "jwks_uri": f"{ISSUER}/keys",
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        self.keys = [_jwk(KEY, "k1", jwt.algorithms.ECAlgorithm, "ES256")]
        self.claims = {
            "iss": ISSUER,
            "sub": "ada",
            "aud": "standby-ci",
            "exp": time.time() + 60,
            "iat": time.time(),
            "nonce": FLOW.nonce,
        }
        self.sign_with, self.algorithm, self.header = KEY, "ES256", {"kid": "k1"}
        self.userinfo = {"sub": "ada", "groups": ["devs"]}
        monkeypatch.setattr(http, "get", self.get)
        monkeypatch.setattr(http, "post", self.post)

    async def get(self, url: str, *, token: str | None = None):
        self.asked.append(url)
        if url.endswith("openid-configuration"):
            return self.metadata
        return {"keys": self.keys} if url == self.metadata["jwks_uri"] else self.userinfo

    async def post(self, url, fields, headers):
        self.asked.append(url)
        self.sent = fields, headers
        token = jwt.encode(self.claims, self.sign_with, self.algorithm, headers=self.header)
        return 200, {"id_token": token, "access_token": "x"}

    async def identity(self, issuer: str | None = None, **settings):
        provider = Provider(replace(SETTINGS, **settings), SystemClock())
        return await provider.identity(FLOW, "code", issuer)


def _jwk(key, name, algorithm, alg):
    return algorithm.to_jwk(key.public_key(), as_dict=True) | {
        "kid": name,
        "alg": alg,
        "use": "sig",
    }


@pytest.fixture
def fake(monkeypatch) -> FakeProvider:
    return FakeProvider(monkeypatch)


async def test_a_good_answer_is_believed(fake) -> None:
    identity = await fake.identity(issuer=ISSUER)
    assert (identity.issuer, identity.subject) == (ISSUER, "ada")
    fields, headers = fake.sent
    assert fields["code_verifier"] == FLOW.verifier
    assert headers["Authorization"].startswith("Basic ")
    assert "hush" not in str(fields)


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.example"},
        {"aud": "another"},
        {"aud": ["standby-ci", "another"], "azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": None},
        {"iat": None},
        {"iat": 2**40},
        {"sub": None},
    ],
)
async def test_a_claim_that_is_not_right_is_not_believed(fake, changed) -> None:
    fake.claims = {k: v for k, v in (fake.claims | changed).items() if v is not None}
    with pytest.raises(SignInRefused):
        await fake.identity()


async def test_only_announced_signatures_of_published_keys_are_believed(fake) -> None:
    fake.sign_with = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SignInRefused):
        await fake.identity()
    fake.sign_with, fake.header = KEY, {"kid": "k2"}
    with pytest.raises(SignInRefused, match="publish"):
        await fake.identity()
    fake.keys.append(_jwk(RSA, "k3", jwt.algorithms.RSAAlgorithm, "RS256"))
    fake.sign_with, fake.algorithm, fake.header = RSA, "RS256", {"kid": "k3"}
    with pytest.raises(SignInRefused):
        await fake.identity()
    fake.metadata["id_token_signing_alg_values_supported"] = ["ES256", "RS256", "none", "HS256"]
    assert (await fake.identity()).subject == "ada"
    for algorithm, key in (("HS256", "hush" * 16), ("none", None)):
        fake.sign_with, fake.algorithm, fake.header = key, algorithm, {"kid": "k1"}
        with pytest.raises(SignInRefused):
            await fake.identity()


async def test_what_is_announced_is_fetched_once_and_new_keys_when_they_are_named(fake) -> None:
    provider = Provider(SETTINGS, SystemClock())
    for _ in range(3):
        await provider.identity(FLOW, "code", None)
    assert fake.asked.count(f"{ISSUER}/keys") == 1
    assert sum("openid-configuration" in each for each in fake.asked) == 1


async def test_the_answer_of_another_provider_is_not_believed(fake) -> None:
    with pytest.raises(SignInRefused):
        await fake.identity(issuer="https://other.example")
    fake.metadata["authorization_response_iss_parameter_supported"] = True
    with pytest.raises(SignInRefused):
        await fake.identity(issuer=None)
    assert fake.asked.count(f"{ISSUER}/token") == 0


async def test_userinfo_completes_but_does_not_replace(fake) -> None:
    identity = await fake.identity(userinfo_for=frozenset({"groups"}))
    assert identity.claims["groups"] == ["devs"]
    fake.userinfo = {"sub": "grace", "groups": ["admins"]}
    with pytest.raises(SignInRefused, match="somebody else"):
        await fake.identity(userinfo_for=frozenset({"groups"}))
    fake.userinfo = {"sub": "ada", "groups": [], "nonce": "x", "iss": "x"}
    assert (await fake.identity(userinfo_for=frozenset({"groups"}))).claims["iss"] == ISSUER


async def test_a_provider_that_is_not_the_one_or_not_safe_is_not_spoken_with(fake) -> None:
    fake.metadata["token_endpoint"] = "http://id.example/token"
    with pytest.raises(ProviderUnavailable, match="token_endpoint"):
        await fake.identity()
    fake.metadata["issuer"] = "https://id.example/"
    with pytest.raises(ProviderUnavailable, match="another issuer"):
        await fake.identity()


async def test_a_client_without_a_secret_says_only_who_it_is(fake) -> None:
    await fake.identity(client_secret="")
    fields, headers = fake.sent
    assert fields["client_id"] == "standby-ci"
    assert "Authorization" not in headers
    fake.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await fake.identity()
    assert fake.sent[0]["client_secret"] == "hush"


def test_a_flow_is_what_its_cookie_says_and_nothing_else() -> None:
    flow = Flow.new("/a.b?c=d&e=ü", "ses_1")
    assert Flow.of_cookie(flow.cookie()) == flow
    secret, back_to, session = flow.cookie().split(".")
    for other in (f"{secret}.%2Fother.{session}", f"{secret}.{back_to}.", f"x{secret}.{back_to}."):
        changed = Flow.of_cookie(other)
        assert changed is None or not changed.is_answered_by(flow.state)
    for broken in ("", "..", "a", "a.b", "a.b.c.d"):
        assert Flow.of_cookie(broken) is None
    assert len({flow.state, flow.nonce, flow.verifier, flow.challenge, flow.secret}) == 5


def test_groups_give_the_highest_role_and_take_those_that_none_gives() -> None:
    mapping = {"devs": "acme:member", "leads": "acme:admin", "all": "other:viewer"}
    assert roles_of(mapping, ["leads", "devs"]) == {"acme": "admin", "other": None}
    assert roles_of(mapping, ["devs", "all"]) == {"acme": "member", "other": "viewer"}
    assert roles_of(mapping, []) == {"acme": None, "other": None}
    assert roles_of({"ops": "server-admin"}, ["ops"]) == {}
