"""Answers to OPTIONS: which methods a path takes.

Litestar makes such answers itself, but one that forgets the handlers which
are registered at a path after the first.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from litestar import Response, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from ci_common.access import Action


def options_of(handlers: Iterable[object]) -> Sequence[HTTPRouteHandler]:
    """Return a handler for each path that answers to HTTP."""
    methods: dict[str, set[str]] = defaultdict(set)
    for handler in handlers:
        if not isinstance(handler, HTTPRouteHandler):
            continue
        for path in handler.paths:
            methods[path] |= {str(method) for method in handler.http_methods}
    return [_answering(path, found) for path, found in methods.items()]


def _answering(path: str, methods: Iterable[str]) -> HTTPRouteHandler:
    headers = {"Allow": ", ".join(sorted({*methods, HttpMethod.OPTIONS.value}))}

    @route(
        path,
        http_method=HttpMethod.OPTIONS,
        action=Action.BE_THERE,
        status_code=204,
        include_in_schema=False,
    )
    async def answer_options() -> Response[None]:
        return Response(None, status_code=204, headers=headers)

    return answer_options
