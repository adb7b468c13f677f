"""What schemathesis cannot invent: a project that is one, and jobs that are there.

Loaded by schemathesis itself (``SCHEMATHESIS_HOOKS``), in its own process.
"""

import schemathesis
from schemathesis import GenerationMode

from tests.fakes.zips import honest_zip

_PROJECT = honest_zip({"test_it.py": b"def test_it():\n    assert True\n"})
_EVERY = 2
"""One of so many references is of a job that is there."""


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Have every other job be the latest one."""
    reference = (path_parameters or {}).get("reference")
    if isinstance(reference, str) and len(reference) % _EVERY == 0:
        return {**path_parameters, "reference": "last"}
    return path_parameters


@schemathesis.hook
def before_call(context, case, kwargs):
    """Submit a project that runs, where the request is meant to be right."""
    generation = case.meta.generation if case.meta else None
    meant_well = generation is None or generation.mode is GenerationMode.POSITIVE
    if case.path.rpartition("/")[2].startswith("submit") and meant_well:
        form = case.body if isinstance(case.body, dict) else {}
        form.pop("manifest", None)
        case.body = {**form, "file": _PROJECT, "command": '["true"]'}
