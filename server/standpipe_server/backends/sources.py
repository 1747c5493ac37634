"""From a model's source to a folder of files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import ModelSpec

# Weights in safetensors, and what describes them; no pickles, no other frameworks' copies.
_HUB_FILES = ["*.json", "*.txt", "*.safetensors", "*.model", "*.jinja"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files lie, and the revision they have."""

    folder: Path
    revision: str


def resolve(spec: ModelSpec) -> Source:
    """Find the model's files: a folder as it is, a Hub id through the Hub's own cache.

    Raises:
        ModelLoadError: There is no such folder, and the Hub doesn't give it.
    """
    folder = Path(spec.source).expanduser()
    if folder.is_dir():
        return Source(folder.resolve(), spec.revision)
    if folder.is_absolute() or spec.source.startswith((".", "~")):
        raise ModelLoadError(f"model {spec.name!r}: there is no folder {spec.source}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot = Path(
            snapshot_download(spec.source, revision=spec.revision or None, allow_patterns=_HUB_FILES)
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelLoadError(
            f"model {spec.name!r}: {spec.source!r} is no folder here, and the Hub doesn't give it: {error}"
        ) from error
    return Source(snapshot, snapshot.name)
