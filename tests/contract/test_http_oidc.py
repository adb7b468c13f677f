"""Signing in with a provider that is a real one, in a process of its own."""

from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from ci_common.access import Role
from ci_common.accounts import Organisation
from ci_common.clock import SystemClock
from ci_server.sign_in.oidc import Flow
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.sign_in_people import People
from tests.contract.test_http_sign_in_pages import Page
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, running_provider, sign_in_there
from tests.ports import free_port

PEOPLE = {
    "sub-ada": {
        "preferred_username": "ada",
        "email": "ada@corp.example",
        "email_verified": True,
        "groups": ["devs", "ci-admins"],
    },
    "sub-grace": {"preferred_username": "Grace Hopper@corp", "groups": "leads"},
    "sub-same": {"preferred_username": "root", "email": "root@corp.example"},
    "sub-linus": {"preferred_username": "linus"},
    "sub-jean": {"preferred_username": "jean"},
    "sub-nameless": {},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    here, there = free_port(), free_port()
    public = f"http://127.0.0.1:{here}"
    with (
        running_provider(there, public + "/sign-in/oidc/answer", PEOPLE) as issuer,
        running_server(
            tmp_path_factory.mktemp("oidc"),
            accounts="on",
            port=str(here),
            public_url=public,
            oidc_issuer=issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=CLIENT_SECRET,
            oidc_label="Corp <id>",
            oidc_create_users="true",
            oidc_groups_claim="groups",
            oidc_groups="ci-admins=server-admin,devs=acme:viewer,leads=acme:admin",
        ) as running,
    ):
        people = People(running)
        people.add("root", server_admin=True)
        made = Organisation(id="org_acme", name="acme", created_at=SystemClock().now().wall)
        running.call(running.parts.accounts.add_organisation(made))
        yield running


@pytest.fixture
def page(server: RunningServer) -> Iterator[Page]:
    with Page(server) as browser:
        yield browser


def through(page: Page, subject: str, path: str = "/sign-in/oidc") -> httpx2.Response:
    """Sign in at the provider; return the answer of ours to who comes back."""
    away = page.get(path)
    assert away.status_code == 303, away.text
    back = sign_in_there(page, away.headers["location"], subject)
    return page.get(back.headers["location"])


def user(server: RunningServer, name: str):
    return server.call(server.parts.accounts.user_named(name))


def test_somebody_signs_in_with_the_provider_and_gets_what_its_groups_give(server, page) -> None:
    shown = page.get("/sign-in?next=/api/v1/jobs")
    assert "Sign in with Corp &lt;id&gt;" in shown.text
    done = through(page, "sub-ada", "/sign-in/oidc?next=/api/v1/jobs")
    assert done.status_code == 303, done.text
    assert done.headers["location"] == "/api/v1/jobs"
    assert page.get("/api/v1/jobs").status_code == 200
    made = user(server, "ada")
    assert (made.subject, made.issuer) == ("sub-ada", server.settings.oidc_issuer)
    assert made.server_admin
    assert made.roles == {"org_acme": Role.VIEWER}
    assert made.email == "ada@corp.example"
    assert made.password is None
    (session,) = page.get("/api/v1/sessions").json()
    assert session["method"] == "oidc"


def test_what_the_browser_is_sent_with_is_asked_for_by_nobody_else(server, page) -> None:
    first, second = (page.get("/sign-in/oidc").headers["location"] for _ in range(2))
    asked = [
        {k: v[0] for k, v in parse_qs(urlsplit(each).query).items()} for each in (first, second)
    ]
    assert asked[0]["code_challenge_method"] == "S256"
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name]) >= 43
        assert asked[0][name] != asked[1][name]


def test_a_name_is_made_to_fit_and_roles_are_set_anew_each_time(server, page) -> None:
    assert through(page, "sub-grace").status_code == 303
    made = user(server, "Grace-Hopper")
    assert made.roles == {"org_acme": Role.ADMIN}
    server.call(server.parts.accounts.set_role("org_acme", made.id, Role.VIEWER))
    page.cookies.clear()
    through(page, "sub-grace")
    assert user(server, "Grace-Hopper").roles == {"org_acme": Role.ADMIN}


