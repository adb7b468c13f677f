"""Reading what came out of a job: journals, JUnit, Cobertura; nothing of it is trusted."""

import json

import pytest

from ci_common.results import Outcome
from ci_controller.results.journal import read_journal, split_node_id
from ci_controller.results.xml_reports import UnreadableReport, read_cobertura, read_junit


def lines(*said: dict) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in said)


def test_a_journal_gives_each_test_in_order():
    cases, coverage = read_journal(
        lines(
            {"start": "a.py::one"},
            {"test": "a.py::one", "outcome": "passed", "duration": 0.25, "message": ""},
            {"start": "a.py::two"},
            {"test": "a.py::two", "outcome": "failed", "duration": 1, "message": "no"},
            {"covered": 87.5},
        )
    )
    told = [(case.node_id, case.outcome, case.duration, case.message) for case in cases]
    assert told == [
        ("a.py::one", Outcome.PASSED, 0.25, ""),
        ("a.py::two", Outcome.FAILED, 1.0, "no"),
    ]
    assert coverage is not None
    assert (coverage.line_rate, coverage.source) == (0.875, "pytest-cov")


def test_a_test_that_never_ended_is_an_error():
    (case,), _ = read_journal(lines({"start": "a.py::hangs"}))
    assert (case.outcome, case.message) == (Outcome.ERROR, "it was running when the job ended")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xfe\n",
        b"{\n",
        b"[1]\n",
        b'{"test": 1}\n',
        b'{"test": "x", "outcome": "odd"}\n',
        b'{"covered": 1e9}\n',
        b'{"test": "cut off',
    ],
)
def test_a_line_that_makes_no_sense_is_skipped(nonsense):
    cases, coverage = read_journal(nonsense + b"\n" + lines({"test": "a.py::one"}))
    assert [case.node_id for case in cases] == ["a.py::one"]
    assert coverage is None


def test_what_is_told_has_bounds():
    said = {"test": "x" * 5000, "duration": -1e300, "message": "m" * 50_000}
    (case,), _ = read_journal(lines(said))
    assert (len(case.node_id), len(case.message), case.duration) == (1000, 2000, 0.0)


@pytest.mark.parametrize(
    ("node_id", "parts"),
    [
        ("tests/test_a.py::test_b", ("tests/test_a.py", "tests.test_a", "test_b")),
        ("t.py::TestC::test_b[x::y]", ("t.py", "t.TestC", "test_b[x::y]")),
        ("t.py::test_b[a/b]", ("t.py", "t", "test_b[a/b]")),
        ("t.py", ("t.py", "t", "")),
    ],
)
def test_a_node_id_comes_apart_as_in_pytests_own_reports(node_id, parts):
    assert split_node_id(node_id) == parts


JUNIT = b"""<?xml version="1.0"?><testsuites><testsuite name="s">
<testcase classname="shop.Cart" name="adds" time="0.5"/>
<testcase classname="shop.Cart" name="pays" time="1,000.25"><failure message="no money">x</failure>
</testcase>
<testcase classname="shop.Cart" name="ships" time="odd"><error>  the trace </error></testcase>
<testcase name="later"><skipped message="not now"/></testcase>
<testcase name="known"><skipped type="pytest.xfail" message="bug 7"/></testcase>
<testcase name="retried"><failure message="first"/><error message="second"/></testcase>
</testsuite></testsuites>"""


def test_a_junit_report():
    cases = read_junit([JUNIT[:100], JUNIT[100:]], most=100)
    assert [(c.node_id, c.outcome.value, c.duration, c.message) for c in cases] == [
        ("shop.Cart::adds", "passed", 0.5, ""),
        ("shop.Cart::pays", "failed", 1000.25, "no money"),
        ("shop.Cart::ships", "error", 0.0, "the trace"),
        ("later", "skipped", 0.0, "not now"),
        ("known", "xfailed", 0.0, "bug 7"),
        ("retried", "failed", 0.0, "first"),
    ]


def test_no_more_tests_are_read_than_may():
    assert len(read_junit([JUNIT], most=2)) == 2


BOMB = b"""<?xml version="1.0"?><!DOCTYPE t [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>"""
OUTSIDE = b"""<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<testsuite><testcase name="x"><failure>&a;</failure></testcase></testsuite>"""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "entities"),
        (OUTSIDE, "entities"),
        (b"<testsuite><testcase", "not XML"),
        (b"", "not XML"),
        (b"<html/>", "no testsuite"),
        (b"<a>" * 5000, "too deep"),
        (b"\x00\x01\x02", "not XML"),
    ],
)
def test_a_report_that_is_none_or_not_safe_is_refused(content, why):
    with pytest.raises(UnreadableReport, match=why):
        read_junit([content], most=10)


def test_a_cobertura_report():
    with_doctype = (
        b"<!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'>"
        b'<coverage line-rate="0.5" branch-rate="0.25" branches-valid="8"><packages/></coverage>'
    )
    told = read_cobertura([with_doctype], source="coverage.xml")
    assert (told.line_rate, told.branch_rate, told.source) == (0.5, 0.25, "coverage.xml")


def test_without_branches_there_is_no_rate_of_them():
    report = b'<coverage line-rate="1" branch-rate="0" branches-valid="0"/>'
    assert read_cobertura([report], source="c").branch_rate is None


@pytest.mark.parametrize("rate", ["2", "-1", "nan", "inf", "x", ""])
def test_a_rate_that_cannot_be_one_is_refused(rate):
    with pytest.raises(UnreadableReport, match="no line-rate"):
        read_cobertura([f'<coverage line-rate="{rate}"/>'.encode()], source="c")
