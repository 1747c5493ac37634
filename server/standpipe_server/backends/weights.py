"""A model's weights, through transformers' own classes.

Not aware of devices or tasks.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from standpipe_server.backends.sources import Source
from standpipe_server.errors import ModelLoadError
from standpipe_server.programs import FEATURES, Kind


def load_weights(source: Source, kind: Kind, dtype: torch.dtype) -> Any:
    """A model of a kind, in memory.

    The library fills in what the files don't hold with random numbers, and says so in its log; a server would
    answer nonsense.

    Raises:
        ModelLoadError: The files hold no weights for a part that the answers depend on.
    """
    loader = getattr(transformers, kind.transformers)
    model, report = loader.from_pretrained(source.folder, dtype=dtype, output_loading_info=True)
    # Features are read before the pooler, which plain encoders' files may lack.
    missing = [name for name in report["missing_keys"] if kind is not FEATURES]
    if missing:
        raise ModelLoadError(
            f"its files hold no weights for {', '.join(sorted(missing)[:3])}, which a "
            f"{type(model).__name__} needs: it wasn't trained for this task"
        )
    return model
