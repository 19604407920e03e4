"""/docs: the OpenAPI document as one page. No script and nothing from elsewhere, so it works on a machine without internet."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import Any

from fastapi import FastAPI, Request
from jinja2 import Environment, select_autoescape
from starlette.responses import HTMLResponse

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff }
code { font-size: .92em } nav li { list-style: none } section { border-top: 1px solid #ccc; margin-top: 2rem }
h3 code { background: #eef; padding: .1rem .4rem; border-radius: .2rem } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #eee }
pre { background: #f6f6f6; padding: .6rem; overflow: auto }
@media (prefers-color-scheme: dark) { body { background: #161616; color: #e8e8e8 } h3 code, pre { background: #26262e } td, th { border-color: #333 } a { color: #9cf } }
"""
_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} API {{ version }}</title><style>{{ style }}</style></head><body>
<h1>{{ title }} API {{ version }}</h1><p>{{ summary }}</p>{% for line in description %}<p>{{ line }}</p>{% endfor %}
<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>
<nav><ul>{% for tag, found in groups %}<li><a href="#{{ tag }}">{{ tag }}</a>: {{ found|length }} operations</li>{% endfor %}</ul></nav>
{% for tag, found in groups %}<section id="{{ tag }}"><h2>{{ tag }}</h2>
{% for it in found %}<article id="{{ it.id }}"><h3><code>{{ it.method }} {{ it.path }}</code> {{ it.summary }}</h3>
{% for line in it.description %}<p>{{ line }}</p>{% endfor %}
{% if it.fields %}<table><tr><th>field</th><th>where</th><th>type</th><th>meaning</th></tr>
{% for field in it.fields %}<tr><td><code>{{ field.name }}</code>{% if field.required %} *{% endif %}</td><td>{{ field.where }}</td><td>{{ field.type }}</td><td>{{ field.words }}</td></tr>{% endfor %}
</table>{% endif %}
<p>Answers: {% for status, words in it.answers %}<code>{{ status }}</code> {{ words }}{% if not loop.last %} · {% endif %}{% endfor %}</p>
</article>{% endfor %}</section>{% endfor %}</body></html>
"""


def install_docs(app: FastAPI) -> None:
    """Serve the page at /docs."""
    hashed = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    headers = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{hashed}'; frame-ancestors 'none'"
    }

    def docs(_request: Request) -> HTMLResponse:
        return HTMLResponse(_page(app), headers=headers)

    app.add_route("/docs", docs, include_in_schema=False)


@lru_cache(maxsize=4)
def _page(app: FastAPI) -> str:
    document = app.openapi()
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    info = document["info"]
    return environment.from_string(_TEMPLATE).render(
        title=info["title"],
        version=info["version"],
        summary=info.get("summary", ""),
        description=info["description"].split("\n\n"),
        style=_STYLE,
        groups=_groups(document),
    )


def _groups(document: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(
                _operation(document, method, path, operation)
            )
    return list(groups.items())


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {
            "name": parameter["name"],
            "where": parameter["in"],
            "required": parameter.get("required", False),
            "type": _type(parameter["schema"]),
            "words": parameter.get("description", ""),
        }
        for parameter in operation.get("parameters", ())
    ]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", "").split("\n\n"),
        "fields": parameters + _body_fields(document, operation),
        "answers": [(status, answer["description"]) for status, answer in operation["responses"].items()],
    }


def _body_fields(document: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {})
    found = []
    for kind, body in content.items():
        schema = _resolved(document, body.get("schema", {}))
        for name, field in schema.get("properties", {}).items():
            plain = _resolved(document, field)
            found.append(
                {
                    "name": name,
                    "where": "body" if len(content) == 1 else kind,
                    "required": name in schema.get("required", ()),
                    "type": _type(field),
                    "words": field.get("description") or plain.get("description", ""),
                }
            )
    return found


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
