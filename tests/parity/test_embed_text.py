"""EmbedText gives what the libraries give in-process on the same weights."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import pipeline

from standpipe import AsyncClient, Client
from standpipe.options import EmbedOptions, PoolingName
from standpipe_bench.requests.texts import texts
from standpipe_bench.server_process import ServerProcess

Floats = NDArray[np.float32]

ODD = [
    "",
    " ",
    "\n\t",
    "a",
    "😀",
    "👩‍👩‍👧‍👦 family, flags 🇫🇷🇯🇵, and skin 👋🏽",
    "消防立管是一根固定的管道。",
    "日本語の文章です。漢字とかなが混ざっています。",
    "Привет, мир! Как дела?",
    "مرحبا بالعالم",
    "שלום עולם",
    "हिन्दी में एक वाक्य",
    "naïve café, Ångström, ﬁne ligature, é as e\u0301",
    "tabs\tand\nnewlines\r\nand \u00a0 odd \u2003 spaces",
    "<script>alert('x')</script> & entities &amp; [CLS] [MASK] [SEP]",
    "SHOUTING AND whispering",
    "1234567890 3.14159 1e-9 $5,000.00 50%",
    "x" * 3000,
    "word " * 5000,
    "水" * 2000,
    "\x01\x02 control \x7f",
    "\ufeffbyte order mark",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 beyond the first plane 𐍈",
]


def varied_texts() -> list[str]:
    """200 texts from nothing to 5,000 words, mixed."""
    sizes = [1, 3, 10, 40, 100]
    rest = [text for seed, words in enumerate(sizes) for text in texts(36, words, seed)]
    varied = (ODD + rest)[:200]
    random.Random(0).shuffle(varied)
    return varied


TEXTS = varied_texts()


NAME = "all-MiniLM-L6-v2"
TORCH = f"{NAME}-torch"
# Cosine of a vector of torch's and the library's.
LEAST = 0.99999
FORMS = ["torch", "auto"]


class Form(NamedTuple):
    """The model as a server has it, and how alike its vectors are to the library's."""

    address: str
    model: str
    least: float


@pytest.fixture(scope="module")
def minilm(demo_folders: dict[str, Path]) -> Path:
    """The real weights, which set-up fetched."""
    return demo_folders[NAME]


@pytest.fixture(scope="module")
def oracle(minilm: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm), device="cpu")


@pytest.fixture
def form(
    request: pytest.FixtureRequest, demo_parity_server: ServerProcess, default_server: ServerProcess
) -> Form:
    """In full precision on torch, or as the machine serves it best."""
    return {
        "torch": Form(demo_parity_server.address, TORCH, LEAST),
        "auto": Form(default_server.address, NAME, 0.999),
    }[request.param]


@pytest.fixture
def client(demo_parity_server: ServerProcess) -> Iterator[Client]:
    with Client(demo_parity_server.address, retry=False) as client:
        yield client


def least_cosine(ours: Floats, theirs: Floats) -> float:
    assert ours.shape == theirs.shape
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(1) / lengths).min())


@pytest.fixture(scope="module")
def expected(oracle: SentenceTransformer) -> Floats:
    """Of all texts."""
    return np.asarray(oracle.encode(TEXTS, batch_size=16), np.float32)


@pytest.mark.parametrize("form", FORMS, indirect=True)
def test_200_texts_in_one_call_equal_sentence_transformers(form: Form, expected: Floats) -> None:
    with Client(form.address, retry=False) as client:
        vectors = client.embed_text(TEXTS, model=form.model)
    assert least_cosine(vectors, expected) >= form.least
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("form", FORMS, indirect=True)
async def test_200_single_calls_at_once_equal_sentence_transformers(form: Form, expected: Floats) -> None:
    async with AsyncClient(form.address, retry=False) as client:
        rows = await asyncio.gather(*(client.embed_text([text], model=form.model) for text in TEXTS))
    assert least_cosine(np.concatenate(rows), expected) >= form.least


POOLING: dict[PoolingName, str] = {"mean": "mean", "cls": "cls", "max": "max", "last_token": "lasttoken"}


@pytest.mark.parametrize("pooling", POOLING)
def test_each_pooling_equals_sentence_transformers(
    client: Client, minilm: Path, pooling: PoolingName
) -> None:
    transformer = modules.Transformer(str(minilm), max_seq_length=256)
    oracle = SentenceTransformer(modules=[transformer, modules.Pooling(384, POOLING[pooling])], device="cpu")
    theirs = np.asarray(oracle.encode(TEXTS[:50]), np.float32)
    ours = client.embed_text(TEXTS[:50], model=TORCH, pooling=pooling, normalize=False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5)


def test_fewer_dimensions_equal_sentence_transformers(client: Client, oracle: SentenceTransformer) -> None:
    theirs = np.asarray(oracle.encode(TEXTS, truncate_dim=64, normalize_embeddings=True), np.float32)
    ours = client.embed_text(TEXTS, model=TORCH, dimensions=64)
    assert least_cosine(ours, theirs) >= LEAST


def test_truncating_the_left_keeps_the_end(client: Client, oracle: SentenceTransformer) -> None:
    long = " ".join(texts(1, 600, seed=7))
    tokenizer = oracle.tokenizer
    tokenizer.truncation_side = "left"
    try:
        theirs = np.asarray(oracle.encode([long]), np.float32)
    finally:
        tokenizer.truncation_side = "right"
    ours = client.embed_text([long], model=TORCH, truncation_direction="left")
    assert least_cosine(ours, theirs) >= LEAST


PLAIN: dict[str, EmbedOptions] = {
    "the mean, unless asked otherwise": {},
    "the first token": {"pooling": "cls"},
    "the largest values": {"pooling": "max"},
    "the last token": {"pooling": "last_token"},
    "normalized": {"normalize": True},
}


@pytest.mark.parametrize("wish", PLAIN)
def test_a_plain_encoder_pools_as_the_request_says(
    tiny_parity_server: ServerProcess, tiny_folders: dict[str, Path], wish: str
) -> None:
    """The oracle is transformers' own feature-extraction pipeline, pooled by hand."""
    options: EmbedOptions = {**PLAIN[wish], "model": "plain-torch"}
    folder = str(tiny_folders["plain"])
    some = ["water stands ready", "the dog", "a fixed pipe for any hose with the right thread"]
    with torch.inference_mode():
        tokens = [np.asarray(rows[0]) for rows in pipeline("feature-extraction", model=folder)(some)]
    pool = {"cls": lambda rows: rows[0], "max": lambda rows: rows.max(0), "last_token": lambda rows: rows[-1]}
    theirs = np.stack(
        [pool.get(options.get("pooling") or "", lambda rows: rows.mean(0))(rows) for rows in tokens]
    )
    if options.get("normalize"):
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    with Client(tiny_parity_server.address, retry=False) as client:
        np.testing.assert_allclose(client.embed_text(some, **options), theirs, atol=1e-5)
