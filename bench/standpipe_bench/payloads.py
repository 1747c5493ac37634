"""Requests to send: texts of a stated length, pictures of a stated size, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable
from io import BytesIO
from itertools import cycle, islice

import numpy as np
from google.protobuf.message import Message

from standpipe.v1 import common_pb2, image_generation_pb2, text_pb2, vision_pb2
from standpipe_bench.requests.texts import LogUniform, text_of, texts
from standpipe_bench.targets.grpc import Requests

EMBED_TEXT = "standpipe.v1.TextService.EmbedText"
RERANK_TEXT = "standpipe.v1.TextService.RerankText"
CLASSIFY_TEXT = "standpipe.v1.TextService.ClassifyText"
CLASSIFY_IMAGE = "standpipe.v1.VisionService.ClassifyImage"
TRANSFORM_TEXT = "standpipe.v1.TextService.TransformText"
GENERATE_IMAGE = "standpipe.v1.ImageGenerationService.GenerateImage"

_SENTENCE = LogUniform(10, 60)
"""Tokens."""


def mixed_texts(count: int, seed: int) -> list[str]:
    """Texts of 10 to 60 tokens, two special ones included; as many shorter than 24 as longer.

    Lengths of sentences are spread like that: evenly by their ratios, not by their differences.
    """
    generator = random.Random(seed)  # noqa: S311
    return [text_of(generator, _SENTENCE.draw(generator) - 2) for _ in range(count)]


def mixed_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Queries and texts, together as long as ``mixed_texts`` with three special tokens."""
    generator = random.Random(seed)  # noqa: S311
    pairs = []
    for _ in range(count):
        words = _SENTENCE.draw(generator) - 3
        query = generator.randint(3, min(8, words // 2))
        pairs.append((text_of(generator, query), text_of(generator, words - query)))
    return pairs


def numbers_to_spell(count: int, seed: int) -> list[str]:
    """Instructions for the demo model that writes: as many numbers of each count of digits, one to six."""
    generator = random.Random(seed)  # noqa: S311
    digits = islice(cycle(range(6)), count)
    return [f"spell in English: {generator.randrange(10**n, 10 ** (n + 1))}" for n in digits]


def digits_to_draw(count: int, seed: int) -> list[tuple[str, int]]:
    """Prompts for the demo model that draws, and a seed for each."""
    generator = random.Random(seed)  # noqa: S311
    return [(f"a handwritten {generator.randrange(10)}", generator.randrange(1 << 32)) for _ in range(count)]


def photos(count: int, seed: int) -> list[bytes]:
    """JPEGs of 640 × 480 pixels, about as large as photographs of that size: areas, edges and grain."""
    # Imported here: other commands do without it.
    from PIL import Image

    generator = np.random.default_rng(seed)
    files = []
    for _ in range(count):
        areas = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8)).resize((640, 480))
        edges = Image.fromarray(generator.integers(0, 256, (60, 80, 3), np.uint8)).resize((640, 480), 0)
        grain = Image.fromarray(generator.integers(0, 256, (480, 640, 3), np.uint8))
        file = BytesIO()
        Image.blend(Image.blend(areas, edges, 0.15), grain, 0.07).save(file, "JPEG", quality=85)
        files.append(file.getvalue())
    return files


def prompt(generator: random.Random) -> str:
    """A text of 20 to 60 tokens to continue, spread like ``mixed_texts``."""
    return text_of(generator, LogUniform(20, 60).draw(generator))


def embed_requests(items: int, words: int, seed: int, model: str = "") -> Requests:
    """EmbedTextRequests of ``items`` texts each, 64 different ones."""
    pool = [texts(items, words, seed * 1000 + index) for index in range(64)]
    packed = common_pb2.EMBEDDING_FORMAT_PACKED
    return _requests(
        (text_pb2.EmbedTextRequest(model=model, texts=batch, format=packed) for batch in pool), items
    )


def rerank_requests(pairs: Iterable[tuple[str, str]]) -> Requests:
    """RerankTextRequests of a pair each."""
    return _requests(text_pb2.RerankTextRequest(query=query, texts=[text]) for query, text in pairs)


def classify_requests(inputs: Iterable[str]) -> Requests:
    """ClassifyTextRequests of a text each."""
    return _requests(text_pb2.ClassifyTextRequest(texts=[text]) for text in inputs)


def image_requests(files: Iterable[bytes]) -> Requests:
    """ClassifyImageRequests of an image each."""
    images = (common_pb2.Image(content=file) for file in files)
    return _requests(vision_pb2.ClassifyImageRequest(images=[image]) for image in images)


def transform_requests(inputs: Iterable[str], max_new_tokens: int) -> Requests:
    """TransformTextRequests of a text each."""
    parameters = common_pb2.GenerationParameters(max_new_tokens=max_new_tokens)
    return _requests(text_pb2.TransformTextRequest(texts=[text], parameters=parameters) for text in inputs)


def drawing_requests(prompts: Iterable[tuple[str, int]], steps: int) -> Requests:
    """GenerateImageRequests of a prompt and a seed each."""
    return _requests(
        image_generation_pb2.GenerateImageRequest(
            prompt=prompt,
            parameters=image_generation_pb2.DiffusionParameters(num_inference_steps=steps, seed=seed),
        )
        for prompt, seed in prompts
    )


def _requests(messages: Iterable[Message], items: int = 1) -> Requests:
    serialized = [message.SerializeToString() for message in messages]
    return Requests(serialized, [items] * len(serialized))
