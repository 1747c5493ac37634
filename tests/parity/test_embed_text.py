"""EmbedText gives what the libraries give in-process on the same weights."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import pipeline

from standpipe import AsyncClient, Client
from standpipe.options import EmbedOptions, PoolingName
from standpipe_bench.payloads import texts
from standpipe_bench.server_process import ServerProcess, server_process
from standpipe_server import demo_models

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


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The real weights, which set-up fetched."""
    return demo_models.fetch(demo_models.RECIPES[0], lambda done, total: None)


@pytest.fixture(scope="module")
def oracle(minilm: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm), device="cpu")


@pytest.fixture(scope="module")
def server(
    minilm: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The real weights on both backends, and a plain encoder, in one server that a file configures."""
    config = tmp_path_factory.mktemp("config") / "standpipe.toml"
    config.write_text(f"""
        [[model]]
        name = "torch"
        source = "{minilm}"
        backend = "torch"
        dtype = "fp32"

        [[model]]
        name = "openvino"
        source = "{minilm}"
        backend = "openvino"

        [[model]]
        name = "plain"
        source = "{tiny_bert}"
        backend = "torch"
    """)
    with server_process(["--config", str(config)]) as process:
        yield process


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.address, retry=False) as client:
        yield client


def least_cosine(ours: Floats, theirs: Floats) -> float:
    assert ours.shape == theirs.shape
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return float(((ours * theirs).sum(1) / lengths).min())


def expected(oracle: SentenceTransformer) -> Floats:
    return np.asarray(oracle.encode(TEXTS, batch_size=16), np.float32)


LEAST = {"torch": 0.99999, "openvino": 0.999}


@pytest.mark.parametrize("model", LEAST)
def test_200_texts_in_one_call_equal_sentence_transformers(
    client: Client, oracle: SentenceTransformer, model: str
) -> None:
    vectors = client.embed_text(TEXTS, model=model)
    assert least_cosine(vectors, expected(oracle)) >= LEAST[model]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("model", LEAST)
async def test_200_single_calls_at_once_equal_sentence_transformers(
    server: ServerProcess, oracle: SentenceTransformer, model: str
) -> None:
    async with AsyncClient(server.address, retry=False) as client:
        rows = await asyncio.gather(*(client.embed_text([text], model=model) for text in TEXTS))
    assert least_cosine(np.concatenate(rows), expected(oracle)) >= LEAST[model]


POOLING: dict[PoolingName, str] = {"mean": "mean", "cls": "cls", "max": "max", "last_token": "lasttoken"}


@pytest.mark.parametrize("pooling", POOLING)
def test_each_pooling_equals_sentence_transformers(
    client: Client, minilm: Path, pooling: PoolingName
) -> None:
    transformer = modules.Transformer(str(minilm), max_seq_length=256)
    oracle = SentenceTransformer(modules=[transformer, modules.Pooling(384, POOLING[pooling])], device="cpu")
    theirs = np.asarray(oracle.encode(TEXTS[:50]), np.float32)
    ours = client.embed_text(TEXTS[:50], model="torch", pooling=pooling, normalize=False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5)


def test_fewer_dimensions_equal_sentence_transformers(client: Client, oracle: SentenceTransformer) -> None:
    theirs = np.asarray(oracle.encode(TEXTS, truncate_dim=64, normalize_embeddings=True), np.float32)
    ours = client.embed_text(TEXTS, model="torch", dimensions=64)
    assert least_cosine(ours, theirs) >= LEAST["torch"]


def test_truncating_the_left_keeps_the_end(client: Client, oracle: SentenceTransformer) -> None:
    long = " ".join(texts(1, 600, seed=7))
    tokenizer = oracle.tokenizer
    tokenizer.truncation_side = "left"
    try:
        theirs = np.asarray(oracle.encode([long]), np.float32)
    finally:
        tokenizer.truncation_side = "right"
    ours = client.embed_text([long], model="torch", truncation_direction="left")
    assert least_cosine(ours, theirs) >= LEAST["torch"]


PLAIN: dict[str, EmbedOptions] = {
    "the mean, unless asked otherwise": {},
    "the first token": {"pooling": "cls"},
    "the largest values": {"pooling": "max"},
    "the last token": {"pooling": "last_token"},
    "normalized": {"normalize": True},
}


@pytest.mark.parametrize("wish", PLAIN)
def test_a_plain_encoder_pools_as_the_request_says(client: Client, tiny_bert: Path, wish: str) -> None:
    """The oracle is transformers' own feature-extraction pipeline, pooled by hand."""
    options: EmbedOptions = {**PLAIN[wish], "model": "plain"}
    some = ["water stands ready", "the dog", "a fixed pipe for any hose with the right thread"]
    with torch.inference_mode():
        tokens = [np.asarray(rows[0]) for rows in pipeline("feature-extraction", model=str(tiny_bert))(some)]
    pool = {"cls": lambda rows: rows[0], "max": lambda rows: rows.max(0), "last_token": lambda rows: rows[-1]}
    theirs = np.stack(
        [pool.get(options.get("pooling") or "", lambda rows: rows.mean(0))(rows) for rows in tokens]
    )
    if options.get("normalize"):
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    np.testing.assert_allclose(client.embed_text(some, **options), theirs, atol=1e-5)
