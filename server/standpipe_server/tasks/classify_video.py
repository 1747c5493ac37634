"""ClassifyVideo: videos into scored labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from standpipe.v1 import vision_pb2
from standpipe_server.errors import InvalidInputError, ModelLoadError
from standpipe_server.interfaces import Call, Output
from standpipe_server.kinds import VIDEO_CLASSIFIER
from standpipe_server.media.videos import EncodedVideo, encoded_video
from standpipe_server.media_programs import ImageModel
from standpipe_server.programs import Floats
from standpipe_server.tasks.base import InputLimits, Task, check_count, known, positive
from standpipe_server.tasks.images import image_cost, sample_video
from standpipe_server.tasks.labels import (
    FUNCTIONS,
    PLAIN_FUNCTIONS,
    FunctionName,
    Scored,
    best_first,
    labels_of,
    to_message,
)

_TOP_K = 5
_FLEXIBLE = ("timesformer",)
"""Types of models that look at any number of frames; all others know their frames by their places."""


@dataclass(frozen=True, slots=True)
class ClassifyVideoParameters:
    """What to look at, and how to classify.

    Attributes:
        function: Makes scores of outputs.
        top_k: Labels to give.
        num_frames: To look at; None for as many as the model was trained for.
        rate: Every so manieth frame is taken.
    """

    function: FunctionName = "softmax"
    top_k: int = _TOP_K
    num_frames: int | None = None
    rate: int = 1


class ClassifyVideoHead:
    """Turns the logits of a video into scored labels."""

    def __init__(self, model: ImageModel) -> None:
        if find_spec("av") is None:
            raise ModelLoadError("reading videos needs the package av: pip install 'standpipe[video]'")
        self._labels = labels_of(model.config)
        self._frames: int = model.config.num_frames
        self._flexible = model.config.model_type in _FLEXIBLE

    def picture(self, call: Call) -> list[Any]:
        video: EncodedVideo = call.input
        asked: ClassifyVideoParameters = call.parameters
        frames = asked.num_frames or self._frames
        if frames != self._frames and not self._flexible:
            raise InvalidInputError(f"the model looks at {self._frames} frames, not {frames}", "num_frames")
        return video.frames(frames, asked.rate)

    def answer(self, call: Call, outputs: Mapping[str, Floats]) -> list[Scored]:
        asked: ClassifyVideoParameters = call.parameters
        scores = FUNCTIONS[asked.function](outputs["logits"])
        return best_first(self._labels, scores.tolist(), asked.top_k)


def _decode(request: vision_pb2.ClassifyVideoRequest, limits: InputLimits) -> list[Call]:
    check_count(request.videos, "videos", limits)
    parameters = ClassifyVideoParameters(
        function=known(PLAIN_FUNCTIONS, request.function_to_apply, "function_to_apply"),
        top_k=positive(request, "top_k", _TOP_K),
        num_frames=positive(request, "num_frames", None),
        rate=positive(request, "frame_sampling_rate", 1),
    )
    return [
        Call(
            encoded_video(video.content, f"videos[{index}].content", limits.video_file),
            parameters,
            f"videos[{index}]",
        )
        for index, video in enumerate(request.videos)
    ]


def _encode(
    outputs: Sequence[Output], _: vision_pb2.ClassifyVideoRequest
) -> vision_pb2.ClassifyVideoResponse:
    return vision_pb2.ClassifyVideoResponse(results=[to_message(output.value) for output in outputs])


CLASSIFY_VIDEO = Task(
    name="video-classification",
    rpc="standpipe.v1.VisionService.ClassifyVideo",
    request=vision_pb2.ClassifyVideoRequest,
    response=vision_pb2.ClassifyVideoResponse,
    kind=VIDEO_CLASSIFIER,
    parameters=ClassifyVideoParameters,
    head=ClassifyVideoHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    default=("MCG-NJU/videomae-base-finetuned-kinetics", "488eb9a"),
    warm_up=[[Call(sample_video(), ClassifyVideoParameters(), "videos[0]")]],
)
