"""Requests to send: texts of a stated length, from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import cycle

from standpipe.v1 import text_pb2

# Frequent English words; nearly every one is one token of every tokenizer.
_WORDS = ["the", "of", "and", "to", "in", "is", "was", "he", "for", "it", "with", "as", "his", "on", "be", "at", "by", "had", "not", "are", "but", "from", "or", "have", "an", "they", "which", "one", "you", "were", "her", "all", "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "more", "no", "if", "out", "so", "said", "what", "up", "its", "about", "into", "than", "them", "can", "only", "other", "new", "some", "could", "time", "these", "two", "may", "then", "do", "first", "any", "my", "now", "such", "like", "our", "over", "man", "me", "even", "most", "made", "after", "also", "did", "many", "before", "must", "through", "back", "years", "where", "much", "your", "way", "well", "down", "should", "because", "each", "just", "those", "people", "how", "too", "little", "state", "good", "very", "make", "world", "still", "own", "see", "men", "work", "long", "get", "here", "between", "both", "life", "being", "under", "never", "day", "same", "another", "know", "while", "last", "might", "us", "great", "old", "year", "off", "come", "since", "against", "go", "came", "right", "used", "take", "three", "water", "house", "school", "place", "group", "hand", "river", "city", "light"]


def texts(count: int, words: int, seed: int) -> list[str]:
    """Texts of about ``words`` words: between half and one and a half times as many, evenly spread."""
    # Not for secrets: the same seed must give the same texts everywhere.
    generator = random.Random(seed)  # noqa: S311
    lengths = [generator.randint(max(1, words // 2), words + words // 2) for _ in range(count)]
    return [" ".join(generator.choices(_WORDS, k=length)) for length in lengths]


def embed_requests(items: int, words: int, seed: int, model: str = "") -> Iterator[bytes]:
    """Serialized EmbedTextRequests of ``items`` texts each, 64 different ones over and over."""
    pool = [texts(items, words, seed * 1000 + index) for index in range(64)]
    packed = text_pb2.EMBEDDING_FORMAT_PACKED
    return cycle(
        [
            text_pb2.EmbedTextRequest(model=model, texts=batch, format=packed).SerializeToString()
            for batch in pool
        ]
    )
