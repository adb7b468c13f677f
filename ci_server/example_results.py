"""Examples of what jobs leave behind."""

from ci_common.api import ArtifactsView, CasesView, CoverageView, FlakyView, HistoryView
from ci_common.api.results import ArtifactView, PastCaseView
from ci_common.results import Case, Counts, Coverage, FlakyTest, LeftOut, Outcome

_JOB_ID = "3f2a9c1e-7d54-4c0b-9f0e-1b2d3c4e5f60"
_TEST = "tests/test_cart.py::test_total"

COUNTS = Counts(passed=41, failed=1, skipped=2, duration=9.75)
COVERAGE = Coverage(line_rate=0.913, branch_rate=0.87, source="coverage.xml")
_FILE = ArtifactView(
    path="report/index.html",
    size=18_204,
    sha256="9f" * 32,
    modified=1_795_253_411,
    executable=False,
)
_LEFT_OUT = LeftOut("core", "larger than what may be kept")
_CASE = Case(
    node_id=_TEST,
    classname="tests.test_cart",
    name="test_total",
    file="tests/test_cart.py",
    outcome=Outcome.FAILED,
    duration=0.021,
    message="assert 3 == 4",
)
_PAST = PastCaseView(
    job_id=_JOB_ID,
    project="demo",
    ended_at="2026-11-21T09:30:12.750Z",
    outcome="failed",
    duration=0.021,
    message="assert 3 == 4",
    tree_sha256="5f" * 32,
    image_id="sha256:" + "ab" * 32,
)
_FLAKY = FlakyTest(
    node_id=_TEST, project="demo", passed=7, failed=2, trees=3, last_failed_job=_JOB_ID
)

RESULTS = (
    COUNTS,
    COVERAGE,
    _FILE,
    _LEFT_OUT,
    ArtifactsView(
        job_id=_JOB_ID,
        state="collected",
        size=18_204,
        files=[_FILE],
        left_out=[_LEFT_OUT],
        left_out_count=1,
    ),
    _CASE,
    CasesView(job_id=_JOB_ID, state="collected", counts=COUNTS, tests=[_CASE]),
    CoverageView(job_id=_JOB_ID, state="collected", coverage=COVERAGE),
    _PAST,
    HistoryView(test=_TEST, runs=[_PAST]),
    _FLAKY,
    FlakyView(tests=[_FLAKY]),
)
