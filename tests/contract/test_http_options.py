"""What a submission says about its job beside the project."""

import json

import pytest

from ci_common.errors import EngineUnavailable
from ci_common.jobs import GroupPolicy
from tests.contract.http_harness import running_server
from tests.fakes.manifests import manifest_of, pack
from tests.fakes.zips import honest_zip

SAID = {
    "submitter": "ann",
    "label": ["nightly", "a = b=c"],
    "priority": "-3",
    "timeout": "10m",
    "memory": "64m",
    "cpus": "0.5",
    "pids": "32",
    "queue_timeout": "1h",
    "group": "main",
    "group_policy": "queue",
}
FILES = {"ci.toml": b"timeout = 5\ncpus = 4\n"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with running_server(folder, max_job_memory="1g", max_queue_timeout="2h") as running:
        yield running


@pytest.mark.parametrize("way", ["zip", "manifest"])
def test_all_of_it_reaches_the_job_and_wins_over_the_project(server, way):
    if way == "zip":
        answer = server.post("/submit-async", honest_zip(FILES), data=SAID)
    else:
        files = {"manifest": manifest_of(FILES), "file": pack(*FILES.values())}
        scope = {"CI-Scope": "a" * 64}
        answer = server.post_json("/submit-async", files=files, data=SAID, headers=scope)
    assert answer.status_code == 200, answer.text
    job = server.job(answer.json()["job_id"])
    recipe = job.recipe
    assert (recipe.timeout, recipe.memory, recipe.cpus, recipe.pids) == (600, 64 * 1024**2, 0.5, 32)
    assert (job.submitter, job.priority, job.group) == ("ann", -3, "main")
    assert (job.labels, job.queue_timeout) == ({"nightly": "", "a": "b=c"}, 3600)
    assert job.group_policy is GroupPolicy.QUEUE
    shown = server.get(f"/jobs/{job.id}").json()
    assert (shown["submitter"], shown["labels"], shown["group"]) == (
        "ann", {"nightly": "", "a": "b=c"}, "main")  # fmt: skip


def test_without_a_name_it_is_the_address_that_submits(server):
    job = server.job(server.submit())
    assert (job.submitter, job.priority, job.group, job.labels) == ("127.0.0.1", 0, "", {})


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"priority": "11"}, "priority"),
        ({"priority": "x"}, "priority"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": "-1"}, "timeout"),
        ({"memory": "1k"}, "memory"),
        ({"cpus": "nan"}, "cpus"),
        ({"pids": "1.5"}, "pids"),
        ({"pids": "2"}, "pids"),
        ({"queue_timeout": "0"}, "queue_timeout"),
        ({"group": "a\nb"}, "group"),
        ({"group_policy": "queue"}, "group_policy"),
        ({"group": "g", "group_policy": "none"}, "cancel_older"),
        ({"label": "=x"}, "label"),
        ({"label": "a b=x"}, "label"),
        ({"label": "a=" + "x" * 256}, "label"),
        ({"label": [f"l{n}" for n in range(21)]}, "label"),
        ({"submitter": "x" * 201}, "submitter"),
        ({"memory": "2g"}, "CI_MAX_JOB_MEMORY"),
        ({"queue_timeout": "3h"}, "CI_MAX_QUEUE_TIMEOUT"),
        ({"disk": "1g"}, "disk"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(server, said, names):
    before = server.left_on_disk()
    answer = server.post("/submit-async", data=said)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_option"), answer.text
    assert names in answer.text
    assert answer.json()["hint"]
    assert server.left_on_disk() == before


def test_the_cap_holds_for_the_projects_own_wishes_too(server):
    greedy = honest_zip({"ci.toml": b'memory = "2g"\n'})
    answer = server.post("/submit-async", greedy)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_option")
    assert "1.0 GiB" in answer.json()["detail"]
    assert server.post("/submit-async", greedy, data={"memory": "1g"}).status_code == 200


def test_disk_is_taken_where_the_engine_can_limit_it_or_cannot_be_asked(server):
    server.engine.can_limit_disk = True
    job = server.job(server.submit(data={"disk": "1g"}))
    assert job.recipe.disk == 1024**3
    server.engine.can_limit_disk, server.engine.error = False, EngineUnavailable()
    assert server.submit(data={"disk": "1g"})
    server.engine.error = None


def test_options_count_in_what_makes_a_submission_the_same(server):
    key = {"Idempotency-Key": "options"}
    first = server.submit(headers=key, data={"priority": "1"})
    assert server.submit(headers=key, data={"priority": "1"}) == first
    for said in ({}, {"priority": "2"}, {"priority": "1", "label": "a"}):
        assert server.post("/submit-async", headers=key, data=said).status_code == 422


def test_who_watches_the_older_job_is_told_of_the_newer(server):
    said = {"group": "watched", "project": "p"}
    older = server.submit(data=said)
    with server.stream(f"/jobs/{older}/stream") as reader:
        assert next(reader)[1]["status"] == "queued"
        newer = server.submit(data=said)
        *_, (_, complete) = reader
    assert (complete["type"], complete["reason"]) == ("complete", "cancelled")
    assert newer in complete["detail"]


def test_a_label_may_come_from_a_list_of_the_same_field(server):
    job = server.job(server.submit(data={"label": ["a=1", "a=2"]}))
    assert json.loads(json.dumps(dict(job.labels))) == {"a": "2"}
