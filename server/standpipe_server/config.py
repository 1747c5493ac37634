"""Every option of ``standpipe serve``, declared once: flags, environment and TOML file come from here.

Flags win over the environment (``STANDPIPE_MAX_QUEUE``), the environment over the file.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import (
    BaseSettings,
    CliApp,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from standpipe_server.engine.queue import BatchLimits
from standpipe_server.interfaces import BackendName, DtypeName, HintName, ModelSpec
from standpipe_server.media.fetching import parse_allowed
from standpipe_server.rpc.server import RpcLimits
from standpipe_server.tasks import MODEL_TASKS, SEVERAL, InputLimits, kind_for

Device = Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]


# Of an adapter: it becomes the name of a part of the model, in which a dot would part it.
_NAME = re.compile(r"[\w-]+")


def _names(value: Any) -> Any:
    """``A+B`` to names; a list passes through."""
    names = value.split("+") if isinstance(value, str) else value
    return tuple(task for name in names for task in SEVERAL.get(name, (name,)))


def _adapters(value: Any) -> Any:
    """``NAME=SOURCE``, several of them split by commas, or a table, to pairs; pairs pass through."""
    if isinstance(value, dict):
        return tuple(_adapter(f"{name}={source}") for name, source in value.items())
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(_adapter(part) if isinstance(part, str) else part for part in parts)


def _adapter(text: str) -> tuple[str, str]:
    name, _, source = text.partition("=")
    if not (source and _NAME.fullmatch(name)):
        raise ValueError(f"{text!r} isn't NAME=SOURCE, with letters, digits, - and _ for a name")
    return name, source


Adapters = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_adapters)]


class ModelOptions(BaseModel):
    """How to load a model; what one model leaves open, the server's own options say."""

    model_config = ConfigDict(extra="forbid")

    backend: BackendName | None = None
    device: Device | None = None
    dtype: DtypeName | None = None
    threads: int | None = Field(None, ge=1)
    streams: int | None = Field(None, ge=1)
    hint: HintName | None = None
    compile: bool | None = None
    max_sequences: int | None = Field(None, ge=0)
    max_batched_tokens: int | None = Field(None, ge=0)
    kv_cache_gb: float | None = Field(None, gt=0)
    prefix_cache: bool | None = None
    lora: Adapters | None = None


class ModelEntry(ModelOptions):
    """One model of the configuration."""

    name: str = Field(min_length=1)
    source: str = Field(min_length=1)
    task: Annotated[tuple[str, ...], BeforeValidator(_names), Field(min_length=1)] = ("feature-extraction",)
    revision: str = ""

    @model_validator(mode="after")
    def _known_tasks(self) -> Self:
        unknown = [name for name in self.task if name not in MODEL_TASKS]
        if unknown:
            raise ValueError(f"unknown task {unknown[0]!r}; known: {', '.join(MODEL_TASKS)}")
        if kind_for(self.task) is None:
            raise ValueError(f"{' and '.join(self.task)} need models of different kinds: name two models")
        return self

    def spec(self, shared: dict[str, Any]) -> ModelSpec:
        """What to load.

        Args:
            shared: The server's own options, for what the model leaves open.
        """
        own = self.model_dump(exclude_none=True)
        return ModelSpec(tasks=own.pop("task"), **shared | own)


def _entries(value: Any) -> Any:
    """``NAME=SOURCE[:TASK[+TASK]]``, several of them split by commas, to entries; entries pass through."""
    parts = value.split(",") if isinstance(value, str) else value
    return [_entry(part) if isinstance(part, str) else part for part in parts]


def _entry(text: str) -> dict[str, str]:
    name, equals, source = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} isn't NAME=SOURCE[:TASK[+TASK]]")
    head, colon, task = source.rpartition(":")
    # A source may hold a colon (a drive, a scheme): what follows is a task unless it looks like a path.
    if colon and "/" not in task and "\\" not in task:
        return {"name": name, "source": head, "task": task}
    return {"name": name, "source": source}


def _uris(value: Any) -> Any:
    """Addresses split by commas to a list; each must be one that can be allowed."""
    listed = value.split(",") if isinstance(value, str) else value
    for entry in listed:
        parse_allowed(entry)
    return listed


