"""The API's description as a page, made here: no script, no font, nothing from another host."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

Node = Mapping[str, Any]

_METHODS = ("get", "head", "post", "put", "patch", "delete")

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
section { border-top: 1px solid #8886; padding: .5rem 0 1rem; }
h2 { font-size: 1.1rem; } h3 { font-size: .95rem; margin-bottom: .2rem; }
code { font-family: ui-monospace, monospace; }
.method { display: inline-block; min-width: 4rem; text-transform: uppercase; font-weight: 700; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8883; padding: .2rem .6rem .2rem 0; text-align: left;
  vertical-align: top; }
"""


class SchemaPage(OpenAPIRenderPlugin):
    """Shows every operation and every model of the description."""

    def __init__(self, *, path: str = "/") -> None:
        super().__init__(path=path, favicon="", style="")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        described_at = self.get_openapi_json_route(request)
        return render_page(openapi_schema, described_at).encode()


def render_page(schema: Node, described_at: str) -> str:
    """Return the page of a description; ``described_at`` is where its JSON is."""
    info = schema["info"]
    operations = [
        _operation(path, method, item[method])
        for path, item in sorted(schema["paths"].items())
        for method in _METHODS
        if item.get(method)
    ]
    models = schema.get("components", {}).get("schemas", {})
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            f"<p>{_prose(info.get('description', ''))}</p>",
            f'<p>For programs: <a href="{escape(described_at)}">the same as OpenAPI JSON</a>.</p>',
            *operations,
            *(_model(name, model) for name, model in sorted(models.items())),
            "</body></html>",
        )
    )


def _operation(path: str, method: str, operation: Node) -> str:
    answers = (
        (f"<code>{escape(status)}</code>", _content(answer), _prose(answer.get("description", "")))
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    return "".join(
        (
            f'<section id="{escape(operation["operationId"])}">',
            f'<h2><span class="method">{method}</span> <code>{escape(path)}</code></h2>',
            f"<p><strong>{escape(operation.get('summary', ''))}</strong></p>",
            f"<p>{_prose(operation.get('description', ''))}</p>",
            _table("Parameters", map(_parameter, operation.get("parameters") or ())),
            _table("Form", _form(operation.get("requestBody") or {})),
            _table("Answers", answers),
            "</section>",
        )
    )


def _parameter(parameter: Node) -> tuple[str, str, str]:
    return (
        f"<code>{escape(parameter['name'])}</code> in {escape(parameter['in'])}",
        _type(parameter.get("schema", {})),
        _prose(parameter.get("description", "")),
    )


def _form(body: Node) -> Iterable[tuple[str, str, str]]:
    for media in body.get("content", {}).values():
        yield from _properties(media["schema"])


def _model(name: str, model: Node) -> str:
    rows = list(_properties(model)) or [("", _type(model), "")]
    prose = _prose(model.get("description", ""))
    return (
        f'<section id="schema-{escape(name)}"><h2><code>{escape(name)}</code></h2>'
        f"<p>{prose}</p>{_table('Fields', rows)}{_examples(model)}</section>"
    )


def _examples(model: Node) -> str:
    shown = (json.dumps(example, indent=2) for example in model.get("examples") or ())
    return "".join(f"<pre>{escape(text)}</pre>" for text in shown)


def _properties(model: Node) -> Iterable[tuple[str, str, str]]:
    required = model.get("required") or ()
    for name, schema in (model.get("properties") or {}).items():
        optional = "" if name in required else " (optional)"
        yield (
            f"<code>{escape(name)}</code>{optional}",
            _type(schema),
            _prose(schema.get("description", "")),
        )


def _content(answer: Node) -> str:
    found = (answer.get("content") or {}).items()
    return "<br>".join(
        f"<code>{escape(media)}</code>: {_type(entry.get('schema') or {})}"
        for media, entry in found
    )


def _type(schema: Node) -> str:
    if reference := schema.get("$ref"):
        name = escape(str(reference).rpartition("/")[2])
        return f'<a href="#schema-{name}">{name}</a>'
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(map(_type, choices))
    if "const" in schema:
        return f"<code>{escape(repr(schema['const']))}</code>"
    return _structure(schema)


def _structure(schema: Node) -> str:
    kind = schema.get("type") or "any"
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if schema.get("contentSchema"):
        return f"{escape(text)} of JSON: {_type(schema['contentSchema'])}"
    if schema.get("properties"):
        fields = (f"<code>{escape(n)}</code>: {_type(s)}" for n, s in schema["properties"].items())
        return f"{escape(text)} of {', '.join(fields)}"
    if schema.get("items"):
        return f"{escape(text)} of {_type(schema['items'])}"
    return escape(text)


def _table(caption: str, rows: Iterable[tuple[str, ...]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h3>{caption}</h3><table>{body}</table>" if body else ""


def _prose(text: str) -> str:
    """Return text with its ``code`` marked up."""
    pieces = escape(text).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )
