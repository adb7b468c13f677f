"""Which files a pattern means, and where they have to be looked for."""

import pytest

from ci_controller.results.patterns import Patterns, outermost


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("report.xml", "report.xml", True),
        ("report.xml", "sub/report.xml", False),
        ("./report.xml", "report.xml", True),
        ("*.xml", "a.xml", True),
        ("*.xml", "sub/a.xml", False),
        ("**/*.xml", "a.xml", True),
        ("**/*.xml", "deep/er/a.xml", True),
        ("htmlcov", "htmlcov/sub/index.html", True),
        ("htmlcov/", "htmlcov/index.html", True),
        ("htmlcov", "htmlcov2/index.html", False),
        ("htmlcov/**", "htmlcov/sub/index.html", True),
        ("a/**/b.txt", "a/b.txt", True),
        ("a/**/b.txt", "a/x/y/b.txt", True),
        ("**", "any/thing", True),
        ("log-?.txt", "log-1.txt", True),
        ("log-?.txt", "log-/.txt", False),
        ("log-[0-9].txt", "log-7.txt", True),
        ("log-[!0-9].txt", "log-7.txt", False),
        ("log-[9-0].txt", "log-9.txt", True),
        ("a[b.txt", "a[b.txt", True),
        ("a+b(1).txt", "a+b(1).txt", True),
        ("[^x]", "/", False),
    ],
)
def test_a_pattern_means_these_files(pattern, path, fits):
    assert Patterns([pattern]).fit(path) is fits


def test_looking_begins_where_the_wildcards_do():
    patterns = Patterns(["htmlcov/**", "a/b/*.txt", "*.xml", "a/report.xml"])
    assert patterns.roots() == ["htmlcov", "a/b", "", "a/report.xml"]


def test_what_lies_below_another_place_is_looked_at_once():
    assert outermost(["a/b", "a", "ab", "a/b/c", "a"]) == ["a", "ab"]
    assert outermost(["a", "", "b"]) == [""]
