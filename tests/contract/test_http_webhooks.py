"""Webhooks over HTTP. Nothing is delivered here: the test plays the deliverer."""

import httpx2
import pytest

from ci_common.signals import WEBHOOKS
from ci_common.webhooks import Attempt, DeliveryState, Next, new_secret
from tests import plain_http
from tests.contract.http_harness import running_server

URL = "https://hooks.example/a"
API = "/api/v1/webhooks"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def server(shared):
    """The server, without webhooks."""
    for each in shared.get(API).json():
        assert shared.delete(f"{API}/{each['id']}").status_code == 204
    return shared


def post(server, path: str = API, document=None) -> httpx2.Response:
    return plain_http.post(server.url + path, json=document, timeout=30)


def patch(server, path: str, document) -> httpx2.Response:
    return plain_http.patch(server.url + path, json=document, timeout=30)


def added(server, **fields) -> dict:
    answer = post(server, document={"url": URL} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem(answer: httpx2.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == code
    return answer.json()["detail"]


def settle(server, delivery_id: str, error: str | None = "it answered 500", **then) -> None:
    store = server.parts.repository.webhooks
    delivery = server.call(store.delivery(delivery_id))
    attempt = Attempt(
        at=delivery.created_at, seconds=0.25, status=500 if error else 204, error=error,
        response="oops",
    )  # fmt: skip
    state = DeliveryState.DEAD if error else DeliveryState.DELIVERED
    done = store.record(
        delivery_id, attempts=delivery.attempts, attempt=attempt, then=Next(state=state, **then)
    )
    assert server.call(done)


class TestWebhooks:
    def test_the_secret_is_shown_once(self, server):
        webhook = added(server, description="chat", projects=["p", "p"], reasons=["failed"])
        secret = webhook.pop("secret")
        assert secret.startswith("whsec_")
        assert webhook == {
            "id": webhook["id"],
            "organisation": "",
            "url": URL,
            "description": "chat",
            "types": ["job.ended"],
            "projects": ["p"],
            "reasons": ["failed"],
            "enabled": True,
            "disabled_reason": None,
            "failing_since": None,
            "created_at": webhook["created_at"],
            "old_secret_until": None,
        }
        one = server.get(f"{API}/{webhook['id']}")
        assert one.json() == webhook
        assert server.get(API).json() == [webhook]
        assert secret not in one.text + server.get(API).text

    def test_a_secret_of_ones_own(self, server):
        secret = new_secret()
        assert added(server, secret=secret)["secret"] == secret

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"url": "http://hooks.example/"}, "url: only https"),
            ({"url": "https://127.0.0.1/"}, "url: 127.0.0.1 is not a public"),
            ({"url": "https://169.254.169.254/latest"}, "CI_WEBHOOK_ALLOW"),
            ({"url": "https://hooks.example:22/"}, "url: port 22"),
            ({"url": ""}, "url"),
            ({"secret": "short"}, "secret: a secret is"),
            ({"types": ["job.born"]}, "types"),
            ({"types": []}, "types"),
            ({"reasons": ["tired"]}, "reasons"),
            ({"projects": ["x" * 300]}, "projects"),
            ({"typo": 1}, "typo"),
            ({"url": None}, "url"),
        ],
    )
    def test_what_is_wrong_is_named(self, server, fields, said):
        detail = problem(post(server, document={"url": URL} | fields), 400, "invalid_request")
        assert said in detail
        assert server.get(API).json() == []

    def test_a_body_that_is_none_is_refused(self, server):
        answer = plain_http.post(server.url + API, content=b"{", timeout=30)
        problem(answer, 400, "invalid_request")

    def test_it_can_be_changed_in_part(self, server):
        webhook = added(server, projects=["p"])
        path = f"{API}/{webhook['id']}"
        with server.parts.signals.subscribe(WEBHOOKS) as told:
            changed = patch(server, path, {"enabled": False, "projects": []})
            assert WEBHOOKS in server.call(told.wait(30))
        assert (changed.status_code, changed.json()["enabled"]) == (200, False)
        assert changed.json()["projects"] == []
        assert changed.json()["url"] == URL
        assert server.get(path).json() == changed.json()
        problem(patch(server, path, {"url": "https://[::1]/"}), 400, "invalid_request")
        problem(patch(server, path, {"secret": "x"}), 400, "invalid_request")

    def test_it_can_be_removed(self, server):
        path = f"{API}/{added(server)['id']}"
        assert server.delete(path).status_code == 204
        problem(server.get(path), 404, "webhook_not_found")
        problem(server.delete(path), 404, "webhook_not_found")

    def test_the_secret_can_be_replaced(self, server):
        webhook = added(server)
        path = f"{API}/{webhook['id']}/rotate"
        rotated = post(server, path).json()
        assert rotated["secret"] != webhook["secret"]
        assert rotated["old_secret_until"] > webhook["created_at"]
        chosen = new_secret()
        again = post(server, path, {"secret": chosen, "overlap": 60}).json()
        assert again["secret"] == chosen
        problem(post(server, path, {"overlap": -1}), 400, "invalid_request")
        problem(post(server, f"{API}/wh_9/rotate"), 404, "webhook_not_found")

    def test_there_are_so_many_and_no_more(self, server, monkeypatch):
        monkeypatch.setattr("ci_server.webhooks.MOST_WEBHOOKS", 1)
        added(server)
        detail = problem(post(server, document={"url": URL}), 400, "invalid_request")
        assert "1 webhooks already" in detail

    def test_they_are_managed_under_the_prefix_only(self, server):
        assert server.get("/webhooks").status_code == 404

    def test_pages_of_other_sites_may_not_add_one(self, server):
        answer = plain_http.post(
            server.url + API, json={"url": URL}, headers={"Origin": "https://elsewhere.example"}
        )
        assert answer.status_code == 403


