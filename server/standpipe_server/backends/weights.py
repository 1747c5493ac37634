"""A model's weights, through transformers' own classes.

Not aware of devices or tasks.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from standpipe_server.backends.sources import Source
from standpipe_server.errors import ModelLoadError
from standpipe_server.kinds import FEATURES, IMAGE_FEATURES, Kind


def load_weights(source: Source, kind: Kind, dtype: torch.dtype) -> Any:
    """A model of a kind, in memory.

    The library fills in what the files don't hold with random numbers, and says so in its log; a server would
    answer nonsense.

    Raises:
        ModelLoadError: The files hold no weights for a part that the answers depend on.
    """
    loader = _loader(source, kind)
    model, report = loader.from_pretrained(source.folder, dtype=dtype, output_loading_info=True)
    # Features are read before the pooler, which plain encoders' files may lack.
    missing = [name for name in report["missing_keys"] if kind is not FEATURES]
    if kind is IMAGE_FEATURES and missing and all(name.startswith("pooler.") for name in missing):
        model.pooler = None
        return model
    if missing:
        raise ModelLoadError(
            f"its files hold no weights for {', '.join(sorted(missing)[:3])}, which a "
            f"{type(model).__name__} needs: it wasn't trained for this task"
        )
    return model


def _loader(source: Source, kind: Kind) -> Any:
    """The first of a kind's classes that knows the model, else the first."""
    loaders = [getattr(transformers, name) for name in (kind.transformers, *kind.others)]
    config = transformers.AutoConfig.from_pretrained(source.folder)
    return next((loader for loader in loaders if type(config) in loader._model_mapping), loaders[0])
