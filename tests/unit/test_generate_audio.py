"""GenerateAudio's head: what each kind of model is asked for, and what it doesn't take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from standpipe.v1 import audio_pb2
from standpipe_server.engine.watching import Watch
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Call
from standpipe_server.media_programs import SoundWay
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits
from standpipe_server.tasks.generate_audio import GENERATE_AUDIO, GenerateAudioHead

SEED = {"parameters": {"seed": "7"}}


class Maker:
    """Notes what it is asked for; see ``media_programs.SoundModel``.

    Args:
        way: How it makes sounds.
    """

    folder = Path()
    config: Any = None
    rate = 8000

    def __init__(self, way: SoundWay) -> None:
        self.way = way
        self.asked: dict[str, Any] = {}

    def tokens(self, text: str) -> int:
        return len(text)

    def sound(
        self,
        text: str,
        *,
        seed: int | None,
        options: Mapping[str, Any] = MappingProxyType({}),
        attributes: Mapping[str, Any] = MappingProxyType({}),
        gone: Callable[[], bool] = lambda: False,
    ) -> Floats:
        self.asked = {"seed": seed, "options": dict(options), "gone": gone}
        return np.zeros(800, np.float32)


def decoded(request: dict[str, Any], limits: InputLimits | None = None) -> Call:
    message = json_format.ParseDict({"prompts": ["a bell"]} | request, audio_pb2.GenerateAudioRequest())
    return GENERATE_AUDIO.decode(message, limits or InputLimits())[0]


def asked(way: SoundWay, call: Call) -> dict[str, Any]:
    """What a model of that way is asked for."""
    model = Maker(way)
    GenerateAudioHead(model).answer(call)
    return {name: value for name, value in model.asked.items() if name != "gone" and value is not None}


@pytest.mark.parametrize(
    ("way", "request_", "expected"),
    [
        ("writing", SEED, {"seed": 7, "options": {}}),
        ("at once", SEED, {"seed": 7, "options": {}}),
        ("diffusion", SEED, {"seed": 7, "options": {}}),
        (
            "writing",
            {"parameters": {"maxNewTokens": 9}, "guidanceScale": 2},
            {"options": {"max_new_tokens": 9, "guidance_scale": 2.0}},
        ),
        (
            "diffusion",
            {"negativePrompt": "", "numInferenceSteps": 250, "duration": 0.7, "guidanceScale": 2},
            {
                "options": {
                    "negative_prompt": "",
                    "num_inference_steps": 250,
                    "duration": 0.7,
                    "guidance_scale": 2.0,
                }
            },
        ),
    ],
)
def test_a_model_is_asked_for_what_it_takes(
    way: SoundWay, request_: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert expected == asked(way, decoded(request_))


@pytest.mark.parametrize(
    ("way", "request_", "field"),
    [
        *(
            (way, {name: value}, field)
            for way in ("writing", "at once")
            for name, value, field in (
                ("negativePrompt", "rain", "negative_prompt"),
                ("numInferenceSteps", 2, "num_inference_steps"),
                ("duration", 2, "duration"),
            )
        ),
        ("at once", {"guidanceScale": 2}, "guidance_scale"),
        *((way, {"parameters": {"topK": 5}}, "parameters.top_k") for way in ("at once", "diffusion")),
    ],
)
def test_what_a_model_does_not_take_is_named(way: SoundWay, request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInputError, match="leave it out") as caught:
        asked(way, decoded(request_))
    assert field == caught.value.field


@pytest.mark.parametrize("way", ["writing", "at once", "diffusion"])
def test_each_is_warmed_up_with_little(way: SoundWay) -> None:
    warm_up = GENERATE_AUDIO.warm_up[0][0]
    little = {
        "writing": {"options": {"max_new_tokens": 8}},
        "at once": {"options": {}},
        "diffusion": {"options": {"num_inference_steps": 2}},
    }
    assert little[way] == asked(way, warm_up)


@pytest.mark.parametrize(
    ("request_", "field", "limit"),
    [
        ({"numInferenceSteps": 4}, "num_inference_steps", "max_steps"),
        ({"negativePrompt": "of eleven b"}, "negative_prompt", "max_text_bytes"),
    ],
)
def test_limits_hold(request_: dict[str, Any], field: str, limit: str) -> None:
    with pytest.raises(LimitExceededError, match=limit) as caught:
        decoded(request_, InputLimits(max_steps=3, max_text_bytes=10))
    assert field == caught.value.field


async def test_a_model_may_ask_whether_anybody_waits() -> None:
    model, watch = Maker("diffusion"), Watch()
    (call,) = watch.over([decoded({})])
    GenerateAudioHead(model).answer(call)
    assert not model.asked["gone"]()
    watch.gone = True
    assert model.asked["gone"]()
