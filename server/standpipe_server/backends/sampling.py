"""Drawing tokens, where the library has one generator for the whole process.

Not aware of models.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LOCK = threading.Lock()
"""Whoever draws holds it: a seed means the same only while nobody else draws."""


@contextmanager
def drawing(draws: bool, seed: int | None) -> Iterator[None]:
    """Have torch's generator to oneself.

    Args:
        draws: The block draws at all; else nothing is held.
        seed: To draw the same each time; None to draw whatever comes.
    """
    if not draws:
        yield
        return
    with LOCK:
        if seed is not None:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            if seed is not None:
                # Or whoever draws next without a seed would draw the same each time too.
                torch.seed()
