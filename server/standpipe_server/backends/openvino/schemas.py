"""JSON Schemas in words that openvino-genai holds what it writes to.

Its grammars let through what some keywords forbid (2026.4.1): 128 where 120 is the maximum, control
characters where a length is given. What can be said in other words is; what can't is refused. Not aware of
the pipeline.
"""

from __future__ import annotations

from typing import Any

from standpipe_server.errors import InvalidInputError

# What holds schemas by names of somebody's own, and what holds no schemas.
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_VALUES = ("const", "default", "enum", "examples")
_LENGTHS = ("minLength", "maxLength")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
# Whole numbers that are listed one by one.
_MOST_LISTED = 1000


def held(schema: Any) -> Any:
    """The same schema in words that are held.

    Raises:
        InvalidInputError: There are none for a keyword; the message names it.
    """
    if isinstance(schema, list):
        return [held(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    said = {name: _below(name, value) for name, value in schema.items()}
    return _with_length(_with_bounds(said))


def _below(keyword: str, value: Any) -> Any:
    if keyword in _BY_NAME and isinstance(value, dict):
        return {name: held(schema) for name, schema in value.items()}
    return value if keyword in _VALUES else held(value)


def _with_length(schema: dict[str, Any]) -> dict[str, Any]:
    """A pattern says how long a text is."""
    lengths = {name: schema[name] for name in _LENGTHS if isinstance(schema.get(name), int)}
    if not lengths or "pattern" in schema:
        return schema
    kept = {name: value for name, value in schema.items() if name not in lengths}
    length = f"{lengths.get('minLength', 0)},{lengths.get('maxLength', '')}"
    return {**kept, "pattern": rf'^[^\x00-\x1f"\\]{{{length}}}$'}


def _with_bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers between bounds are listed."""
    bounds = {name: schema[name] for name in _BOUNDS if isinstance(schema.get(name), int | float)}
    if not bounds or "enum" in schema or "const" in schema:
        return schema
    numbers = _whole(bounds) if schema.get("type") == "integer" else None
    if not numbers:
        raise InvalidInputError(
            f"openvino-genai doesn't hold numbers to {', '.join(bounds)}; it does where at most "
            f"{_MOST_LISTED} integers lie between a minimum and a maximum",
            "constraint.json_schema",
        )
    kept = {name: value for name, value in schema.items() if name not in bounds and name != "type"}
    return {**kept, "enum": numbers}


def _whole(bounds: dict[str, int | float]) -> list[int] | None:
    """The whole numbers that bounds allow; None where they are no small range of whole numbers."""
    if not all(isinstance(bound, int) for bound in bounds.values()):
        return None
    least = [
        bounds[name] + step for name, step in (("minimum", 0), ("exclusiveMinimum", 1)) if name in bounds
    ]
    most = [bounds[name] - step for name, step in (("maximum", 0), ("exclusiveMaximum", 1)) if name in bounds]
    if not least or not most or max(least) + _MOST_LISTED < min(most):
        return None
    every = bounds.get("multipleOf", 1)
    return [number for number in range(int(max(least)), int(min(most)) + 1) if number % every == 0]
