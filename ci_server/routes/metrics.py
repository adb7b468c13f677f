"""Metrics, for Prometheus and for what understands its formats."""

from typing import Annotated

from litestar import Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter

from ci_common.access import Action
from ci_server.parts import parts_of
from ci_server.routes.health import engine_error
from ci_server.routes.openapi import problems

_TEXT = ResponseSpec(
    data_container=str,
    description="Prometheus' text format, or OpenMetrics if `Accept` asks for it.",
    media_type="text/plain",
    generate_examples=False,
)


@get(
    "/metrics",
    operation_id="get_metrics",
    action=Action.OPERATE,
    summary="Metrics for Prometheus",
    description="Of all workers, whichever answers; docs/metrics.md lists them. `404` when they "
    "are switched off (`CI_METRICS=off`).",
    tags=["server"],
    responses={200: _TEXT} | problems(404),
)
async def get_metrics(
    state: State,
    accept: Annotated[str, HeaderParameter(name="Accept", include_in_schema=False)] = "",
) -> Response[bytes]:
    """Answer with everything that is counted."""
    parts = parts_of(state)
    if parts.metrics is None:
        raise NotFoundException
    text, content_type = await parts.metrics.render(accept, engine_up=engine_error(parts) is None)
    return Response(text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
