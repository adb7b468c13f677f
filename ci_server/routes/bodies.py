"""Bodies of requests, read as they were sent."""

from typing import TypeVar

import msgspec

from ci_common.errors import InvalidRequest
from ci_server.job_query import AnyRequest

T = TypeVar("T", bound=msgspec.Struct)


async def strictly(request: AnyRequest, document: T) -> T:
    """Return the body as it was sent: the framework takes 0 for no, and text for a number.

    Raises ``InvalidRequest``.
    """
    try:
        return msgspec.convert(_with_integers(await request.json()), type(document))
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None


def _with_integers(value: object) -> object:
    """Return what was sent; to JSON, and so to the description, 4.0 is the integer 4."""
    if isinstance(value, dict):
        return {name: _with_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