class TestDeliveries:
    def ping(self, server, webhook: dict) -> dict:
        answer = post(server, f"{API}/{webhook['id']}/test")
        assert answer.status_code == 202, answer.text
        return answer.json()

    def test_a_ping(self, server):
        webhook = added(server)
        with server.parts.signals.subscribe(WEBHOOKS) as told:
            delivery = self.ping(server, webhook)
            assert WEBHOOKS in server.call(told.wait(30))
        assert (delivery["type"], delivery["state"], delivery["attempts"]) == ("ping", "pending", 0)
        whole = server.get(f"{API}/deliveries/{delivery['id']}").json()
        assert whole.pop("body").startswith('{"type":"ping"')
        assert whole | {"body": None} == delivery

    def test_what_became_of_it(self, server):
        webhook = added(server)
        delivery = self.ping(server, webhook)
        settle(server, delivery["id"])
        (found,) = server.get(f"{API}/{webhook['id']}/deliveries").json()
        assert (found["state"], found["attempts"], found["next_try"]) == ("dead", 1, None)
        assert (found["last_status"], found["last_error"]) == (500, "it answered 500")
        assert (found["last_response"], found["last_seconds"]) == ("oops", 0.25)
        assert server.get(f"{API}/{webhook['id']}").json()["failing_since"] is not None

    def test_the_dead_of_all_webhooks_and_their_way_back(self, server):
        first, second = added(server), added(server)
        dead = [self.ping(server, each)["id"] for each in (first, second)]
        arrived = self.ping(server, first)["id"]
        for each in dead:
            settle(server, each)
        settle(server, arrived, error=None)
        assert [each["id"] for each in server.get(f"{API}/dead").json()] == dead[::-1]
        with server.parts.signals.subscribe(WEBHOOKS) as told:
            again = post(server, f"{API}/deliveries/{dead[0]}/redeliver")
            assert WEBHOOKS in server.call(told.wait(30))
        assert (again.status_code, again.json()["state"]) == (202, "pending")
        assert [each["id"] for each in server.get(f"{API}/dead").json()] == dead[1:]
        problem(post(server, f"{API}/deliveries/msg_9/redeliver"), 404, "delivery_not_found")
        problem(server.get(f"{API}/deliveries/msg_9"), 404, "delivery_not_found")

    def test_pages_lead_to_all(self, server):
        webhook = added(server)
        made = [self.ping(server, webhook)["id"] for _ in range(5)]
        for each in made[:3]:
            settle(server, each)
        for path, expected in (
            (f"{API}/{webhook['id']}/deliveries?limit=2", made),
            (f"{API}/{webhook['id']}/deliveries?limit=2&state=dead", made[:3]),
            (f"{API}/dead?limit=2", made[:3]),
        ):
            seen, following = [], path
            while following:
                answer = server.get(following)
                seen += [each["id"] for each in answer.json()]
                link = answer.links.get("next")
                following = link and link["url"]
            assert seen == expected[::-1]

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=501", "cursor=0", "cursor=x", "state=lost", f"cursor={2**70}"]
    )
    def test_a_page_there_cannot_be(self, server, query):
        webhook = added(server)
        path = f"{API}/{webhook['id']}/deliveries?{query}"
        problem(server.get(path), 400, "invalid_request")

    def test_nothing_is_asked_of_one_that_is_disabled(self, server):
        webhook = added(server)
        delivery = self.ping(server, webhook)
        settle(server, delivery["id"], disable="it answered 410 Gone")
        shown = server.get(f"{API}/{webhook['id']}").json()
        assert (shown["enabled"], shown["disabled_reason"]) == (False, "it answered 410 Gone")
        for path in (f"{API}/{webhook['id']}/test", f"{API}/deliveries/{delivery['id']}/redeliver"):
            answer = post(server, path)
            assert "410 Gone" in problem(answer, 409, "invalid_transition")
            assert answer.json()["hint"].endswith(f"ci webhooks enable {webhook['id']}")
        patch(server, f"{API}/{webhook['id']}", {"enabled": True})
        self.ping(server, webhook)


def test_the_description_has_them_all(shared):
    schema = shared.get("/schema/openapi.json").json()
    paths = {path for path in schema["paths"] if path.startswith(API)}
    assert len(paths) == 8
    operations = [operation for path in paths for operation in schema["paths"][path].values()]
    assert len(operations) == 11
    assert len({each["operationId"] for each in operations}) == 11
    assert all(each["summary"] and each["tags"] == ["webhooks"] for each in operations)
