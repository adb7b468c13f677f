"""What schemathesis cannot invent, and whom it must not touch.

Loaded by schemathesis itself (``SCHEMATHESIS_HOOKS``), in its own process.
"""

import requests
import schemathesis
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode

from ci_server.examples import PARAMETERS
from tests.e2e.schema.ourselves import OURS
from tests.fakes.zips import honest_zip

_PROJECT = honest_zip({"test_it.py": b"def test_it():\n    assert True\n"})
_EVERY = 2
"""One of so many references is of a job that is there."""
_ADDRESS = "https://hooks.example/ci"
_OWN_GRAMMAR = {
    "/api/v1/jobs": {"cursor", "since", "until", "label"},
    "/api/v1/audit": {"since", "until"},
}
_READS = {"GET", "HEAD", "OPTIONS"}
_ENDLESS = "/api/v1/events"
_EVENT_END = b"\n\n"


class _HeadOfStreams(HTTPAdapter):
    """Reads the first event only of the stream that has no end, and lets go of it.

    Leaving its calls out instead would leave its refusals out as well; to wait
    for the time limit would have every good answer look like a failure.
    """

    def send(self, request, *arguments, **options):
        response = super().send(request, *arguments, **options)
        endless = requests.utils.urlparse(request.url).path == _ENDLESS
        if endless and response.headers.get("Content-Type", "").startswith("text/event-stream"):
            head = b""
            while not head.endswith(_EVENT_END) and (more := response.raw.read(1)):
                head += more
            response._content = head
            response._content_consumed = True
            response.raw.close()
        return response


requests.sessions.HTTPAdapter = _HeadOfStreams


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Have every other job be the latest one."""
    reference = (path_parameters or {}).get("reference")
    if isinstance(reference, str) and len(reference) % _EVERY == 0:
        return {**path_parameters, "reference": "last"}
    return path_parameters


@schemathesis.hook
def before_call(context, case, kwargs):
    """Put in what is right but cannot be invented, where the request is meant to be right."""
    _spare_ourselves(case)
    generation = case.meta.generation if case.meta else None
    if generation is not None and generation.mode is not GenerationMode.POSITIVE:
        return
    if case.path.rpartition("/")[2].startswith("submit"):
        form = case.body if isinstance(case.body, dict) else {}
        form.pop("manifest", None)
        case.body = {**form, "file": _PROJECT, "command": '["true"]'}
    elif case.path.endswith("/retry") and isinstance(case.body, dict):
        # Labels, sizes and durations have a grammar.
        case.body = {"label": ["nightly"], "priority": 5, "timeout": "10m", "cpus": 1}
    elif case.path.startswith("/api/v1/webhooks") and isinstance(case.body, dict):
        # Without a secret the server makes one.
        rest = {name: value for name, value in case.body.items() if name != "secret"}
        case.body = {**rest, "url": _ADDRESS} if rest.get("url") else rest
    elif case.path in _OWN_GRAMMAR and case.query:
        # A cursor belongs to the list that it came with; times and labels have a grammar.
        left_out = _OWN_GRAMMAR[case.path]
        case.query = {name: value for name, value in case.query.items() if name not in left_out}
    elif not str((case.query or {}).get("project", "")).isprintable():
        case.query = {**case.query, "project": "demo"}


def _spare_ourselves(case):
    """Have done to others what would disable, rename or end whom all the others are asked as.

    Schemathesis learns the names and ids of users, organisations and keys from the lists of them.
    """
    if case.method.upper() in _READS:
        return
    parameters = case.path_parameters or {}
    for name in OURS.keys() & parameters.keys():
        if str(parameters[name]).casefold() in OURS[name]:
            case.path_parameters[name] = PARAMETERS[name]
