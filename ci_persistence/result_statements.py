"""The SQL of ``results.py``."""
# ruff: noqa: S608 -- statements are put together from constants; all values are bound

from ci_common.results import BAD, Outcome, ResultsState

_PENDING = f"seq IN (SELECT job FROM results WHERE state = '{ResultsState.PENDING}')"
_COLLECTED = f"seq IN (SELECT job FROM results WHERE state = '{ResultsState.COLLECTED}')"
_IS_BAD = f"outcome IN ({', '.join(repr(each.value) for each in BAD)})"
"""As the index ``tests_bad`` has it."""
_PASSED = f"'{Outcome.PASSED}'"

_WITHIN = "(:within IS NULL OR jobs.organisation IN (SELECT value FROM json_each(:within)))"
_OF_JOB = "job = (SELECT seq FROM jobs WHERE id = ?)"

IS_PENDING = f"SELECT 1 FROM jobs WHERE id = ? AND {_PENDING}"
CLEAR_CASES = f"DELETE FROM tests WHERE {_OF_JOB}"
ADD_CASE = (
    "INSERT INTO tests"
    " (job, number, node_id, classname, name, file, outcome, duration, message)"
    " SELECT seq, :number, :node_id, :classname, :name, :file, :outcome, :duration, :message"
    f" FROM jobs WHERE id = :id AND {_PENDING}"
)
ADD_ARTIFACT = (
    'INSERT INTO artifacts (job, path, size, sha256, modified, executable, "offset")'
    " SELECT seq, :path, :size, :sha256, :modified, :executable, :offset"
    f" FROM jobs WHERE id = :id AND {_PENDING}"
)
ADD_ARTIFACT_SUM = (
    "INSERT INTO artifact_sums (organisation, job, bytes)"
    " SELECT organisation, seq, :bytes FROM jobs"
    f" WHERE id = :id AND organisation <> '' AND {_PENDING}"
)
ORGANISATION = "SELECT organisation FROM jobs WHERE id = ? AND organisation <> ''"
SETTLE = (
    "UPDATE results SET state = :state, left_out = :left_out, left_out_count = :left_out_count,"
    " tests = :tests, coverage = :coverage"
    f" WHERE job = (SELECT seq FROM jobs WHERE id = :id) AND state = '{ResultsState.PENDING}'"
)
LEFT_OUT = f"SELECT left_out, left_out_count FROM results WHERE {_OF_JOB}"
ARTIFACTS = f"SELECT * FROM artifacts WHERE {_OF_JOB} ORDER BY path"

_CASES = (
    "SELECT tests.* FROM tests JOIN jobs ON jobs.seq = tests.job"
    f" WHERE jobs.id = :id AND jobs.{_COLLECTED}"
    " AND outcome IN (SELECT value FROM json_each(:outcomes))"
    " AND (:text = '' OR instr(lower(node_id), lower(:text))"
    " OR instr(lower(message), lower(:text)))"
    " ORDER BY {} LIMIT :limit OFFSET :offset"
)
CASES = {False: _CASES.format("number"), True: _CASES.format("duration DESC, number")}
"""By whether the slowest come first."""

BAD_CASES = (
    "SELECT node_id FROM tests JOIN jobs ON jobs.seq = tests.job"
    f" WHERE jobs.id = ? AND jobs.{_COLLECTED}"
    " AND outcome IN (SELECT value FROM json_each(?)) ORDER BY number"
)
HISTORY = (
    "SELECT jobs.seq, jobs.id, jobs.project, jobs.ended_wall, jobs.tree_sha256, jobs.image_id,"
    " tests.outcome, tests.duration, tests.message"
    " FROM tests JOIN jobs ON jobs.seq = tests.job"
    f" WHERE tests.node_id = :node_id AND tests.job < :before AND jobs.{_COLLECTED}"
    f" AND (:project IS NULL OR jobs.project = :project) AND {_WITHIN}"
    " ORDER BY tests.job DESC, tests.number DESC LIMIT :limit"
)
# From the tests that failed, which are few, to the jobs with the same files and image.
FLAKY = (
    "WITH bad AS ("
    "SELECT DISTINCT tests.node_id, jobs.organisation, jobs.project, jobs.tree_sha256,"
    " jobs.image_id"
    " FROM tests JOIN jobs ON jobs.seq = tests.job"
    f" WHERE tests.{_IS_BAD} AND jobs.{_COLLECTED}"
    " AND jobs.tree_sha256 IS NOT NULL AND jobs.image_id IS NOT NULL"
    f" AND (:project IS NULL OR jobs.project = :project) AND {_WITHIN}),"
    " mixed AS ("
    "SELECT bad.node_id, bad.organisation, bad.project,"
    f" sum(tests.outcome = {_PASSED}) AS passed, sum(tests.{_IS_BAD}) AS failed,"
    f" max(CASE WHEN tests.{_IS_BAD} THEN jobs.seq END) AS last_failed"
    " FROM bad JOIN jobs ON jobs.organisation = bad.organisation AND jobs.project = bad.project"
    " AND jobs.tree_sha256 = bad.tree_sha256 AND jobs.image_id = bad.image_id"
    " JOIN tests ON tests.node_id = bad.node_id AND tests.job = jobs.seq"
    f" WHERE jobs.{_COLLECTED} AND jobs.tree_sha256 IS NOT NULL AND jobs.image_id IS NOT NULL"
    " GROUP BY bad.node_id, bad.organisation, bad.project, bad.tree_sha256, bad.image_id"
    " HAVING passed > 0),"
    " tests_of_projects AS ("
    "SELECT node_id, project, sum(passed) AS passed, sum(failed) AS failed, count(*) AS trees,"
    " max(last_failed) AS last_failed FROM mixed GROUP BY node_id, organisation, project)"
    " SELECT node_id, project, passed, failed, trees,"
    " (SELECT id FROM jobs WHERE seq = last_failed) AS last_failed_job"
    " FROM tests_of_projects ORDER BY last_failed DESC, node_id LIMIT :limit"
)
