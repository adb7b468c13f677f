"""An example of everything that travels, for the description.

Those of models are values of the models themselves, so the type checker knows
when one has become wrong; a test knows when one is missing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from ci_common import __version__
from ci_common.api import CacheEntry, JobAccepted, JobView, Problem, RetryRequest
from ci_common.api.audit import AuditEntryView
from ci_common.api.usage import Amount, UsageView
from ci_common.events import CompleteEvent, JobIdEvent, LogEvent, StatusEvent
from ci_server.example_accounts import ACCOUNTS, ORGANISATION_NAME, USER_NAME
from ci_server.example_api_keys import API_KEYS, KEY_ID
from ci_server.example_queue import QUEUE
from ci_server.example_results import COUNTS, COVERAGE, RESULTS
from ci_server.example_secrets import SECRET_NAME, SECRETS
from ci_server.example_sign_in import SESSION_ID, SIGN_IN
from ci_server.example_webhooks import DELIVERY_ID, WEBHOOK_ID, WEBHOOKS
from ci_server.routes.health import Health, Readiness, Version

_JOB_ID = "3f2a9c1e-7d54-4c0b-9f0e-1b2d3c4e5f60"
_REQUEST_ID = "9b1f0c6a5d2e4f7f8a3b6c1d0e9f8a7b"

_EXAMPLES = (
    Health(),
    Readiness(ready=True, executor="docker", leader=True, queued=0, running=1, problems={}),
    Version(
        version=__version__,
        python="3.12.8",
        manifests=True,
        commit="8730e30",
        api="v1",
        features=["manifests"],
    ),
    JobAccepted(_JOB_ID),
    RetryRequest(failed_only=True, priority=5),
    JobView(
        job_id=_JOB_ID,
        status="completed",
        success=True,
        start_time="2026-11-21T09:30:00.125Z",
        end_time="2026-11-21T09:30:12.750Z",
        created_at="2026-11-21T09:30:00.118Z",
        reason="passed",
        exit_code=0,
        detail=None,
        organisation="acme",
        project="demo",
        attempt=1,
        priority=0,
        submitter="ada",
        labels={"branch": "main"},
        command="python -m pytest",
        results="collected",
        tests=COUNTS,
        coverage=COVERAGE,
    ),
    JobIdEvent(_JOB_ID),
    StatusEvent(status="queued", position=3),
    LogEvent("Running tests...\n"),
    CompleteEvent(success=True, exit_code=0, reason="passed"),
    CacheEntry(
        kind="dependencies",
        key="b312651cc5214bcb",
        size_bytes=48_234_496,
        created_at="2026-11-20T16:02:11.004Z",
        last_used_at="2026-11-21T09:30:00.125Z",
        image="python:3.12-slim",
        about="ci_pip install -r requirements.txt",
    ),
    Problem(
        type="urn:standby-ci:problem:job_not_found",
        title="There is no such job.",
        status=404,
        detail="there is no job '3f2a'",
        code="job_not_found",
        request_id=_REQUEST_ID,
        hint="ci list shows the jobs there are; ended ones are removed after a while",
        instance="/api/v1/jobs/3f2a",
    ),
    AuditEntryView(
        seq=41,
        at="2026-11-21T09:30:12.750Z",
        action="key.revoke",
        outcome="ok",
        actor="ada",
        actor_id="usr_5d1c0a7b",
        credential="session",
        credential_id="ses_0b7f3a2c",
        address="192.0.2.17",
        request_id=_REQUEST_ID,
        organisation="acme",
        subject="key key_91f2c0de of bob",
        detail="",
        digest="5f" * 32,
    ),
    UsageView(
        organisation="acme",
        running=Amount(used=3, limit=4),
        queued=Amount(used=12, limit=None),
        project_bytes=Amount(used=48_234_496, limit=1_073_741_824),
        artifact_bytes=Amount(used=0, limit=None),
    ),
    Amount(used=3, limit=4),
    *QUEUE,
    *RESULTS,
    *SECRETS,
    *SIGN_IN,
    *WEBHOOKS,
    *API_KEYS,
    *ACCOUNTS,
)

EXAMPLES: Mapping[str, Any] = {type(each).__name__: msgspec.to_builtins(each) for each in _EXAMPLES}
"""By the name of the model, as JSON has it."""

CLOSED = frozenset(
    type(each).__name__ for each in _EXAMPLES if type(each).__struct_config__.forbid_unknown_fields
)
"""The models that take no other fields than theirs."""

PARAMETERS: Mapping[str, Any] = {
    "reference": "last",
    "path": "report/index.html",
    "webhook_id": WEBHOOK_ID,
    "delivery_id": DELIVERY_ID,
    "name": SECRET_NAME,
    "session_id": SESSION_ID,
    "key_id": KEY_ID,
    "user": "ada",
    "ended": True,
    "user_name": USER_NAME,
    "organisation": ORGANISATION_NAME,
    "limit": 20,
    "actor": "ada",
    "action": "key.revoke",
    "list_audit outcome": "refused",
    "skip": 100,
    "cursor": 41,
    "list_jobs cursor": "WyI1ZjdhMGMxZSIsMCw0MV0",
    "after": 41,
    "offset": 1024,
    "older_than": "7d",
    "job_id": _JOB_ID,
    "project": "demo",
    "submitter": "ada",
    "status": ["completed"],
    "reason": ["failed", "timed_out"],
    "label": ["branch=main"],
    "group": ["deploy"],
    "since": "7d",
    "until": "2026-11-21T09:30:00Z",
    "text": "cart",
    "test": "tests/test_cart.py::test_total",
    "outcome": ["failed", "error"],
    "type": ["job.ended"],
    "list_jobs project": ["demo"],
    "list_jobs submitter": ["ada"],
    "list_jobs text": ["cart"],
    "Idempotency-Key": _REQUEST_ID,
    "Last-Event-ID": "1024",
    "Range": "bytes=-4096",
    "CI-Scope": "5f" * 32,
}
"""By the name of the parameter; yes, no and those with few values need none.

Where operations mean different things by a name, that of the operation is in front.
"""
