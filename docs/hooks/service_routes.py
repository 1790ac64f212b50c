"""The service as its OpenAPI describes it, its settings and its refusals."""

from collections.abc import Iterator
from typing import Any

from writing import code, heading, table

from mlops_cls.service.app import create_app
from mlops_cls.service.problems import KINDS
from mlops_cls.service.settings import Settings, flag, variable

BY_ENVIRONMENT_ONLY = "api_keys"
MEDIA = {"multipart/form-data": "form", "application/json": "JSON"}
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def settings_table() -> str:
    """Return every setting of the service: flag, variable, what it may be, default, meaning."""
    schema = Settings.model_json_schema()["properties"]
    rows = [
        ["" if name == BY_ENVIRONMENT_ONLY else "the argument" if name == "model" else code(flag(name)),
         code(variable(name)), _kind(schema[name]), code(schema[name].get("default", "")), field.description or ""]
        for name, field in Settings.model_fields.items()
    ]  # fmt: skip
    return table(["flag", "variable", "allowed", "default", "meaning"], rows)


def routes() -> str:
    """Return every route: what it is for, what it takes, and what it may answer."""
    found = create_app().openapi()["paths"]
    return "\n\n".join(
        part
        for path, methods in found.items()
        for method, route in methods.items()
        for part in _route(method, path, route)
    )


def _route(method: str, path: str, route: dict[str, Any]) -> Iterator[str]:
    yield heading(3, f"{method.upper()} {path}", route["operationId"])
    yield route["description"]
    taken = _taken(route)
    if taken:
        yield table(["takes", "in", "allowed", "meaning"], taken)
    yield table(["status", "answer", ""], [_answer(*each) for each in sorted(route["responses"].items())])


def _taken(route: dict[str, Any]) -> list[list[str]]:
    """Return a row for each thing that a route takes; the same thing may be taken in several places."""
    rows: dict[str, list[str]] = {}
    for name, place, schema, meaning in [*_parameters(route), *_body(route)]:
        places = f"{rows[name][1]} or {place}" if name in rows else place
        rows[name] = [name, places, _kind(schema), meaning]
    return list(rows.values())


def _parameters(route: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    for each in route.get("parameters", []):
        yield code(each["name"]), each["in"], each["schema"], each.get("description", "")


def _body(route: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    for media, content in route.get("requestBody", {}).get("content", {}).items():
        if "$ref" in content["schema"]:
            yield "the body", MEDIA[media], content["schema"], ""
        for name, each in content["schema"].get("properties", {}).items():
            yield code(name), MEDIA[media], each, each.get("description", "")


def _answer(status: str, response: dict[str, Any]) -> list[str]:
    schemas = {_kind(content.get("schema", {})) or media for media, content in response.get("content", {}).items()}
    said = response["description"]
    return [status, ", ".join(sorted(schemas)), "" if said == "Successful Response" else said]


def bodies() -> str:
    """Return every body that is sent or answered, with its fields."""
    found = create_app().openapi()["components"]["schemas"]
    return "\n\n".join(part for name, schema in found.items() for part in _fields(name, schema))


def _fields(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield heading(3, name, name.lower())
    yield schema.get("description", "")
    rows = [[code(key), _kind(each), each.get("description", "")] for key, each in schema["properties"].items()]
    yield table(["field", "type", "meaning"], rows)


def refusals() -> str:
    """Return every code with which the service refuses."""
    return table(
        ["status", "code", "title"], [[str(status), code(name), title] for name, (status, title) in KINDS.items()]
    )


def _kind(schema: dict[str, Any]) -> str:
    """Return what a value may be, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema:
        return ", ".join(map(code, schema["enum"]))
    limits = [f"{words} {schema[key]}" for key, words in LIMITS.items() if key in schema]
    return ", ".join(filter(None, [_type(schema), " and ".join(limits)]))


def _type(schema: dict[str, Any]) -> str:
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("format") == "binary":
        return "file"
    kind = str(schema.get("type", ""))
    words = {"integer": "whole number", "boolean": "true or false", "string": "text", "object": "mapping"}
    return words.get(kind, kind)
