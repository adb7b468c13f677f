"""The pages where people sign in, as a browser without scripts sees and sends them."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx2
import pytest

from ci_server.sign_in.html import STYLE
from ci_server.sign_in.sessions import form_token
from tests.contract.http_harness import RunningServer, running_server
from tests.contract.sign_in_people import OTHER, PASSWORD, People


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("pages"), accounts="on") as running:
        yield running


@pytest.fixture(scope="module")
def people(server: RunningServer) -> People:
    made = People(server)
    made.add("root", server_admin=True)
    return made


class Form(HTMLParser):
    """The forms of a page: where each goes, and what it is filled with."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        found = dict(attributes)
        if tag == "form":
            assert found["method"] == "post"
            self.forms.append((found["action"], {}))
        elif tag == "input" and self.forms:
            self.forms[-1][1][found["name"]] = found.get("value") or ""


class Page(httpx2.Client):
    """A browser: keeps cookies, sends Origin and Sec-Fetch-Site with forms."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(base_url=server.url, timeout=30)
        self.own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}

    def fill(self, page: httpx2.Response, action: str, **typed: str) -> httpx2.Response:
        return self.post(action, data=self.form(page, action) | typed, headers=self.own)

    @staticmethod
    def form(page: httpx2.Response, action: str) -> dict[str, str]:
        return next(fields for where, fields in Form(page.text).forms if where == action)

    def sign_in(self, name: str, back_to: str = "", password: str = PASSWORD) -> httpx2.Response:
        page = self.get("/sign-in", params={"next": back_to})
        return self.fill(page, "/sign-in", name=name, password=password)


@pytest.fixture
def page(server: RunningServer) -> Iterator[Page]:
    with Page(server) as browser:
        yield browser


def test_somebody_signs_in_and_out_on_pages(people, page) -> None:
    people.add("ada")
    away = page.get("/account")
    assert away.status_code == 303
    assert away.headers["location"] == "/sign-in?next=%2Faccount"
    done = page.fill(page.get(away.headers["location"]), "/sign-in", name="ada", password=PASSWORD)
    assert done.status_code == 303, done.text
    assert done.headers["location"] == "/account"
    account = page.get("/account")
    assert account.status_code == 200
    assert "ada" in account.text
    assert "(here)" in account.text
    out = page.fill(account, "/account/sign-out")
    assert out.status_code == 303
    assert page.get("/account").status_code == 303


def test_what_is_wrong_is_said_on_the_page_and_typed_again(people, page) -> None:
    people.add("grace")
    wrong = page.sign_in("grace", password="wrong")
    assert wrong.status_code == 401
    assert "The name or the password is wrong." in wrong.text
    assert 'role="alert"' in wrong.text
    assert wrong.headers["content-type"] == "text/html; charset=utf-8"
    # The name is there still.
    assert page.fill(wrong, "/sign-in", password=PASSWORD).status_code == 303


def test_what_was_typed_as_a_name_is_text_on_the_page(people, page) -> None:
    typed = "\"><b>'"
    wrong = page.sign_in(typed, password="wrong")
    assert "<b>" not in wrong.text
    assert page.form(wrong, "/sign-in")["name"] == typed


def test_password_managers_can_tell_whose_password_it_is(people, page) -> None:
    people.add("edith")
    page.sign_in("edith")
    assert page.form(page.get("/account"), "/account/password")["name"] == "edith"


def test_nobody_is_sent_elsewhere(people, page) -> None:
    people.add("linus")
    for elsewhere in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "evil",
        "",
    ):
        answer = page.sign_in("linus", elsewhere)
        assert answer.headers["location"] == "/account", elsewhere


def test_one_goes_on_where_one_wanted_to(people, page) -> None:
    people.add("margaret")
    answer = page.sign_in("margaret", "/api/v1/jobs?limit=3&x=é")
    assert answer.headers["location"].startswith("/api/v1/jobs?limit=3")


def test_a_form_is_taken_from_our_own_page_only(people, page, server) -> None:
    people.add("jean")
    shown = page.get("/sign-in")
    typed = page.form(shown, "/sign-in") | {"name": "jean", "password": PASSWORD}
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert page.post("/sign-in", data=typed, headers=foreign).status_code == 403
    assert page.post("/sign-in", data=typed | {"csrf_token": ""}).status_code == 403
    assert page.post("/sign-in", data={**typed, "csrf_token": "x" * 43}).status_code == 403
    with Page(server) as other:
        # The token of a visit is good in the browser only that it was shown in.
        assert other.post("/sign-in", data=typed, headers=other.own).status_code == 403
        # Nor does one do for who has no cookie at all.
        nothing = typed | {"csrf_token": form_token("")}
        assert other.post("/sign-in", data=nothing, headers=other.own).status_code == 403


@pytest.mark.parametrize(
    "action", ["/account/sign-out", "/account/sessions", "/account/password", "/account/connect"]
)
def test_every_form_of_an_account_needs_its_token(people, page, action) -> None:
    name = "k-" + action.rpartition("/")[2]
    people.add(name)
    page.sign_in(name)
    typed = {"session": "others", "password": PASSWORD, "new_password": OTHER, "again": OTHER}
    for token in ({}, {"csrf_token": ""}, {"csrf_token": "x" * 43}):
        answer = page.post(action, data=typed | token, headers=page.own)
        assert answer.status_code == 403, (token, answer.text)
    shown = page.form(page.get("/account"), "/account/sign-out")["csrf_token"]
    foreign = {"Origin": "https://evil.example"}
    answer = page.post(action, data=typed | {"csrf_token": shown}, headers=foreign)
    assert answer.status_code == 403
    assert page.get("/account").status_code == 200


def test_one_sees_and_ends_other_sessions(people, page, server) -> None:
    people.add("dorothy")
    page.sign_in("dorothy")
    with Page(server) as phone:
        phone.headers["User-Agent"] = '<script>alert("phone")</script>'
        phone.sign_in("dorothy")
        account = page.get("/account")
        assert "<script" not in account.text
        assert "&lt;script&gt;alert(&quot;phone&quot;)" in account.text
        theirs = re.search(r'name="session" value="(ses_[0-9a-f]+)"', account.text)[1]
        page.fill(account, "/account/sessions", session=theirs)
        assert phone.get("/account").status_code == 303
        assert page.get("/account").status_code == 200


def test_one_changes_ones_password(people, page) -> None:
    people.add("hedy")
    page.sign_in("hedy")
    account = page.get("/account")
    typed = {"password": PASSWORD, "new_password": OTHER, "again": OTHER}
    unlike = page.fill(account, "/account/password", **typed | {"again": PASSWORD})
    assert unlike.status_code == 400
    assert "not typed twice alike" in unlike.text
    wrong = page.fill(account, "/account/password", **typed | {"password": "nope"})
    assert wrong.status_code == 403
    assert page.fill(account, "/account/password", **typed).status_code == 303
    assert page.get("/account").status_code == 200
    page.cookies.clear()
    assert page.sign_in("hedy", password=OTHER).status_code == 303


def test_a_link_leads_to_a_form_and_is_not_used_up_by_looking(people, page) -> None:
    user = people.add("mary", None)
    link = people.link(user)
    for _ in range(2):
        shown = page.get("/set-password", params={"link": link})
        assert shown.status_code == 200
        assert "mary" in shown.text
    short = page.fill(shown, "/set-password", new_password="short", again="short")
    assert short.status_code == 400
    assert "shorter than 12" in short.text
    done = page.fill(short, "/set-password", new_password=OTHER, again=OTHER)
    assert done.status_code == 303, done.text
    assert "mary" in page.get("/account").text
    over = page.get("/set-password", params={"link": link})
    assert over.status_code == 410
    assert "new one" in over.text


def test_pages_run_nothing_and_load_nothing_from_elsewhere(people, page, server) -> None:
    people.add("lise")
    link = people.link(people.add("tove"))
    pages = [
        page.get("/sign-in"),
        page.get("/set-password", params={"link": link}),
        page.get("/set-password", params={"link": "made up"}),
    ]
    page.sign_in("lise")
    pages.append(page.get("/account"))
    for each in pages:
        policy = dict(
            part.strip().split(" ", 1)
            for part in each.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert each.headers["cache-control"] == "no-store"
        # "no-referrer" would have browsers send `Origin: null` with our own forms.
        assert each.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<script|<style|\bstyle=|\bon[a-z]+=", each.text)
        assert not re.search(r'(?:src|href|action)="(?!/)', each.text)
        assert 'name="viewport"' in each.text
    style = page.get("/sign-in.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "url(" not in style.text


def test_the_colours_can_be_read() -> None:
    themes = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    assert len(themes) == 2
    for part in themes:
        theme = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part))
        for ink in ("ink", "wrong", "right", "deed"):
            assert _contrast(theme[ink], theme["paper"]) >= 4.5
        assert _contrast(theme["on-deed"], theme["deed"]) >= 4.5
        assert _contrast(theme["line"], theme["paper"]) >= 3


def _contrast(first: str, second: str) -> float:
    high, low = sorted(map(_luminance, (first, second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_without_accounts_nobody_has_to_sign_in(tmp_path) -> None:
    with running_server(tmp_path) as server, Page(server) as page:
        assert "no accounts" in page.get("/sign-in").text
        assert page.get("/account").headers["location"] == "/sign-in"
        assert page.post("/account/sign-out", data={}).status_code in {303, 401}
