"""What the page on security says is shown by tests is shown by tests that there are."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::[\w:]+)`", PAGE)))


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the tests in a file as pytest calls them, without parameters."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        outer = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        found |= {f"{outer}{each.name}" for each in inner if isinstance(each, functions)}
    return frozenset(each for each in found if each.rpartition("::")[2].startswith("test_"))


def rows() -> list[tuple[str, ...]]:
    """Return the items of the tables of ASVS: number, what is asked, how, by which test."""
    tables = PAGE.partition("\n## OWASP ASVS\n")[2].partition("\n## ")[0]
    lines = [line for line in tables.splitlines() if re.match(r"\| \d", line)]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_is_named_is_there(named):
    path, _, name = named.partition("::")
    assert name in names_in(path)


def test_every_item_names_its_test_or_says_that_it_is_not_met():
    assert len(rows()) > 50
    for item, _, how, shown in rows():
        named = re.findall(r"`(tests/[^`]*)`", shown)
        assert named or "**no**" in how or "not applicable" in shown, item
        assert set(named) <= set(NAMED), f"{item}: not as file.py::test_name"


@pytest.mark.parametrize("path", re.findall(r"`(tests/[\w/.]+)`", PAGE))
def test_files_and_folders_of_tests_that_are_named_are_there(path):
    assert (ROOT / path).exists()
