from http import HTTPStatus
from pathlib import Path

from ci_common.errors import CIError
from ci_server.problems import STATUS_OF_CODE

DOCS = Path(__file__).parents[3] / "docs" / "http-api.md"


def all_errors(error: type[CIError] = CIError) -> list[type[CIError]]:
    found = [error]
    for child in error.__subclasses__():
        found += all_errors(child)
    return [one for one in found if one.__module__ == "ci_common.errors"]


def test_every_error_has_a_status():
    unmapped = {error.code for error in all_errors()} - STATUS_OF_CODE.keys()
    assert not unmapped


def test_the_table_names_no_code_that_is_gone():
    assert not STATUS_OF_CODE.keys() - {error.code for error in all_errors()}


def test_every_code_a_server_answers_with_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    answered = {
        code for code, status in STATUS_OF_CODE.items()
        if status is not HTTPStatus.INTERNAL_SERVER_ERROR
    }  # fmt: skip
    assert not [code for code in sorted(answered) if f"`{code}`" not in text]