def test_who_has_the_name_of_another_does_not_become_that_one(server, page) -> None:
    answer = through(page, "sub-same")
    assert answer.status_code == 403
    assert "sign in with your password and connect" in answer.text
    assert user(server, "root").subject is None
    assert page.get("/account").status_code == 303
    assert through(page, "sub-nameless").status_code == 403


def test_one_connects_ones_account_and_signs_in_with_it_from_then_on(server, page) -> None:
    People(server).add("old-linus", roles={"org_acme": Role.ADMIN})
    page.sign_in("old-linus")
    leaving = page.fill(page.get("/account"), "/account/connect")
    assert leaving.status_code == 200
    address = httpx2.URL(_href(leaving.text))
    back = sign_in_there(page, str(address), "sub-linus")
    done = page.get(back.headers["location"])
    assert done.status_code == 303, done.text
    assert user(server, "old-linus").subject == "sub-linus"
    assert "Connected with Corp" in page.get("/account").text
    with Page(server) as other:
        assert through(other, "sub-linus").status_code == 303
        assert "old-linus" in other.get("/account").text
        # The account of somebody is nobody else's.
        other.cookies.clear()
        People(server).add("rival")
        other.sign_in("rival")
        leaving = other.fill(other.get("/account"), "/account/connect")
        back = sign_in_there(other, _href(leaving.text), "sub-linus")
        assert other.get(back.headers["location"]).status_code == 403
    assert user(server, "rival").subject is None


def test_who_signed_out_meanwhile_connects_nothing(server, page) -> None:
    People(server).add("leaving")
    page.sign_in("leaving")
    shown = page.fill(page.get("/account"), "/account/connect")
    page.fill(page.get("/account"), "/account/sign-out")
    back = sign_in_there(page, _href(shown.text), "sub-jean")
    assert page.get(back.headers["location"]).status_code == 403
    assert user(server, "leaving").subject is None


def _href(text: str) -> str:
    return unescape(text.partition('class="button" href="')[2].partition('"')[0])


def test_an_answer_is_good_once_and_in_the_browser_that_asked(server, page) -> None:
    away = page.get("/sign-in/oidc").headers["location"]
    back = sign_in_there(page, away, "sub-ada").headers["location"]
    with Page(server) as victim:
        # Somebody else's answer does not sign a victim in as somebody else.
        assert victim.get(back).status_code == 403
        victim.get("/sign-in/oidc")
        assert victim.get(back).status_code == 403
        assert victim.get("/account").status_code == 303
    flow = page.cookies["ci_flow"]
    for wrong in (back.replace("iss=http", "iss=https"), back.replace("state=", "state=x")):
        assert wrong != back
        assert page.get(wrong).status_code == 403
    assert page.get(back).status_code == 303
    page.cookies.set("ci_flow", flow, domain="127.0.0.1", path="/")
    again = page.get(back)
    assert again.status_code == 403
    assert "refuses the code" in again.text
    assert page.get("/sign-in/oidc/answer?error=access_denied&state=x").status_code == 403


def test_a_code_is_worth_nothing_without_what_asked_for_it(server, page) -> None:
    away = page.get("/sign-in/oidc").headers["location"]
    back = sign_in_there(page, away, "sub-ada").headers["location"]
    code = parse_qs(urlsplit(back).query)["code"][0]
    # Injected into a flow of one's own: the verifier is another.
    flow = Flow.new("/account")
    page.cookies.set("ci_flow", flow.cookie(), domain="127.0.0.1", path="/")
    issuer = server.settings.oidc_issuer
    answer = page.get(
        "/sign-in/oidc/answer", params={"code": code, "state": flow.state, "iss": issuer}
    )
    assert answer.status_code == 403


def test_who_is_disabled_does_not_get_in_by_the_provider(server, page) -> None:
    assert through(page, "sub-jean").status_code == 303
    People(server).change(user(server, "jean"), disabled_at=SystemClock().now().wall)
    page.cookies.clear()
    answer = through(page, "sub-jean")
    assert answer.status_code == 403
    assert page.get("/account").status_code == 303


def test_the_secret_of_the_provider_is_never_shown(server) -> None:
    assert CLIENT_SECRET not in repr(server.parts.sign_in)
