"""The OpenAPI document as a page shows it: operations by group, their parameters, and an example of the answer."""

from __future__ import annotations

import json
from typing import Any, Final

MAX_EXAMPLE_DEPTH: Final = 6
_METHODS: Final = ("get", "post")


def describe_operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of an OpenAPI document in its order: name, and operations with parameters and example answer."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                described = _describe(document, path, method, operation)
                groups.setdefault(operation["tags"][0], []).append(described)
    return [{"name": name, "operations": operations} for name, operations in groups.items()]


def _describe(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    parameters = [
        {
            "name": parameter["name"],
            "place": parameter["in"],
            "is_required": parameter.get("required", False),
            "description": parameter.get("description") or parameter["schema"].get("description", ""),
            "bounds": _bounds(parameter["schema"]),
        }
        for parameter in operation.get("parameters", ())
    ]
    answer: dict[str, Any] = next((a for status, a in operation["responses"].items() if status.startswith("2")), {})
    content = answer.get("content", {})
    schema = content.get("application/json", {}).get("schema")
    # Of an answer that is no JSON, its media type says what it is.
    example = next(iter(content), None)
    if schema is not None:
        example = json.dumps(_example(document, schema, 0), ensure_ascii=False, indent=2)
    return {
        "path": path,
        "method": method,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": parameters,
        "body": next(iter(operation.get("requestBody", {}).get("content", {})), None),
        "example": example,
    }


def _bounds(schema: dict[str, Any]) -> str:
    """Return type and limits of a parameter in a few words; the null of an optional one is left out."""
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            schema = {**schema, **option}
    parts = [str(schema.get("type", ""))]
    if "enum" in schema:
        parts.append(" | ".join(map(str, schema["enum"])))
    if "minimum" in schema or "maximum" in schema:
        parts.append(f"{schema.get('minimum', '')}–{schema.get('maximum', '')}")
    if "maxLength" in schema:
        parts.append(f"≤ {schema['maxLength']}")
    if schema.get("default") is not None:
        parts.append(f"= {schema['default']}")
    return " ".join(part for part in parts if part)


def _example(document: dict[str, Any], schema: dict[str, Any], depth: int) -> Any:
    """Return a value of the shape that a schema describes: type names in place of values."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if depth > MAX_EXAMPLE_DEPTH:
        return "…"
    if "properties" in schema:
        return {name: _example(document, inner, depth + 1) for name, inner in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_example(document, schema["items"], depth + 1)]
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        inner = _example(document, options[0], depth)
        return f"{inner} | null" if isinstance(inner, str) else inner
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return schema.get("type", "object")
