"""Every RPC once, through the client, as a newcomer would call it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from standpipe import Client


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call.

    Attributes:
        rpc: Its full name.
        given: What went in, for people.
        got: What came out, for people.
    """

    rpc: str
    given: str
    got: str
    milliseconds: float


def _embed_text(client: Client) -> tuple[str, str]:
    texts = ["A dog runs in the park.", "A puppy plays outside.", "The bank raised its rates."]
    dog, puppy, bank = client.embed_text(texts)
    return (
        "\n".join(texts),
        f"3 vectors of {len(dog)}; dog·puppy = {dog @ puppy:.2f}, dog·bank = {dog @ bank:.2f}",
    )


def _list_tasks(client: Client) -> tuple[str, str]:
    return "", "\n".join(f"{task.name}: {task.default_model or 'not served'}" for task in client.list_tasks())


def _list_models(client: Client) -> tuple[str, str]:
    models = client.list_models("feature-extraction")
    return "feature-extraction", "\n".join(
        f"{model.name}, from {model.revision or model.source}" for model in models
    )


def _get_model(client: Client) -> tuple[str, str]:
    name = client.list_models()[0].name
    model = client.get_model(name)
    return name, f"{model.backend} {model.dtype} on {model.device}; {model.reason}"


CALLS: dict[str, Callable[[Client], tuple[str, str]]] = {
    "standpipe.v1.TextService.EmbedText": _embed_text,
    "standpipe.v1.ModelService.ListTasks": _list_tasks,
    "standpipe.v1.ModelService.ListModels": _list_models,
    "standpipe.v1.ModelService.GetModel": _get_model,
}


def call_everything(client: Client) -> list[DemoCall]:
    """Call every RPC once."""
    calls = []
    for rpc, call in CALLS.items():
        started = time.perf_counter()
        given, got = call(client)
        calls.append(DemoCall(rpc, given, got, (time.perf_counter() - started) * 1e3))
    return calls
