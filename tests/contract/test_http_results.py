"""What jobs left behind, through HTTP, and through the command line."""

import io
import json
import subprocess
import sys
import tarfile

import pytest

from ci_common.jobs import EndReason, Result
from ci_common.results import Case, Coverage, LeftOut, Outcome, Results
from tests.contract.http_harness import running_server
from tests.fakes.zips import honest_zip

INDEX, DATA = b"<script>alert(1)</script>", bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("results")) as running:
        yield running


def case(node_id: str, outcome: Outcome, duration: float = 0.5, message: str = "") -> Case:
    file, _, name = node_id.partition("::")
    return Case(
        node_id=node_id,
        classname=file,
        name=name,
        file=file,
        outcome=outcome,
        duration=duration,
        message=message,
    )


CASES = (
    case("t.py::good", Outcome.PASSED, 0.25),
    case("t.py::bad[x&y]", Outcome.FAILED, 2.0, "assert 1 == 2\nmore"),
    case("t.py::later", Outcome.SKIPPED, 0.0),
)


def end(server, *, collect: bool, reason: EndReason = EndReason.PASSED, **form: str) -> str:
    """Submit a job and end it; return its id."""
    content = honest_zip({"test_it.py": b"pass"})
    job = server.claim(server.submit(content, data=form))
    repository = server.parts.repository
    result = Result(reason=reason, exit_code=0)
    server.call(repository.record_fed(job.id, attempt=1, image_id="sha256:1"))
    now = server.controller.clock.now()
    ended = repository.finish(job.id, attempt=1, result=result, now=now, collect=collect)
    assert server.call(ended)
    return job.id


def collect(server, job_id: str, cases=CASES) -> None:
    repository = server.parts.repository
    writer = repository.artifacts.new(job_id)
    kept = [
        writer.add("out/ind ex.html", len(INDEX), [INDEX], modified=7, executable=False),
        writer.add("run.sh", len(DATA), [DATA], modified=7, executable=True),
    ]
    writer.commit()
    writer.discard()
    results = Results(
        artifacts=kept,
        cases=cases,
        coverage=Coverage(line_rate=0.5, branch_rate=0.25, source="coverage.xml"),
        left_out=(LeftOut("link", "a symbolic link"),),
        left_out_count=1,
    )
    assert server.call(repository.results.record(job_id, results))


@pytest.fixture(scope="module")
def job_id(server) -> str:
    ended = end(server, collect=True, project="shop")
    collect(server, ended)
    return ended


def managed(server, path: str, **options):
    return server.get(f"/api/v1{path}", **options)


def test_the_states_of_results(server):
    waiting = server.submit()
    assert managed(server, f"/jobs/{waiting}/artifacts").json()["state"] == "pending"
    server.delete(f"/api/v1/jobs/{waiting}")
    assert managed(server, f"/jobs/{waiting}/tests").json()["state"] == "none"
    ended = end(server, collect=True)
    listed = managed(server, f"/jobs/{ended}/artifacts").json()
    assert (listed["state"], listed["files"], listed["size"]) == ("pending", [], 0)
    assert server.get(f"/jobs/{ended}").json()["results"] == "pending"
    answer = managed(server, f"/jobs/{ended}/artifacts/x")
    assert (answer.status_code, answer.json()["code"]) == (404, "result_not_found")
    assert "yet" in answer.json()["detail"]
    server.call(server.parts.repository.results.give_up(ended, "gone"))
    lost = managed(server, f"/jobs/{ended}/artifacts").json()
    assert (lost["state"], lost["left_out"]) == ("lost", [{"path": "", "reason": "gone"}])


def test_artifacts_are_listed(server, job_id):
    listed = managed(server, f"/jobs/{job_id}/artifacts").json()
    assert listed["state"] == "collected"
    assert [file["path"] for file in listed["files"]] == ["out/ind ex.html", "run.sh"]
    assert listed["size"] == len(INDEX) + len(DATA)
    assert listed["files"][1]["executable"] is True
    assert listed["left_out"] == [{"path": "link", "reason": "a symbolic link"}]


