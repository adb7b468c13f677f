"""The first admin of a new server, from the line in its log to a session in a browser."""

import json
import re
from html.parser import HTMLParser

import httpx2

from tests.waiting import eventually

PASSWORD = "velvet otter umbrella"
_LINK = re.compile(r"make the first admin at (http://\S+)")


class _Fields(HTMLParser):
    """What the form of a page is filled with."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag, attributes) -> None:
        found = dict(attributes)
        if tag == "input":
            self.values[found["name"]] = found.get("value") or ""


def links(server) -> list[str]:
    return _LINK.findall(server.log.read_text())


def fill(browser: httpx2.Client, url: str, **typed: str) -> httpx2.Response:
    page = browser.get(url)
    assert page.status_code == 200, page.text
    return browser.post(url.partition("?")[0], data=_Fields(page.text).values | typed)


def test_the_first_start_leads_to_an_admin_who_signs_in(servers, namespace):
    server = servers(namespace, workers=2, executor="local", accounts="on", log_level="error")
    server.start()
    (unused,) = eventually(lambda: links(server), what="a link is in the log")
    assert unused.startswith(f"http://127.0.0.1:{server.port}/set-password?")
    assert server.get("/jobs").status_code == 401
    server.terminate()
    server.start()
    _, link = eventually(lambda: links(server)[1:] and links(server), what="there is another")
    with httpx2.Client(timeout=60) as browser:
        assert browser.get(unused).status_code == 410
        typed = {"name": "root", "new_password": PASSWORD, "again": PASSWORD}
        done = fill(browser, link, **typed)
        assert done.status_code == 303, done.text
        assert browser.get(link).status_code == 410
        assert browser.get(f"{server.url}/api/v1/users").status_code == 200
    with httpx2.Client(timeout=60) as jar:
        assert jar.get(f"{server.url}/jobs").status_code == 401
        done = fill(jar, f"{server.url}/sign-in", name="root", password=PASSWORD)
        assert done.status_code == 303, done.text
        # Both workers know the session, and take its tokens.
        assert {jar.get(f"{server.url}/jobs").status_code for _ in range(8)} == {200}
        csrf = {"CI-CSRF-Token": jar.get(f"{server.url}/api/v1/session").json()["csrf_token"]}
        answer = jar.post(f"{server.url}/api/v1/token", json={}, headers=csrf)
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        asked = [httpx2.get(f"{server.url}/jobs", headers=bearer, timeout=60) for _ in range(8)]
        assert {each.status_code for each in asked} == {200}
    server.terminate()
    server.start()
    assert len(links(server)) == 2
    made = server.ci("admin", "user", "password", "root", "--link", "--json")
    assert made.returncode == 0, made.stderr
    url = json.loads(made.stdout)["link"]
    assert server.ci("admin", "user", "password", "nobody", "--link").returncode == 2
    with httpx2.Client(timeout=60) as browser:
        again = f"{server.url}/set-password?" + url.partition("?")[2]
        typed = {"new_password": PASSWORD + "!", "again": PASSWORD + "!"}
        assert fill(browser, again, **typed).status_code == 303