class Settings(BaseSettings):
    """Serve models over gRPC. Without --model, the demo models are served."""

    model_config = SettingsConfigDict(
        env_prefix="STANDPIPE_",
        extra="forbid",
        cli_prog_name="standpipe serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        validate_default=True,
    )

    config: Path | None = Field(None, description="TOML file with any of these options, and [[model]] tables")
    model: Annotated[list[ModelEntry], BeforeValidator(_entries), NoDecode] = Field(
        [],
        description="NAME=SOURCE[:TASK[+TASK]]; SOURCE is a folder or a Hub id; repeat for more models",
    )
    address: str = Field("127.0.0.1:50051", description="host:port to listen on; port 0 takes a free one")
    backend: BackendName = Field("auto", description="library that runs the models")
    device: Device = Field("auto", description="cpu, cuda, cuda:N or mps")
    dtype: DtypeName = Field("auto", description="numeric type of the computation")
    threads: int | None = Field(None, ge=1, description="processor threads for a model; all cores unless set")
    streams: int | None = Field(
        None, ge=1, description="batches side by side on a processor; one per thread unless set"
    )
    hint: HintName = Field("auto", description="compile for lone calls, many calls, or both")
    compile: bool = Field(False, description="compile torch models")
    max_sequences: int = Field(
        0, ge=0, description="texts that a causal model writes side by side; 0 for 12 a core, 64 on a GPU"
    )
    max_batched_tokens: int = Field(
        0, ge=0, description="tokens in one step of a causal model; 0 for 18 a core, 1024 on a GPU"
    )
    kv_cache_gb: float = Field(1.0, gt=0, description="memory for a causal model's keys and values")
    prefix_cache: bool = Field(True, description="keep them for prompts that begin alike (OpenVINO)")
    lora: Annotated[Adapters, NoDecode] = Field(
        (), description="NAME=SOURCE of an adapter of diffusion models; repeat for more"
    )
    max_batch_items: int = Field(256, ge=1, description="items in one batch")
    max_batch_cost: int | None = Field(
        None, ge=1, description="padded tokens in one batch; as many as the backend needs unless set"
    )
    max_queue: int = Field(4096, ge=1, description="items that wait, per model; more get RESOURCE_EXHAUSTED")
    max_wait: float = Field(
        0.0, ge=0, description="seconds that an item may wait for company while a worker is idle"
    )
    max_items: int = Field(1024, ge=1, description="inputs in one call")
    max_text_bytes: int = Field(1 << 20, ge=1, description="UTF-8 bytes of one text")
    max_labels: int = Field(1000, ge=1, description="labels, targets or proposals that one call names")
    max_new_tokens: int = Field(1024, ge=1, description="tokens that one call may have written per text")
    max_media_bytes: int = Field(32 << 20, ge=1, description="bytes of one file: an image, a video, a sound")
    max_pixels: int = Field(50_000_000, ge=1, description="pixels of one image, or frame")
    max_frames: int = Field(1024, ge=1, description="frames that are read of one video")
    max_seconds: float = Field(3600.0, gt=0, description="seconds of one sound")
    max_channels: int = Field(2, ge=1, description="channels of one sound")
    max_sample_rate: int = Field(192_000, ge=8000, description="samples a second of one sound")
    max_steps: int = Field(250, ge=1, description="steps of a diffusion model")
    max_drawn_pixels: int = Field(4 << 20, ge=1, description="pixels of one picture, or frame, that is drawn")
    max_drawn_images: int = Field(16, ge=1, description="pictures that are drawn for one prompt")
    max_drawn_frames: int = Field(128, ge=1, description="frames of one film that is made")
    max_film_pixels: int = Field(1 << 27, ge=1, description="pixels of all frames of a film that is made")
    allow_uri: Annotated[list[str], NoDecode, BeforeValidator(_uris)] = Field(
        [],
        description="where media may be fetched from, as https://images.example.org/photos/ or "
        "https://*.example.org/; repeat for more; none unless set",
    )
    max_message_bytes: int = Field(64 << 20, ge=1024, description="bytes of one message")
    default_timeout: float = Field(60.0, gt=0, description="seconds for a call that sets no deadline")
    drain_timeout: float = Field(30.0, ge=0, description="seconds for accepted calls after SIGTERM")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level that is logged"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.max_items > self.max_queue:
            raise ValueError(
                f"max_queue = {self.max_queue} can't hold one call of max_items = {self.max_items}"
            )
        names = [entry.name for entry in self.model]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"model names must differ; given twice: {', '.join(sorted(twice))}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags come first by themselves; then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def specs(self) -> list[ModelSpec]:
        """The configured models, each with the server's own options where it has none."""
        return [entry.spec(self._shared()) for entry in self.model]

    def with_options(self, specs: Sequence[ModelSpec]) -> list[ModelSpec]:
        """Specs from elsewhere, with the server's own options."""
        return [replace(spec, **self._shared()) for spec in specs]

    def _shared(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ModelOptions.model_fields}

    def batch_limits(self, batch_cost: int, max_items: int = 0) -> BatchLimits:
        """For a model's queue.

        Args:
            batch_cost: What its backend says, where the settings say nothing.
            max_items: What its backend bears, whatever the settings say; 0 for no bound.
        """
        return BatchLimits(
            max_items=min(self.max_batch_items, max_items or self.max_batch_items),
            max_cost=self.max_batch_cost or batch_cost,
            max_queue=self.max_queue,
            max_wait=self.max_wait,
        )

    def rpc_limits(self) -> RpcLimits:
        """For the wire."""
        names = (limit.name for limit in fields(InputLimits))
        inputs = InputLimits(**{name: getattr(self, name) for name in names})
        allowed = tuple(self.allow_uri)
        return RpcLimits(inputs, self.max_message_bytes, self.default_timeout, allowed)


def load_settings(args: Sequence[str]) -> Settings:
    """Settings from flags, the environment and the file that either names.

    Raises:
        pydantic.ValidationError: An option's value is wrong.
        OSError: The file can't be read.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", default=os.environ.get("STANDPIPE_CONFIG"))
    path = finder.parse_known_args(args)[0].config
    if path is not None and not Path(path).is_file():
        raise FileNotFoundError(f"there is no configuration file {path}")

    class WithFile(Settings):
        __doc__ = Settings.__doc__
        model_config = SettingsConfigDict(toml_file=path)

    return CliApp.run(WithFile, cli_args=list(args))