def test_an_artifact_is_sent_and_never_shown(server, job_id):
    answer = managed(server, f"/jobs/{job_id}/artifacts/out/ind%20ex.html")
    assert (answer.status_code, answer.content) == (200, INDEX)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''ind%20ex.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == str(len(INDEX))


def test_ranges_and_etags(server, job_id):
    path = f"/jobs/{job_id}/artifacts/run.sh"
    whole = managed(server, path)
    assert whole.content == DATA
    etag = whole.headers["etag"]
    part = managed(server, path, headers={"Range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, DATA[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(DATA)}"
    assert managed(server, path, headers={"If-None-Match": etag}).status_code == 304
    resumed = {"Range": "bytes=-10", "If-Range": etag}
    assert managed(server, path, headers=resumed).content == DATA[-10:]
    changed = {"Range": "bytes=-10", "If-Range": '"other"'}
    assert managed(server, path, headers=changed).content == DATA
    beyond = managed(server, path, headers={"Range": f"bytes={len(DATA)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(DATA)}")


def test_all_artifacts_come_as_one_archive(server, job_id):
    answer = managed(server, f"/jobs/{job_id}/artifacts.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(answer.content), mode="r:gz") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}
        assert archive.getmember("run.sh").mode == 0o755
    assert found == {"out/ind ex.html": INDEX, "run.sh": DATA}
    assert f"{job_id}.tar.gz" in answer.headers["content-disposition"]
    empty = end(server, collect=False)
    assert managed(server, f"/jobs/{empty}/artifacts.tar.gz").status_code == 404


@pytest.mark.parametrize(
    "path", ["nothing", "../../../ci_jobs.db", "%2e%2e/x", "out", "", "run.sh/x", "%00"]
)
def test_nothing_else_is_to_be_had(server, job_id, path):
    answer = managed(server, f"/jobs/{job_id}/artifacts/{path}")
    assert answer.status_code in ({200} if not path else {404})


def test_tests_are_listed_and_filtered(server, job_id):
    path = f"/jobs/{job_id}/tests"
    answer = managed(server, path).json()
    assert answer["counts"] == {
        "passed": 1, "failed": 1, "error": 0, "skipped": 1, "xfailed": 0, "duration": 2.25,
    }  # fmt: skip
    assert [test["node_id"] for test in answer["tests"]] == [each.node_id for each in CASES]

    def names(query: str) -> list[str]:
        return [test["name"] for test in managed(server, f"{path}?{query}").json()["tests"]]

    assert names("outcome=failed&outcome=skipped") == ["bad[x&y]", "later"]
    assert names("slowest=true&limit=1") == ["bad[x&y]"]
    assert names("text=ASSERT") == ["bad[x&y]"]
    assert names("offset=2") == ["later"]


def test_pages_of_tests_lead_on(server, job_id):
    url, found = f"/api/v1/jobs/{job_id}/tests?limit=1&text=t.py", []
    while url:
        page = server.get(url)
        found += [test["name"] for test in page.json()["tests"]]
        url = page.links.get("next", {}).get("url")
    assert found == ["good", "bad[x&y]", "later"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "offset=-1", "outcome=odd", "slowest=perhaps", "text=" + "x" * 1001],
)
def test_a_query_that_makes_no_sense_is_refused(server, job_id, query):
    answer = managed(server, f"/jobs/{job_id}/tests?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


def test_coverage_and_counts_are_part_of_the_job(server, job_id):
    told = {"line_rate": 0.5, "branch_rate": 0.25, "source": "coverage.xml"}
    assert managed(server, f"/jobs/{job_id}/coverage").json()["coverage"] == told
    job = server.get(f"/jobs/{job_id}").json()
    assert (job["results"], job["coverage"], job["tests"]["failed"]) == ("collected", told, 1)


def test_history_and_flaky_tests(server, job_id):
    again = end(server, collect=True, project="shop")
    collect(server, again, cases=(case("t.py::bad[x&y]", Outcome.PASSED),))
    query = {"test": "t.py::bad[x&y]", "project": "shop", "limit": "1"}
    first = managed(server, "/tests/history", params=query)
    assert [run["job_id"] for run in first.json()["runs"]] == [again]
    second = server.get(first.links["next"]["url"])
    (run,) = second.json()["runs"]
    assert (run["job_id"], run["outcome"], run["image_id"]) == (job_id, "failed", "sha256:1")
    assert "next" not in second.links
    (flaky,) = managed(server, "/tests/flaky?project=shop").json()["tests"]
    assert (flaky["node_id"], flaky["passed"], flaky["failed"]) == ("t.py::bad[x&y]", 1, 1)
    assert flaky["last_failed_job"] == job_id
    assert managed(server, "/tests/flaky?project=other").json()["tests"] == []
    assert managed(server, "/tests/history").status_code == 400


def test_patterns_come_with_a_submission(server):
    fields = {"artifact": ["out/**", "*.xml"]}
    ids = [server.submit(data=fields), server.submit(data={"artifact": "out/**\n*.xml"})]
    assert [server.job(each).recipe.artifacts for each in ids] == [("out/**", "*.xml")] * 2
    for pattern in ("/etc/passwd", "../x"):
        answer = server.post("/submit-async", data={"artifact": pattern})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert "artifact" in answer.json()["detail"]


def test_other_patterns_are_another_submission(server):
    options = {"headers": {"Idempotency-Key": "results"}}
    first = server.submit(data={"artifact": "a"}, **options)
    assert server.submit(data={"artifact": "a"}, **options) == first
    assert server.post("/submit-async", data={"artifact": "b"}, **options).status_code == 422


def ci(server, *words: str, cwd) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "ci_client", "--server", server.url, *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def test_ci_artifacts_lists_and_fetches(server, job_id, tmp_path):
    listed = ci(server, "artifacts", "ls", job_id, "--json", cwd=tmp_path)
    assert [json.loads(line)["path"] for line in listed.stdout.splitlines()] == [
        "out/ind ex.html",
        "run.sh",
    ]
    assert "link: a symbolic link" in listed.stderr
    got = ci(server, "artifacts", "get", job_id, "-d", "into", cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "into/out/ind ex.html").read_bytes() == INDEX
    assert (tmp_path / "into/run.sh").read_bytes() == DATA
    assert (tmp_path / "into/run.sh").stat().st_mode & 0o100
    (tmp_path / "into/run.sh").write_bytes(b"mine")
    again = ci(server, "artifacts", "get", job_id, "run.sh", "-d", "into", cwd=tmp_path)
    assert (again.returncode, (tmp_path / "into/run.sh").read_bytes()) == (2, b"mine")
    forced = ci(
        server, "artifacts", "get", job_id, "out", "run.sh", "-d", "into", "--force", cwd=tmp_path
    )
    assert (forced.returncode, (tmp_path / "into/run.sh").read_bytes()) == (0, DATA)
    assert ci(server, "artifacts", "get", job_id, "nothing", cwd=tmp_path).returncode == 2
    assert not list(tmp_path.rglob("*.partial"))


def test_ci_tests(server, job_id, tmp_path):
    failed = ci(server, "tests", job_id, "--failed", "--json", cwd=tmp_path)
    assert [json.loads(line)["node_id"] for line in failed.stdout.splitlines()] == [
        "t.py::bad[x&y]"
    ]
    slow = ci(server, "tests", job_id, "--slowest", "1", cwd=tmp_path)
    assert slow.stdout.splitlines()[0].split() == ["failed", "2.000", "s", "t.py::bad[x&y]"]
    assert "1 passed, 1 failed, 1 skipped" in slow.stderr
    assert "50.0% of lines, 25.0% of branches" in slow.stderr
    past = ci(server, "tests", "--history", "t.py::good", "--project", "shop", cwd=tmp_path)
    assert "passed" in past.stdout
    none = ci(server, "tests", "--flaky", "--project", "nobody", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (0, "")
    assert "no test is known to be flaky" in none.stderr
