"""Secrets over HTTP: in they go, and nothing of them comes out."""

import io
import zipfile

import httpx2
import pytest

from ci_common.job_secrets import LARGEST_VALUE
from tests.contract.http_harness import running_server

API = "/api/v1/secrets"
VALUE = "open-sesame-or-else"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def server(shared):
    """The server, without secrets."""
    for each in shared.get(API).json():
        place = f"{each['name']}?project={each['project']}"
        assert shared.delete(f"{API}/{place}").status_code == 204
    return shared


def put(server, name: str, value: object = VALUE, **query: str) -> httpx2.Response:
    url = f"{server.url}{API}/{name}"
    return httpx2.put(url, json={"value": value}, params=query, timeout=30)


def problem(answer: httpx2.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code
    return answer.text


def submit(server, *names: str, project: str = "", config: str = "") -> httpx2.Response:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("ci.toml", f"command = 'true'\ninstall = []\n{config}")
    form = [("file", ("p.zip", content.getvalue()))]
    form += [("secret", (None, name)) for name in names]
    form += [("project", (None, project))] if project else []
    return httpx2.post(f"{server.url}/submit-async", files=form, timeout=30)


def test_a_secret_is_kept_listed_replaced_and_removed(server):
    first = put(server, "TOKEN")
    assert first.status_code == 201
    assert put(server, "TOKEN", "another value").status_code == 200
    assert put(server, "TOKEN", project="shop").status_code == 201
    listed = server.get(API).json()
    assert [(each["name"], each["project"]) for each in listed] == [
        ("TOKEN", ""),
        ("TOKEN", "shop"),
    ]
    assert set(listed[0]) == {"name", "project", "organisation", "created_at", "updated_at"}
    assert [each["project"] for each in server.get(f"{API}?project=shop").json()] == ["shop"]
    assert [each["project"] for each in server.get(f"{API}?project=").json()] == [""]
    assert server.delete(f"{API}/TOKEN?project=shop").status_code == 204
    problem(server.delete(f"{API}/TOKEN?project=shop"), 404, "secret_not_found")
    assert len(server.get(API).json()) == 1


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TOKEN", "  short \n", "fewer than 8 bytes"),
        ("TOKEN", "a NUL in \0 the value", "NUL"),
        ("TOKEN", "x" * (LARGEST_VALUE + 1), "value"),
        ("TOKEN", "é" * LARGEST_VALUE, "bytes; 65536 are the most"),
        ("TOKEN", 123456789, "str"),
        ("TOKEN", None, "str"),
        ("1TOKEN", VALUE, "the name"),
        ("PPID", VALUE, "PPID"),
        ("T" * 101, VALUE, "name"),
    ],
)
def test_what_cannot_be_kept_is_refused_without_a_word_of_it(server, name, value, says):
    text = problem(put(server, name, value), 400, "invalid_request")
    assert says in text
    assert str(value)[:200] not in text
    assert server.get(API).json() == []


def test_a_body_that_is_something_else_does_not_come_back(server):
    for body in (
        b'{"value": "open-sesame-or-else"',
        b'{"valeu": "open-sesame-or-else"}',
        b'"open-s"',
    ):
        headers = {"content-type": "application/json"}
        url = f"{server.url}{API}/TOKEN"
        answer = httpx2.put(url, content=body, headers=headers, timeout=30)
        assert "open-s" not in problem(answer, 400, "invalid_request")


def test_only_what_is_there_can_be_asked_for_and_only_names_are_kept(server):
    put(server, "TOKEN")
    put(server, "KEY", project="shop")
    answer = submit(server, "KEY", "OTHER", project="other", config="secrets = ['TOKEN']")
    text = problem(answer, 400, "invalid_option")
    assert "KEY, OTHER for the project 'other'" in text
    assert server.get("/jobs").json() == []
    problem(submit(server, "no name"), 400, "invalid_request")
    problem(submit(server, config="secrets = 'TOKEN'"), 400, "invalid_recipe")
    accepted = submit(server, "KEY", "KEY", project="shop", config="secrets = ['TOKEN']")
    assert accepted.status_code == 200, accepted.text
    repository = server.parts.repository
    job = server.call(repository.get(accepted.json()["job_id"]))
    assert job.recipe.secrets == ("TOKEN", "KEY")
    # The same key with other secrets is another submission.
    assert VALUE not in server.get(f"/jobs/{job.id}").text


def test_what_is_done_to_secrets_is_in_the_audit_log(server):
    put(server, "TOKEN", project="shop")
    server.delete(f"{API}/TOKEN?project=shop")
    told = [(each["action"], each["subject"]) for each in server.get("/api/v1/audit").json()[:2]]
    subject = "secret TOKEN of the project shop"
    assert told == [("secret.remove", subject), ("secret.set", subject)]
    assert VALUE not in server.get("/api/v1/audit").text


def test_organisations_are_for_servers_with_accounts(server):
    url = f"{server.url}{API}/TOKEN"
    headers = {"CI-Organisation": "acme"}
    answer = httpx2.put(url, json={"value": VALUE}, headers=headers, timeout=30)
    problem(answer, 400, "invalid_request")
    problem(server.get(f"{API}?organisation=acme"), 400, "invalid_request")
