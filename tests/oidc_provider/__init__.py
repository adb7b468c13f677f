"""A real OpenID Connect provider in a process of its own, or why there is none."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

CLIENT_ID = "standby-ci"
CLIENT_SECRET = "a secret of the test: + and %"

_PLACE = Path(sys.prefix) / "oidc-provider"
_SCRIPT = Path(__file__).with_name("provider.js")


@contextmanager
def running_provider(
    port: int, redirect_uri: str, people: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Run one until the block ends; yield its issuer. ``people`` are claims by subject."""
    _require()
    # It is found beside what it imports.
    script = _PLACE / _SCRIPT.name
    script.write_bytes(_SCRIPT.read_bytes())
    process = subprocess.Popen(
        ["node", str(script), str(port), redirect_uri, json.dumps(people)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_PLACE,
    )
    try:
        assert process.stdout is not None
        assert any(b"ready" in line for line in process.stdout), "the provider did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def sign_in_there(browser: httpx2.Client, address: str, subject: str) -> httpx2.Response:
    """Go to the provider, sign in as ``subject``, agree; return the answer that leads back."""
    answer = browser.get(address)
    for _ in range(12):
        if answer.is_redirect:
            onward = str(httpx2.URL(str(answer.url)).join(answer.headers["location"]))
            if "/interaction/" not in onward and "/auth" not in onward:
                return answer
            answer = browser.get(onward)
            continue
        assert answer.status_code == 200, answer.text
        action = unescape(re.search(r'<form[^>]*action="([^"]+)"', answer.text)[1])
        prompt = re.search(r'name="prompt" value="([a-z]+)"', answer.text)[1]
        fields = {"prompt": prompt, "login": subject, "password": "any"}
        answer = browser.post(str(httpx2.URL(str(answer.url)).join(action)), data=fields)
    raise AssertionError(f"the provider leads nowhere: {answer.text}")


def _require() -> None:
    if not (_PLACE / "complete").exists():
        reason = "there is no OpenID Connect provider (scripts/ensure-oidc-provider makes one)"
    elif shutil.which("node") is None:
        reason = "there is no node to run the OpenID Connect provider with"
    else:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true asks for all checks, but {reason}", pytrace=False)
    pytest.skip(reason)
