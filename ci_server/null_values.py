"""What is no value in a query."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from ci_common.errors import InvalidRequest

_NEVER_TEXT = frozenset({"after", "cursor", "offset", "success"})
"""Parameters that may be left out, and are not text: for the framework ``null`` leaves them out."""


def refuse_null(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Refuse ``?offset=null``: it comes from a mistake that would be answered with everything.

    Raises:
        InvalidRequest: a number, or yes or no, is said to be null.

    """
    if b"null" not in connection.scope["query_string"].lower():
        return
    for name, value in connection.query_params.multi_items():
        if name in _NEVER_TEXT and str(value).lower() == "null":
            raise InvalidRequest(
                f"{name}: null is no value", hint=f"Leave {name} out, or give it one."
            )
