"""Running a job again over HTTP: of the same project, as long as that is kept."""

from dataclasses import replace

import pytest

from ci_common.jobs import EndReason
from tests.contract.http_harness import PROJECT, running_server
from tests.fakes.zips import honest_zip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("data"), max_job_memory="1g") as running:
        yield running


def retry(server, reference: str, body: dict | None = None, **headers: str):
    options = {} if body is None else {"json": body}
    return server.post_json(f"/api/v1/jobs/{reference}/retry", headers=headers, **options)


def ended(server, content: bytes = PROJECT, **data) -> str:
    job = server.claim(server.submit(content, data=data))
    server.finish(job, EndReason.FAILED, exit_code=1)
    return job.id


def test_a_job_is_run_again_as_it_was(server):
    said = {
        "submitter": "ann",
        "priority": "3",
        "label": ["a", "b=c"],
        "memory": "64m",
        "project": "p",
        "group": "g",
        "group_policy": "queue",
        "queue_timeout": "1h",
    }
    first = ended(server, **said)
    answer = retry(server, first)
    assert answer.status_code == 201, answer.text
    again = answer.json()
    assert again["retry_of"] == first
    assert answer.headers["Location"] == f"/api/v1/jobs/{again['job_id']}"
    kept = ("submitter", "priority", "labels", "project", "group", "command")
    assert {name: again[name] for name in kept} == {
        name: server.get(f"/jobs/{first}").json()[name] for name in kept
    }
    old, new = server.job(first), server.job(again["job_id"])
    assert (new.recipe, new.queue_timeout, new.group_policy) == (
        old.recipe, old.queue_timeout, old.group_policy)  # fmt: skip
    assert (server.settings.data_folder / "stash" / f"{new.id}.zip").read_bytes() == PROJECT
    assert server.delete(f"/api/v1/jobs/{new.id}").status_code == 200


def test_options_go_over_those_of_the_job(server):
    first = ended(server, label=["a=1", "b"], priority="1", timeout="9")
    body = {"priority": -2, "label": ["a=2"], "memory": "32m", "submitter": "bob"}
    again = retry(server, first, body).json()
    assert (again["priority"], again["labels"]) == (-2, {"a": "2", "b": ""})
    recipe = server.job(again["job_id"]).recipe
    assert (recipe.memory, recipe.timeout, again["submitter"]) == (32 * 1024**2, 9.0, "bob")


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"priority": 11}, "priority"),
        ({"memory": "2g"}, "CI_MAX_JOB_MEMORY"),
        ({"no_such": 1}, "no_such"),
        ({"failed_only": True}, "no failed test"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(server, body, names):
    first = ended(server)
    before = server.left_on_disk()
    answer = retry(server, first, body)
    assert answer.status_code == 400, answer.text
    assert names in answer.text
    assert server.left_on_disk() == before


def test_a_job_that_has_not_ended(server):
    job_id = server.submit()
    answer = retry(server, job_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")
    assert retry(server, "no-such").status_code == 404


def test_a_project_that_is_not_kept_any_more(server):
    first = ended(server)
    server.call(server.parts.repository.release([first]))
    answer = retry(server, first)
    assert (answer.status_code, answer.json()["code"]) == (410, "project_gone")
    assert "ci submit" in answer.json()["hint"]


def test_a_file_that_is_lost_all_the_same(server):
    first = ended(server)
    server.parts.repository.stash.remove_job(first)
    assert retry(server, first).status_code == 410


def test_the_first_project_may_go_when_the_second_is_there(server):
    content = honest_zip({"a.py": b"1"})
    first = ended(server, content)
    again = retry(server, first).json()["job_id"]
    server.parts.repository.stash.remove_job(first)
    path = server.settings.data_folder / "stash" / f"{again}.zip"
    assert path.read_bytes() == content


def test_a_repeated_request_is_one_retry(server):
    first = ended(server)
    ids = {retry(server, first, **{"Idempotency-Key": "k"}).json()["job_id"] for _ in range(2)}
    assert len(ids) == 1
    other = retry(server, first, {"priority": 1}, **{"Idempotency-Key": "k"})
    assert other.status_code == 422
    stashed = [path.stem for path in (server.settings.data_folder / "stash").iterdir()]
    assert sum(server.job(job_id).retry_of == first for job_id in stashed) == 1


class Known:
    """Results of jobs."""

    def __init__(self, *failed: str) -> None:
        self.failed = failed

    async def failed_tests(self, _job_id: str):
        return self.failed


def test_only_the_tests_that_failed(server):
    files = {"tests/test_a.py": b"", "ci.toml": b"command = ['pytest', '-x', 'tests']"}
    first = ended(server, honest_zip(files))
    known = replace(server.parts.retries, results=Known("tests/test_a.py::test_it"))
    parts = server.parts
    object.__setattr__(parts, "retries", known)
    again = retry(server, first, {"failed_only": True})
    assert again.json()["command"] == "pytest -x tests/test_a.py::test_it"
