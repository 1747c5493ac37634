"""CaptionImage: images into words.

Source: the image-to-text pipeline of transformers 4, which transformers 5 has dropped: the processor, and
``generate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from standpipe.v1 import vision_pb2
from standpipe_server.interfaces import Call, Outcome, Output, Written
from standpipe_server.kinds import IMAGE_CHAT, IMAGE_WRITER
from standpipe_server.media_programs import ImageTextModel
from standpipe_server.programs import Generation
from standpipe_server.tasks.base import InputLimits, Task, check_text, optional
from standpipe_server.tasks.causal import written
from standpipe_server.tasks.image_text import ImageInstructedHead, ImageText, each, generation, together
from standpipe_server.tasks.images import image_calls, image_cost, sample_image
from standpipe_server.tasks.writing import BRIEF

_REQUEST = "Describe this image in one sentence."
"""What a model that chats is asked where the call doesn't say."""


@dataclass(frozen=True, slots=True)
class CaptionParameters:
    """How to write.

    Attributes:
        prompt: How the caption begins, or what a model that chats is asked.
        generation: How the model writes.
    """

    prompt: str | None = None
    generation: Generation = Generation()


class CaptionHead:
    """Lets the model go on from a prompt, or answer one."""

    def __init__(self, model: ImageTextModel) -> None:
        self._model = model

    def answers(self, calls: Sequence[Call], images: Sequence[object]) -> Sequence[Outcome]:
        asked: CaptionParameters = calls[0].parameters
        if self._model.chats:
            text = _REQUEST if asked.prompt is None else asked.prompt
            return each(
                lambda image, _: _output(*self._model.chat(image, text, asked.generation)), calls, images
            )
        size = len(calls) if together(asked.generation) else 1
        texts: list[tuple[Written, int]] = []
        for start in range(0, len(calls), size):
            part = images[start : start + size]
            prompts = None if asked.prompt is None else [asked.prompt] * len(part)
            texts += self._model.write(part, prompts, asked.generation)
        return [_output(*one) for one in texts]


class CaptionChatHead(ImageInstructedHead):
    """Asks a model that chats for the caption."""

    def instruction(self, call: Call) -> str:
        asked: CaptionParameters = call.parameters
        return _REQUEST if asked.prompt is None else asked.prompt


def _output(written: Written, tokens: int) -> Output:
    return Output((written,), tokens)


def _decode(request: vision_pb2.CaptionImageRequest, limits: InputLimits) -> list[Call]:
    prompt = optional(request, "prompt", None)
    if prompt is not None:
        check_text(prompt, "prompt", limits)
    parameters = CaptionParameters(prompt, generation(request, limits))
    calls = image_calls(request.images, parameters, limits)
    return [Call(ImageText(call.input), parameters, call.field) for call in calls]


def _encode(outputs: Sequence[Output], _: vision_pb2.CaptionImageRequest) -> vision_pb2.CaptionImageResponse:
    texts = map(written, outputs)
    captions = [vision_pb2.Caption(generated_text=text.text, generated_tokens=text.tokens) for text in texts]
    return vision_pb2.CaptionImageResponse(results=captions)


CAPTION_IMAGE = Task(
    name="image-to-text",
    rpc="standpipe.v1.VisionService.CaptionImage",
    request=vision_pb2.CaptionImageRequest,
    response=vision_pb2.CaptionImageResponse,
    kind=IMAGE_WRITER,
    parameters=CaptionParameters,
    head=CaptionHead,
    decode=_decode,
    encode=_encode,
    cost=image_cost,
    mixes=False,
    also={IMAGE_CHAT: CaptionChatHead},
    default=("ydshieh/vit-gpt2-coco-en", "5bebf1e"),
    warm_up=[[Call(ImageText(sample_image()), CaptionParameters(generation=BRIEF), "images[0]")]],
)
