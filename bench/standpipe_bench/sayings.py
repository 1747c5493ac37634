"""How the answers of each RPC read in a few words.

Not aware of how they were asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import shorten
from typing import Any

from standpipe.v1 import text_pb2, vision_pb2

_LONGEST = 200
"""Characters of what a causal model writes that are shown."""


def _embeddings(response: text_pb2.EmbedTextResponse | vision_pb2.EmbedImageResponse) -> str:
    first, *others = [embedding.values for embedding in response.embeddings]
    products = [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    likeness = ", ".join(f"1·{number} = {product:.2f}" for number, product in enumerate(products, start=2))
    return f"{len(others) + 1} vectors of {response.dimensions}; {likeness}"


def _labels(response: Any) -> str:
    return lines(
        ", ".join(f"{one.label} {one.score:.2f}" for one in result.labels) for result in response.results
    )


def lines(parts: Iterable[str]) -> str:
    """A line for each."""
    return "\n".join(parts)


def _objects(response: Any) -> str:
    return lines(
        ", ".join(f"{one.label} {one.score:.2f} at {one.box.xmin}, {one.box.ymin}" for one in result.objects)
        for result in response.results
    )


def _share(mask: vision_pb2.Mask) -> str:
    """How much of an image a mask covers, where its runs are counted."""
    covered = sum(mask.run_lengths.counts[1::2])
    return f" {covered / (mask.width * mask.height):.0%}" if covered else ""


def _sounds(response: Any) -> str:
    return lines(
        f"{one.duration:.1f} s of sound, {len(one.content) / 1e3:.0f} kB" for one in response.results
    )


def _spoken(messages: Sequence[Any]) -> str:
    said = [message.sentence for message in messages if message.HasField("sentence")]
    return lines(f"{one.audio.duration:.1f} s: {one.text}" for one in said)


def _heard(messages: Sequence[Any]) -> str:
    interim = [message.interim.text for message in messages if message.HasField("interim")]
    before = lines(f"… {text}" for text in interim[:2])
    return f"{before}\n{messages[-1].result.text}".strip()


def _steps(messages: Sequence[Any]) -> str:
    """How a stream came to what it drew."""
    steps = max(message.progress.num_steps for message in messages)
    previews = sum(message.WhichOneof("event") == "preview" for message in messages)
    return f"{steps} steps" + (f", previews: {previews}" if previews else "")


def _pictures(messages: Sequence[Any]) -> str:
    images = messages[-1].result.images
    drawn = [
        f"{one.width} × {one.height} pixels, {len(one.content) / 1e3:.1f} kB, seed {one.seed}"
        for one in images
    ]
    return lines([*drawn, f"in {_steps(messages)}"])


def _film(messages: Sequence[Any]) -> str:
    film = messages[-1].result
    shape = f"{film.num_frames} frames of {film.width} × {film.height} pixels, {film.fps:g} a second"
    return lines([f"{shape}, {len(film.content) / 1e3:.1f} kB, seed {film.seed}", f"in {_steps(messages)}"])


def _prose(text: str) -> str:
    return shorten(text, _LONGEST, placeholder=" …")


def _streamed(messages: Sequence[Any]) -> str:
    deltas = [message.delta for message in messages if message.HasField("delta")]
    # Texts come as text, answers of a conversation as content.
    text = "".join(delta.content if hasattr(delta, "content") else delta.text for delta in deltas)
    return f"{_prose(text)}\nin {len(messages)} messages"


SAYINGS: Mapping[str, Callable[[Any], str]] = {
    "ListTasks": lambda response: (
        f"{len(response.tasks)} tasks, {sum(task.served for task in response.tasks)} of them served"
    ),
    "ListModels": lambda response: lines(
        f"{model.name}, from {model.revision or model.source}" for model in response.models
    ),
    "GetModel": lambda response: (
        f"{response.model.backend} {response.model.dtype} on {response.model.device}; {response.model.reason}"
    ),
    "EmbedText": _embeddings,
    "RerankText": lambda response: lines(f"{one.score:.2f} {one.text}" for one in response.results),
    "ClassifyText": _labels,
    "ClassifyTextZeroShot": _labels,
    "ClassifyTokens": lambda response: lines(
        ", ".join(f"{one.word} {one.entity_group or one.entity}" for one in result.entities)
        for result in response.results
    ),
    "AnswerQuestion": lambda response: lines(
        ", ".join(f"{one.answer} {one.score:.2f}" for one in result.answers) for result in response.results
    ),
    "AnswerTableQuestion": lambda response: lines(one.answer for one in response.results),
    "FillMask": lambda response: lines(
        ", ".join(f"{one.token_str} {one.score:.2f}" for one in mask.fills)
        for result in response.results
        for mask in result.masks
    ),
    "SummarizeText": lambda response: lines(one.summary_text for one in response.results),
    "TranslateText": lambda response: lines(one.translation_text for one in response.results),
    "TransformText": lambda response: lines(one.generated_text for one in response.results),
    "GenerateText": lambda response: lines(
        _prose(text.generated_text) for result in response.results for text in result.texts
    ),
    "StreamGenerateText": _streamed,
    "Chat": lambda response: _prose(response.message.content),
    "StreamChat": _streamed,
    "ClassifyImage": _labels,
    "ClassifyImageZeroShot": _labels,
    "DetectObjects": _objects,
    "DetectObjectsZeroShot": _objects,
    "SegmentImage": lambda response: lines(
        ", ".join(f"{one.label}{_share(one.mask)}" for one in result.segments) for result in response.results
    ),
    "GenerateMasks": lambda response: lines(f"{len(result.masks)} masks" for result in response.results),
    "EstimateDepth": lambda response: lines(
        f"{one.width} × {one.height} pixels, {one.min:.2f} to {one.max:.2f}" for one in response.results
    ),
    "EmbedImage": _embeddings,
    "CaptionImage": lambda response: lines(one.generated_text for one in response.results),
    "AnswerImageQuestion": lambda response: lines(
        ", ".join(one.answer for one in result.answers) for result in response.results
    ),
    "AnswerDocumentQuestion": lambda response: lines(
        ", ".join(one.answer for one in result.answers) for result in response.results
    ),
    "MatchKeypoints": lambda response: lines(f"{len(result.matches)} points" for result in response.results),
    "ClassifyVideo": _labels,
    "TranscribeAudio": lambda response: lines(one.text for one in response.results),
    "StreamTranscribeAudio": _heard,
    "ClassifyAudio": _labels,
    "ClassifyAudioZeroShot": _labels,
    "SynthesizeSpeech": _sounds,
    "StreamSynthesizeSpeech": _spoken,
    "GenerateAudio": _sounds,
    "GenerateImage": _pictures,
    "TransformImage": _pictures,
    "InpaintImage": _pictures,
    "GenerateVideo": _film,
    "Tokenize": lambda response: lines(
        " ".join(token.token for token in result.tokens) for result in response.results
    ),
    "Detokenize": lambda response: lines(response.texts),
    "ApplyChatTemplate": lambda response: response.text,
}
"""How the response of each RPC reads in a few words; of a stream, its messages."""
