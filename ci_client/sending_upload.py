"""Sends a submission in the way that the server takes it."""

from __future__ import annotations

from ci_client.connection import ServerBusy, refuse_problems
from ci_client.upload import FilesChanged, Form
from ci_common.errors import CIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci_client.exchange import Http, Response
    from ci_client.upload import Submission


def send_submission(
    http: Http, path: str, submission: Submission, headers: Mapping[str, str]
) -> Response:
    """Return the answer to a submission that the server has accepted.

    Raises:
        CIError: it was refused, and there is no other way to send it.

    """
    while True:
        whole = {**headers, **submission.headers}
        try:
            response = http.send("POST", path, headers=whole, body=Form(submission))
        except FilesChanged:
            submission.files_changed()
            continue
        if 200 <= response.status < 300:
            submission.accepted()
            return response
        _adapt(submission, response)


def _adapt(submission: Submission, response: Response) -> None:
    """Return if the submission is to be sent again, in another way."""
    try:
        with response:
            refuse_problems(response)
    except ServerBusy:
        raise
    except CIError as refusal:
        if not submission.adapts_to(refusal):
            raise
