"""From a model's source to a folder of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from standpipe_server.errors import ModelLoadError
from standpipe_server.interfaces import ModelSpec

INDEX = "model_index.json"
"""What makes a folder a pipeline of diffusers."""

# Weights in safetensors, and what describes them; no pickles, no other frameworks' copies.
_HUB_FILES = ["*.json", "*.txt", "*.safetensors", "*.model", "*.spm", "*.jinja"]
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_PIPELINE_FILES = [INDEX, *(f"*/{pattern}" for pattern in _HUB_FILES)]
_OTHER_FORMS = ["*.fp16.*", "*.bf16.*", "*.fp16-*", "*.bf16-*", "*non_ema*"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files lie, and the revision they have."""

    folder: Path
    revision: str

    @property
    def pipeline(self) -> bool:
        """Whether they are a pipeline of diffusers, several models in folders of their own."""
        return (self.folder / INDEX).is_file()


def resolve(spec: ModelSpec) -> Source:
    """Find the model's files: a folder as it is, a Hub id through the Hub's own cache.

    Raises:
        ModelLoadError: There is no such folder, the Hub doesn't give it, or a file is missing.
    """
    folder = Path(spec.source).expanduser()
    if folder.is_dir():
        if not any((folder / file).is_file() for file in (_CONFIG, INDEX)):
            raise ModelLoadError(
                f"model {spec.name!r}: the folder {spec.source} has no {_CONFIG}, nor a {INDEX}"
            )
        return Source(folder.resolve(), spec.revision)
    if folder.is_absolute() or spec.source.startswith((".", "~")):
        raise ModelLoadError(f"model {spec.name!r}: there is no folder {spec.source}")
    snapshot = _snapshot(spec)
    missing = "" if (snapshot / INDEX).is_file() else ", ".join(_missing(snapshot))
    if missing:
        raise ModelLoadError(
            f"model {spec.name!r}: {missing} of revision {snapshot.name} of {spec.source} is missing: "
            f"{_why()}"
        )
    return Source(snapshot, snapshot.name)


def _snapshot(spec: ModelSpec) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    revision = spec.revision or "main"
    fetch = partial(snapshot_download, spec.source, revision=revision)
    try:
        if not (Path(fetch(allow_patterns=[INDEX])) / INDEX).is_file():
            return Path(fetch(allow_patterns=_HUB_FILES))
        # Beside its parts' folders a pipeline may have the same weights in one file, and in other forms.
        return Path(fetch(allow_patterns=_PIPELINE_FILES, ignore_patterns=_OTHER_FORMS))
    except LocalEntryNotFoundError as error:
        raise ModelLoadError(
            f"model {spec.name!r}: {_CONFIG} of revision {revision} of {spec.source} is missing: {_why()}"
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelLoadError(
            f"model {spec.name!r}: {spec.source!r} is no folder here, and the Hub doesn't give it: {error}"
        ) from error


def _missing(snapshot: Path) -> Iterator[str]:
    """Files without which no model loads."""
    if not (snapshot / _CONFIG).is_file():
        yield _CONFIG
    index = snapshot / f"{_WEIGHTS}.index.json"
    if index.is_file():
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        yield from (shard for shard in shards if not (snapshot / shard).is_file())
    elif not (snapshot / _WEIGHTS).is_file():
        yield _WEIGHTS


def _why() -> str:
    from huggingface_hub import constants

    cache = f"the Hub's cache {constants.HF_HUB_CACHE} doesn't have it"
    if constants.HF_HUB_OFFLINE:
        return f"{cache}, and HF_HUB_OFFLINE forbids fetching"
    return f"{cache}, and the Hub doesn't answer or doesn't have it either"
