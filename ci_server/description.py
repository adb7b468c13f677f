"""The API's description, and what Litestar's own needs to be right."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from litestar import Request, Response, Router
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server

from ci_common import __version__
from ci_common.access import Action
from ci_common.api_keys import KEY_PREFIX
from ci_server.examples import CLOSED, EXAMPLES, PARAMETERS
from ci_server.guard import ACTION_KEY
from ci_server.routes.openapi import NO_SECURITY
from ci_server.schema_page import SchemaPage

_KEY = "api_key"
_KEY_SCHEME = SecurityScheme(
    type="http",
    scheme="bearer",
    bearer_format=f"{KEY_PREFIX}…",
    description="An API key: `ci key create` makes one. A server without accounts takes none.",
)

_NULL = {"type": "null"}


def description_config() -> OpenAPIConfig:
    """Return what the application is told about its description."""
    return OpenAPIConfig(
        title="Standby CI",
        version=__version__,
        description="Submit a project as a zip, watch its tests run in a fresh container. "
        "Those routes that the first version had are at `/` too, without the prefix. "
        "Errors are problem documents (RFC 9457).",
        servers=[Server(url="/")],
        components=Components(security_schemes={_KEY: _KEY_SCHEME}),
        security=[{_KEY: []}, *NO_SECURITY],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            after_request=_plain_not_found,
            opt={ACTION_KEY: Action.BE_THERE},
        ),
        render_plugins=[DescriptionPage(path="/"), DescriptionJSON(path="/openapi.json")],
    )


class DescriptionPage(SchemaPage):
    """The description for people, as it is for programs."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        return super().render(request, corrected(openapi_schema))


class DescriptionJSON(JsonRenderPlugin):
    """The description for programs."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the JSON."""
        return super().render(request, corrected(openapi_schema))


def corrected(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with our examples, and without what Litestar says that is not so.

    A parameter that may be left out is said to be null as well, which no text
    in a URL or a header is. Pure.
    """
    components = schema["components"]
    models = {name: _model(name, model) for name, model in components["schemas"].items()}
    return {
        **schema,
        "paths": {path: _path_item(item) for path, item in schema["paths"].items()},
        "components": {**components, "schemas": models},
    }


def _model(name: str, model: Mapping[str, Any]) -> Mapping[str, Any]:
    closed = {"additionalProperties": False} if name in CLOSED else {}
    examples = {"examples": [EXAMPLES[name]]} if name in EXAMPLES else {}
    return {**model, **closed, **examples}


def _path_item(item: Mapping[str, Any]) -> dict[str, Any]:
    return {method: _operation(operation) for method, operation in item.items()}


def _operation(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters, name = operation.get("parameters"), operation["operationId"]
    return (
        {**operation, "parameters": [_parameter(each, name) for each in parameters]}
        if parameters
        else operation
    )


def _parameter(parameter: Mapping[str, Any], operation: str) -> Mapping[str, Any]:
    schema = _without_null(parameter["schema"])
    example = PARAMETERS.get(f"{operation} {parameter['name']}", PARAMETERS.get(parameter["name"]))
    return {**parameter, "schema": schema, **({} if example is None else {"example": example})}


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = [choice for choice in schema.get("oneOf", ()) if choice != _NULL]
    if not choices:
        return schema
    rest = {key: value for key, value in schema.items() if key != "oneOf"}
    choice = choices[0] if len(choices) == 1 else {"oneOf": choices}
    return {**choice, **rest}


async def _plain_not_found(response: Response[Any]) -> Response[Any]:
    # Litestar has a page of its own for what is not under /schema.
    if response.status_code == HTTPStatus.NOT_FOUND:
        raise NotFoundException
    return response
