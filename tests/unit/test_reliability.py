"""Every fault has its test, and the page that says so is up to date."""

import pytest

from tests.reliability.faults import FAULTS
from tests.reliability.report import PAGE, by_fault, faults_named_in, page


def test_every_fault_has_a_test_and_no_other_has():
    assert set(FAULTS) == by_fault().keys() == set(range(1, 40))


def test_of_every_fault_it_is_said_what_was_seen():
    assert all(fault.seen for fault in FAULTS.values())


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.reliability"


@pytest.mark.parametrize(
    ("docstring", "numbers"),
    [
        ("Fault 7.", {7}),
        ("Fault 27. Fault 30. Asked for at once.", {27, 30}),
        ("Faults 6, 7 and 8: killed around the feed.", {6, 7, 8}),
        ("Says so.\n\nFault 12: never a failed test.", {12}),
        ("No fault of ours, 5 times.", set()),
    ],
)
def test_which_faults_a_docstring_names(docstring, numbers):
    assert faults_named_in(docstring) == numbers
