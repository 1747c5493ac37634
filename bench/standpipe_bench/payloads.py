"""Requests to send: texts of a stated length, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import cycle, islice

from google.protobuf.message import Message

from standpipe.v1 import common_pb2, text_pb2

EMBED_TEXT = "standpipe.v1.TextService.EmbedText"
RERANK_TEXT = "standpipe.v1.TextService.RerankText"
CLASSIFY_TEXT = "standpipe.v1.TextService.ClassifyText"
TRANSFORM_TEXT = "standpipe.v1.TextService.TransformText"

# Frequent English words; nearly every one is one token of every tokenizer.
_WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "was",
    "he",
    "for",
    "it",
    "with",
    "as",
    "his",
    "on",
    "be",
    "at",
    "by",
    "had",
    "not",
    "are",
    "but",
    "from",
    "or",
    "have",
    "an",
    "they",
    "which",
    "one",
    "you",
    "were",
    "her",
    "all",
    "she",
    "there",
    "would",
    "their",
    "we",
    "him",
    "been",
    "has",
    "when",
    "who",
    "will",
    "more",
    "no",
    "if",
    "out",
    "so",
    "said",
    "what",
    "up",
    "its",
    "about",
    "into",
    "than",
    "them",
    "can",
    "only",
    "other",
    "new",
    "some",
    "could",
    "time",
    "these",
    "two",
    "may",
    "then",
    "do",
    "first",
    "any",
    "my",
    "now",
    "such",
    "like",
    "our",
    "over",
    "man",
    "me",
    "even",
    "most",
    "made",
    "after",
    "also",
    "did",
    "many",
    "before",
    "must",
    "through",
    "back",
    "years",
    "where",
    "much",
    "your",
    "way",
    "well",
    "down",
    "should",
    "because",
    "each",
    "just",
    "those",
    "people",
    "how",
    "too",
    "little",
    "state",
    "good",
    "very",
    "make",
    "world",
    "still",
    "own",
    "see",
    "men",
    "work",
    "long",
    "get",
    "here",
    "between",
    "both",
    "life",
    "being",
    "under",
    "never",
    "day",
    "same",
    "another",
    "know",
    "while",
    "last",
    "might",
    "us",
    "great",
    "old",
    "year",
    "off",
    "come",
    "since",
    "against",
    "go",
    "came",
    "right",
    "used",
    "take",
    "three",
    "water",
    "house",
    "school",
    "place",
    "group",
    "hand",
    "river",
    "city",
    "light",
]


def texts(count: int, words: int, seed: int) -> list[str]:
    """Texts of about ``words`` words: between half and one and a half times as many, evenly spread."""
    # Not for secrets: the same seed must give the same texts everywhere.
    generator = random.Random(seed)  # noqa: S311
    lengths = [generator.randint(max(1, words // 2), words + words // 2) for _ in range(count)]
    return [" ".join(generator.choices(_WORDS, k=length)) for length in lengths]


def mixed_texts(count: int, seed: int) -> list[str]:
    """Texts of 10 to 60 tokens, two special ones included; as many shorter than 24 as longer.

    Lengths of sentences are spread like that: evenly by their ratios, not by their differences.
    """
    generator = random.Random(seed)  # noqa: S311
    return [_words(generator, _length(generator, 10, 60) - 2) for _ in range(count)]


def mixed_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Queries and texts, together as long as ``mixed_texts`` with three special tokens."""
    generator = random.Random(seed)  # noqa: S311
    pairs = []
    for _ in range(count):
        words = _length(generator, 10, 60) - 3
        query = generator.randint(3, min(8, words // 2))
        pairs.append((_words(generator, query), _words(generator, words - query)))
    return pairs


def numbers_to_spell(count: int, seed: int) -> list[str]:
    """Instructions for the demo model that writes: as many numbers of each count of digits, one to six."""
    generator = random.Random(seed)  # noqa: S311
    digits = islice(cycle(range(6)), count)
    return [f"spell in English: {generator.randrange(10**n, 10 ** (n + 1))}" for n in digits]


def prompt(generator: random.Random) -> str:
    """A text of 20 to 60 tokens to continue, spread like ``mixed_texts``."""
    return _words(generator, _length(generator, 20, 60))


def embed_requests(items: int, words: int, seed: int, model: str = "") -> Iterator[bytes]:
    """Serialized EmbedTextRequests of ``items`` texts each, 64 different ones over and over."""
    pool = [texts(items, words, seed * 1000 + index) for index in range(64)]
    packed = text_pb2.EMBEDDING_FORMAT_PACKED
    return serialized(text_pb2.EmbedTextRequest(model=model, texts=batch, format=packed) for batch in pool)


def rerank_requests(pairs: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Serialized RerankTextRequests of a pair each, over and over."""
    return serialized(text_pb2.RerankTextRequest(query=query, texts=[text]) for query, text in pairs)


def classify_requests(inputs: Iterable[str]) -> Iterator[bytes]:
    """Serialized ClassifyTextRequests of a text each, over and over."""
    return serialized(text_pb2.ClassifyTextRequest(texts=[text]) for text in inputs)


def transform_requests(inputs: Iterable[str], max_new_tokens: int) -> Iterator[bytes]:
    """Serialized TransformTextRequests of a text each, over and over."""
    parameters = common_pb2.GenerationParameters(max_new_tokens=max_new_tokens)
    return serialized(text_pb2.TransformTextRequest(texts=[text], parameters=parameters) for text in inputs)


def serialized(requests: Iterable[Message]) -> Iterator[bytes]:
    """Bytes of requests, over and over."""
    return cycle([request.SerializeToString() for request in requests])


def _length(generator: random.Random, least: int, most: int) -> int:
    share: float = (most / least) ** generator.random()
    return round(least * share)


def _words(generator: random.Random, count: int) -> str:
    return " ".join(generator.choices(_WORDS, k=count))
