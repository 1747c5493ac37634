"""JSON Schemas that openvino-genai would not hold, said otherwise or refused."""

from __future__ import annotations

from typing import Any

import pytest

from standpipe_server.backends.openvino.schemas import held
from standpipe_server.errors import InvalidInputError

TEXT = r'^[^\x00-\x1f"\\]{%s}$'


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (True, True),
        ({"type": "object"}, {"type": "object"}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "pattern": TEXT % "0,9"}),
        ({"type": "string", "minLength": 2}, {"type": "string", "pattern": TEXT % "2,"}),
        ({"pattern": "^a+$", "maxLength": 9}, {"pattern": "^a+$", "maxLength": 9}),
        ({"type": "integer", "minimum": 2, "maximum": 4}, {"enum": [2, 3, 4]}),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 4}, {"enum": [1, 2, 3]}),
        ({"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 4}, {"enum": [4, 8]}),
        (
            {"properties": {"maximum": {"maxLength": 1}}},
            {"properties": {"maximum": {"pattern": TEXT % "0,1"}}},
        ),
        ({"enum": [{"maximum": 3, "minimum": 1}]}, {"enum": [{"maximum": 3, "minimum": 1}]}),
        (
            {"anyOf": [{"type": "null"}, {"items": {"type": "integer", "minimum": 0, "maximum": 1}}]},
            {"anyOf": [{"type": "null"}, {"items": {"enum": [0, 1]}}]},
        ),
    ],
)
def test_what_can_be_said_otherwise_is(schema: Any, said: Any) -> None:
    assert said == held(schema)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "number", "minimum": 0, "maximum": 1}, "minimum, maximum"),
        ({"type": "integer", "minimum": 0}, "minimum"),
        ({"type": "integer", "minimum": 0, "maximum": 1_000_000}, "minimum, maximum"),
        ({"items": {"type": "number", "multipleOf": 0.5}}, "multipleOf"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum, maximum"),
    ],
)
def test_what_cannot_is_refused_by_its_name(schema: Any, keyword: str) -> None:
    with pytest.raises(InvalidInputError, match=f"numbers to {keyword};") as caught:
        held(schema)
    assert "constraint.json_schema" == caught.value.field
