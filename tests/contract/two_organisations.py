"""One server with two organisations that have the same of everything, and know nothing of it."""

from dataclasses import dataclass

import httpx2

from ci_common.access import Role
from ci_common.jobs import EndReason, Result
from ci_common.results import Case, Outcome, Results
from ci_common.snapshots import Snapshot, owned_key
from ci_common.webhooks import Attempt, DeliveryState, Next
from tests.contract.http_harness import PROJECT, RunningServer
from tests.contract.people import People
from tests.fakes.executor import FakeEngine, FakeExecutor
from tests.fakes.snapshots import EPOCH

API = "/api/v1"
FORM = {"project": "same", "label": "branch=main", "group": "g"}
NODE = "t.py::shaky"
KEY = {"Idempotency-Key": "same-for-all"}


@dataclass(frozen=True)
class Theirs:
    """What an organisation has: ids of jobs, of a webhook and a delivery, and a cache key."""

    ended: tuple[str, ...]
    queued: str
    running: str
    webhook: str
    delivery: str
    cached: str

    @property
    def jobs(self) -> set[str]:
        """Ids of all its jobs."""
        return {*self.ended, self.queued, self.running}


class TwoOrganisations:
    """``ann`` is admin of ``ours``, ``tom`` of ``theirs``, ``both`` of both, ``root`` of all."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        people = People(server)
        for name in ("ours", "theirs"):
            people.organisation(name)
        people.user("ann", {"ours": Role.ADMIN})
        people.user("tom", {"theirs": Role.ADMIN})
        people.user("both", {"ours": Role.ADMIN, "theirs": Role.ADMIN})
        people.user("root", server_admin=True)
        self.keys = {name: people.key(name) for name in ("ann", "tom", "both", "root")}
        self._engine = FakeEngine()
        object.__setattr__(server.parts, "executor", FakeExecutor(self._engine))
        nobodys = Snapshot(key="nobodys", id="sha256:n", size=1, made_at=EPOCH)
        self._engine.images.snapshots.append(("", nobodys))
        self.of = {name: self._fill(name, who) for name, who in PEOPLE.items()}

    def get(self, who: str, path: str, **options) -> httpx2.Response:
        """Ask for something as somebody."""
        return self.ask(who, "GET", path, **options)

    def ask(self, who: str, method: str, path: str, **options) -> httpx2.Response:
        """Make a request as somebody."""
        headers = self.keys[who] | options.pop("headers", {})
        url = self.server.url + path
        return httpx2.request(method, url, headers=headers, timeout=60, **options)

    def submit(self, who: str, **options) -> str:
        """Submit a project as somebody; return the job's id."""
        headers = self.keys[who] | options.pop("headers", {})
        return self.server.submit(PROJECT, headers=headers, **options)

    def _fill(self, organisation: str, who: str) -> Theirs:
        webhook = self.ask(who, "POST", f"{API}/webhooks", json={"url": "https://h.example/a"})
        assert webhook.status_code == 201, webhook.text
        passed, failed = (
            self._end(self.submit(who, data=FORM), outcome)
            for outcome in (Outcome.PASSED, Outcome.FAILED)
        )
        running = self.server.claim(self.submit(who, headers=KEY)).id
        queued = self.submit(who, data={"project": "same"})
        key = owned_key("d" * 64, f"org_{organisation}")
        made = Snapshot(key=key, id=f"sha256:{organisation}", size=1, made_at=EPOCH)
        self._engine.images.snapshots.append(("", made))
        webhook_id = webhook.json()["id"]
        delivery = self._dead_delivery(webhook_id)
        return Theirs((passed, failed), queued, running, webhook_id, delivery, key)

    def _end(self, job_id: str, outcome: Outcome) -> str:
        server, repository = self.server, self.server.parts.repository
        job = server.claim(job_id)
        server.call(repository.record_fed(job.id, attempt=1, image_id="sha256:same"))
        server.write(job, b"a line\n")
        reason = EndReason.PASSED if outcome is Outcome.PASSED else EndReason.FAILED
        ended = repository.finish(
            job.id,
            attempt=1,
            result=Result(reason=reason, exit_code=0),
            now=server.controller.clock.now(),
            collect=True,
        )
        assert server.call(ended)
        case = Case(
            node_id=NODE, classname="t", name="shaky", file="t.py", outcome=outcome, duration=1.0
        )
        assert server.call(repository.results.record(job.id, Results(cases=[case])))
        return job.id

    def _dead_delivery(self, webhook_id: str) -> str:
        store, now = self.server.parts.repository.webhooks, self.server.controller.clock.now().wall
        made = self.server.call(store.enqueue(webhook_id, kind="ping", body="{}", now=now))
        attempt = Attempt(at=now, seconds=0.1, error="nobody is there")
        then = Next(state=DeliveryState.DEAD)
        assert self.server.call(store.record(made.id, attempts=0, attempt=attempt, then=then))
        return made.id


PEOPLE = {"ours": "ann", "theirs": "tom"}
"""Who fills each organisation."""
