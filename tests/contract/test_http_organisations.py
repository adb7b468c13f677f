"""Over HTTP: whose a job is, and who may see it, follow it, stop it and run it again."""

import json
import socket
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ci_common.access import Role, Scope
from tests.contract.http_harness import PROJECT, Reader, RunningServer, running_server
from tests.contract.people import People, key_id, now
from tests.waiting import LONGEST

PING = "0.05"
MANY_PINGS = 400
"""Lines; a stream that goes on has so many in ten seconds."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("organisations")
    with running_server(folder, ping_interval=PING) as running:
        people = People(running)
        for organisation in ("acme", "globex", "initech"):
            people.organisation(organisation)
        people.user("ada", {"acme": Role.MEMBER})
        people.user("both", {"acme": Role.MEMBER, "globex": Role.ADMIN, "initech": Role.VIEWER})
        people.user("eve", {"globex": Role.ADMIN})
        people.user("root", server_admin=True)
        people.user("nobody")
        yield running


@pytest.fixture(scope="module")
def people(server):
    return People(server)


@pytest.fixture(scope="module")
def keys(people):
    return {name: people.key(name) for name in ("ada", "both", "eve", "root", "nobody")}


def of(headers: dict[str, str], organisation: str) -> dict[str, str]:
    return headers | {"CI-Organisation": organisation}


def outcome(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def submit(server: RunningServer, headers: dict[str, str], **form: str) -> httpx2.Response:
    return server.post("/submit-async", headers=headers, data=form)


def submitted(server: RunningServer, headers: dict[str, str], **form: str) -> dict:
    answer = submit(server, headers, **form)
    assert answer.status_code == 200, answer.text
    return server.get(f"/jobs/{answer.json()['job_id']}", headers=headers).json()


class TestWhose:
    def test_a_job_is_the_only_organisations_in_which_one_may_submit(self, server, keys):
        assert submitted(server, keys["ada"])["organisation"] == "acme"

    def test_where_there_is_a_choice_it_has_to_be_made(self, server, keys):
        refused = submit(server, keys["both"])
        assert outcome(refused) == (400, "invalid_request")
        assert "(acme, globex)" in refused.json()["detail"], "not where one is a viewer"
        assert "--org" in refused.json()["hint"]
        chosen = submitted(server, of(keys["both"], "Globex"))
        assert chosen["organisation"] == "globex"

    def test_a_server_admin_has_all_to_choose_from(self, server, keys):
        refused = submit(server, keys["root"])
        assert "(acme, globex, initech)" in refused.json()["detail"]
        assert submitted(server, of(keys["root"], "initech"))["organisation"] == "initech"

    def test_a_key_for_one_organisation_is_for_that_one(self, server, people):
        key = people.key("both", organisation="globex")
        assert submitted(server, key)["organisation"] == "globex"
        assert outcome(submit(server, of(key, "acme"))) == (404, "organisation_not_found")
        bound = people.key("root", organisation="acme")
        assert submitted(server, bound)["organisation"] == "acme"
        assert outcome(server.get("/metrics", headers=bound)) == (403, "permission_denied")

    def test_what_one_may_not_is_told_where_one_sees_it(self, server, keys):
        assert outcome(submit(server, of(keys["both"], "initech"))) == (403, "permission_denied")
        foreign = submit(server, of(keys["ada"], "globex"))
        absent = submit(server, of(keys["ada"], "nosuch"))
        assert outcome(foreign) == outcome(absent) == (404, "organisation_not_found")
        told = [each.json()["detail"] for each in (foreign, absent)]
        assert told[0].replace("globex", "…") == told[1].replace("nosuch", "…")

    def test_who_is_in_none_may_not(self, server, keys):
        assert outcome(submit(server, keys["nobody"])) == (403, "permission_denied")

    def test_the_submitter_is_who_submits_whatever_the_form_says(self, server, keys):
        assert submitted(server, keys["ada"], submitter="the boss")["submitter"] == "ada"

    def test_an_idempotency_key_is_good_within_an_organisation(self, server, keys):
        once = {"Idempotency-Key": "the-same"}
        first, again, other = (
            submit(server, headers | once).json()["job_id"]
            for headers in (keys["ada"], keys["ada"], keys["eve"])
        )
        assert first == again != other

    def test_a_retry_stays_there_and_is_by_who_asks_for_it(self, server, keys):
        job = server.claim(submitted(server, keys["ada"])["job_id"])
        server.finish(job)
        path = f"/api/v1/jobs/{job.id}/retry"
        asked = {"submitter": "the boss"}
        again = server.post_json(path, headers=of(keys["both"], "globex"), json=asked)
        assert again.status_code == 201, again.text
        shown = again.json()
        assert (shown["organisation"], shown["submitter"]) == ("acme", "both")
        hidden = server.post_json(path, headers=keys["eve"])
        assert outcome(hidden) == (404, "job_not_found")

    def test_lists_are_of_what_one_may_see_or_of_the_one_asked_for(self, server, keys):
        submitted(server, keys["ada"])
        submitted(server, keys["eve"])

        def listed(who: str, query: str = "") -> set[str]:
            answer = server.get(f"/jobs{query}", headers=keys[who])
            assert answer.status_code == 200, answer.text
            return {job["organisation"] for job in answer.json()}

        assert listed("ada") == {"acme"}
        assert listed("both") >= {"acme", "globex"}
        assert listed("both", "?organisation=GLOBEX") == {"globex"}
        assert listed("root", "?organisation=acme") == {"acme"}
        for name in ("globex", "nosuch"):
            hidden = server.get(f"/jobs?organisation={name}", headers=keys["ada"])
            assert outcome(hidden) == (404, "organisation_not_found")

    def test_a_key_that_can_only_submit_follows_and_stops_what_it_submits(self, server, people):
        key = people.key("ada", scopes=[Scope.SUBMIT])
        with reading(server, "POST", "/submit-stream", key) as events:
            job_id = next(events)[1]["job_id"]
            assert next(events)[1]["status"] == "queued"
            assert outcome(server.get(f"/jobs/{job_id}", headers=key)) == (403, "permission_denied")
            assert server.delete(f"/api/v1/jobs/{job_id}", headers=key).status_code == 200


@contextmanager
def reading(server: RunningServer, method: str, path: str, headers: dict[str, str]):
    files = {"file": ("p.zip", PROJECT, "application/zip")} if method == "POST" else None
    url = server.url + path
    with httpx2.stream(method, url, headers=headers, files=files, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        yield Reader(answer)


def revoke(server, people, name, header):
    change = server.parts.accounts.change_key(
        key_id(header["Authorization"]), lambda key: replace(key, revoked_at=now())
    )
    server.call(change)


def disable(server, people, name, header):
    change = server.parts.accounts.change_user(
        f"usr_{name}", lambda user: replace(user, disabled_at=now())
    )
    server.call(change)


def dismiss(server, people, name, header):
    server.call(server.parts.accounts.set_role("org_acme", f"usr_{name}", None))


def _read_to_the_end(ws) -> None:
    while True:
        ws.recv(timeout=LONGEST)


class TestLongAnswers:
    """They end soon after the permission does."""

    @pytest.mark.parametrize("end", [revoke, disable, dismiss])
    @pytest.mark.parametrize("path", ["/jobs/{job}/stream", "/api/v1/events"])
    def test_a_stream_ends(self, server, people, keys, end, path):
        job_id = submitted(server, keys["ada"])["job_id"]
        name = f"t{hash((end.__name__, path)) & 0xFFFFFF}"
        people.user(name, {"acme": Role.MEMBER, "initech": Role.VIEWER})
        key = people.key(name)
        with reading(server, "GET", path.format(job=job_id), key) as events:
            next(events)
            end(server, people, name, key)
            rest = list(islice(events.lines, MANY_PINGS))
        assert [line for line in rest if line][-1] == ": you may not read this any more"

    @pytest.mark.parametrize("end", [revoke, disable, dismiss])
    def test_a_socket_is_closed(self, server, people, end):
        name = f"s-{end.__name__}"
        people.user(name, {"acme": Role.MEMBER, "initech": Role.VIEWER})
        key = people.key(name)
        address = server.url.replace("http", "ws", 1) + "/api/v1/events"
        with connect(address, compression=None, additional_headers=key) as ws:
            ws.send(json.dumps({"subscribe": "jobs"}))
            ws.recv(timeout=LONGEST)
            end(server, people, name, key)
            with pytest.raises(ConnectionClosed) as closed:
                _read_to_the_end(ws)
        assert closed.value.rcvd.code == 1008
        assert "sign in again" in closed.value.rcvd.reason

    def test_a_stream_of_who_still_may_goes_on(self, server, keys):
        job = server.claim(submitted(server, keys["ada"])["job_id"])
        with reading(server, "GET", f"/jobs/{job.id}/stream", keys["ada"]) as events:
            next(events)
            looks = (line for line in events.lines if line.startswith(": ping"))
            assert [next(looks) for _ in range(3)] == [": ping"] * 3
            server.finish(job)
            assert next(events)[1]["type"] == "complete"


def test_a_submission_is_refused_before_its_body_is_read(server, keys):
    """A gigabyte is announced, nothing of it is sent, and the answer comes."""
    host, port = server.url.removeprefix("http://").split(":")
    for key, status in (("", b"401"), (keys["nobody"]["Authorization"], b"403")):
        head = (
            f"POST /submit HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n"
            + (f"Authorization: {key}\r\n" if key else "")
            + "\r\n"
        )
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head.encode())
            assert connection.recv(12).split()[1] == status


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("alone")) as running:
        yield running


class TestWithoutAccounts:
    def test_there_are_no_organisations_to_name(self, alone):
        named = submit(alone, {"CI-Organisation": "acme"})
        assert outcome(named) == (400, "invalid_request")
        assert outcome(alone.get("/jobs?organisation=acme")) == (400, "invalid_request")
        job = submitted(alone, {"CI-Organisation": ""}, submitter="me")
        assert (job["organisation"], job["submitter"]) == ("", "me")
        assert alone.get("/jobs?organisation=").json()[0]["organisation"] == ""

    def test_a_key_is_not_minded(self, alone):
        assert alone.get("/jobs", headers={"Authorization": "Bearer sci_any"}).status_code == 200

    @pytest.mark.parametrize("path", ["/jobs", "/metrics", "/api/v1/events/history"])
    def test_a_page_whose_name_leads_here_reads_nothing(self, alone, path):
        rebound = alone.get(path, headers={"Host": "evil.example"})
        assert outcome(rebound) == (403, "permission_denied")
        assert "CI_ACCOUNTS=on" in rebound.json()["hint"]
        for own in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
            assert alone.get(path, headers={"Host": own}).status_code == 200

    def test_from_the_first_user_on_it_matters_who_asks(self, tmp_path):
        with running_server(tmp_path) as alone:
            job_id = alone.submit()
            People(alone).user("root", server_admin=True)
            assert outcome(alone.get(f"/jobs/{job_id}")) == (401, "not_signed_in")
            key = People(alone).key("root")
            assert alone.get(f"/jobs/{job_id}", headers=key).json()["organisation"] == ""
            nowhere = submit(alone, key)
            assert outcome(nowhere) == (400, "invalid_request")
            assert "ci admin org create" in nowhere.json()["hint"]

    def test_with_the_setting_it_matters_before_there_is_a_user(self, tmp_path):
        with running_server(tmp_path, accounts="on") as locked:
            assert outcome(locked.get("/jobs")) == (401, "not_signed_in")
            assert locked.get("/ready").json()["queued"] is None

    def test_whoever_lets_anyone_run_code_is_asked_nothing(self, tmp_path):
        with running_server(tmp_path, let_anyone_run_code="true") as reckless:
            assert reckless.get("/jobs", headers={"Host": "ci.example"}).status_code == 200
