"""Models that several modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generators import loaded
from tiny_models import save_tiny_llama


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("tiny-llama") / "model")


@pytest.fixture(scope="session")
def generator(tiny_llama: Path) -> Iterator[Any]:
    """It writes, on OpenVINO in fp32."""
    generator = loaded(tiny_llama)
    yield generator
    generator.close()
