"""For packages that ship a folder as ``transformers`` saves it: copied, and checked.

Not aware of what else lies in the folder, but that pickles stay behind: nothing needs them, and loading one
runs its code.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from standpipe_server.demo_models.converters.folders import check

_PICKLES = ("*.bin", "*.pickle", "*.pkl", "*.pt", "*.pth")


def copy(source: Path, target: Path) -> None:
    """Copy a folder, but for pickles."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_PICKLES))


def encoder(source: Path, target: Path) -> None:
    """Take over a model without a head."""
    _take(source, target, AutoModel)


def masked_lm(source: Path, target: Path) -> None:
    """Take over a model that fills in masked words."""
    _take(source, target, AutoModelForMaskedLM)


def seq2seq(source: Path, target: Path) -> None:
    """Take over a model that writes."""
    _take(source, target, AutoModelForSeq2SeqLM)


def _take(source: Path, target: Path, auto: Any) -> None:
    copy(source, target)
    check(target, auto)
