"""What `make bench` writes: figures that are kept, a page and a plot made from them."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.measure import KILOBYTES, Comparison, Series, Target
from bench.page import BEGIN, END, table, write_page
from bench.plot import write_plot
from bench.results import Entry, Machine, load, row_of, save

MACHINE = Machine("2026-01-01 10:00 UTC", 2, 4, "Debian", "3.11.7", "20.10", 0.1)
OURS = Series("ours", ((0.010, 0.030), (0.020,)))
THEIRS = Series("theirs", ((0.040,), (0.050,)))
DOCS = Path(bench.__file__).parent.parent / "docs"


def entry(*comparisons: Comparison, failure: str = "") -> Entry:
    return Entry(MACHINE, [row_of(each) for each in comparisons], failure)


@pytest.mark.parametrize(
    ("comparison", "target", "words", "found", "reached"),
    [
        (Comparison("t", (OURS, THEIRS)), Target("ratio", 0.5), "ratio ≤ 0.5", "0.45", True),
        (Comparison("t", (OURS,)), Target("p50", 0.015), "median ≤ 15 ms", "20.0 ms", False),
        (Comparison("t", (OURS,)), Target("p95", 0.030), "p95 ≤ 30 ms", "30.0 ms", True),
        (
            Comparison("r", (OURS, THEIRS), amount=4, unit="jobs"),
            Target("ratio", 3.0),
            "ratio ≥ 3",
            "2.22",
            False,
        ),
        (
            Comparison("r", (OURS,), amount=4, unit="jobs"),
            Target("rate", 150),
            "≥ 150 jobs/s",
            "200.0 jobs/s",
            True,
        ),
        (
            Comparison("m", (Series("ours", ((29_500.0,),)),), quantity=KILOBYTES),
            Target("p50", 40_000),
            "median ≤ 40 KB",
            "29.5 KB",
            True,
        ),
    ],
)
def test_a_target_in_words(comparison, target, words, found, reached):
    assert comparison.describe(target) == words
    assert comparison.outcome(target) == found
    assert comparison.reached(target) is reached


def test_a_share_of_one_is_the_target_whichever_way_is_better():
    slow = Comparison("t", (OURS,), (Target("p50", 0.010),))
    few = Comparison("r", (OURS,), (Target("rate", 400),), amount=4, unit="jobs")
    assert row_of(slow).targets[0].share == row_of(few).targets[0].share == 2.0


def test_figures_come_back_from_their_file_as_they_were(tmp_path):
    entries = {"a": entry(Comparison("t", (OURS, THEIRS), (Target("ratio", 1),)))}
    save(tmp_path / "figures.json", entries)
    assert load(tmp_path / "figures.json") == entries
    assert load(tmp_path / "none.json") == {}


def test_a_run_of_some_leaves_the_others(tmp_path, monkeypatch):
    for name in ("PAGE", "FIGURES", "PLOT"):
        monkeypatch.setattr(bench, f"_{name}", tmp_path / name.lower())
    (tmp_path / "page").write_text(f"# Title\n\nprose\n\n{BEGIN}\n{END}\n\nmore\n")
    bench._write({"tick": entry(Comparison("the tick", (OURS,)))})
    bench._write({"submit": entry(Comparison("the submit", (OURS,)))})
    bench._write({"tick": entry(failure="it has no engine")})
    page = (tmp_path / "page").read_text()
    assert page.startswith("# Title\n\nprose\n")
    assert page.endswith("\nmore\n")
    assert "the submit" in page
    assert "| `tick` | not measured here: it has no engine |" in page
    # In the order of the benchmarks, not of the runs.
    assert list(load(tmp_path / "figures")) == ["submit", "tick"]


def test_a_page_without_a_place_for_them_is_not_written(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n")
    with pytest.raises(ValueError, match="has not the lines"):
        write_page(page, {}, "plot.svg")
    assert page.read_text() == "# Title\n"


def test_a_remark_says_what_is_missing_where_it_would_stand():
    comparison = Comparison("t", (OURS, THEIRS), remarks=("other: not measured here: no npm",))
    line = table({"a": entry(comparison)}).splitlines()[2]
    assert line.split(" | ")[2] == "theirs: 45.0 ms<br>other: not measured here: no npm"


def test_the_plot_is_the_same_for_the_same_figures(tmp_path):
    entries = {"a": entry(Comparison("a < b", (OURS,), (Target("p50", 0.001), Target("p95", 1))))}
    write_plot(tmp_path / "1.svg", entries)
    write_plot(tmp_path / "2.svg", entries)
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()
    bars = [each for each in ET.parse(tmp_path / "1.svg").iter() if each.get("rx")]
    assert [bar.get("class") for bar in bars] == ["missed", "reached"]


def test_the_page_in_the_repository_shows_the_figures_in_the_repository(tmp_path):
    entries = load(DOCS / "performance.json")
    assert table(entries) in (DOCS / "performance.md").read_text()
    write_plot(tmp_path / "plot.svg", entries)
    assert (tmp_path / "plot.svg").read_text() == (DOCS / "performance.svg").read_text()
