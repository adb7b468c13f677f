"""Bodies that are JSON documents."""

from typing import TypeVar

import msgspec

from ci_common.errors import InvalidRequest
from ci_server.job_query import AnyRequest

Document = TypeVar("Document", bound=msgspec.Struct)


async def strictly(request: AnyRequest, document: Document) -> Document:
    """Return the body as it was sent: the framework takes 0 for no, and text for a number.

    Raises:
        InvalidRequest: a field has not the type that it should have.

    """
    try:
        return msgspec.convert(await request.json(), type(document))
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from None
