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
        return msgspec.convert(await request.json(), type(document))
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
