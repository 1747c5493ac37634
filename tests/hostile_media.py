"""Broken pictures, films and sounds, sent to a real server.

By itself: ``python -m hostile_media --count 5000 --seed 1``, in the folder of the tests, starts a server of
tiny models, sends so many, and prints the answers by status, what the server's memory came to, and the
slowest answer.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from google.protobuf.message import Message

from audio_seeds import audio_seeds
from media_files import films, pictures
from mutations import mutations
from standpipe import CallError, Client, contract
from standpipe.v1 import audio_pb2, common_pb2, vision_pb2
from standpipe_bench.server_process import ServerProcess, server_process
from tiny_audio import save_tiny_ast
from tiny_vision import save_tiny_videomae, save_tiny_vit

File = tuple[str, Message, str]
"""What it was, the request that holds it, and the RPC that it is for."""


def _picture(content: bytes) -> Message:
    return vision_pb2.ClassifyImageRequest(images=[common_pb2.Image(content=content)])


def _film(content: bytes) -> Message:
    return vision_pb2.ClassifyVideoRequest(videos=[vision_pb2.Video(content=content)])


def _sound(content: bytes) -> Message:
    return audio_pb2.ClassifyAudioRequest(audios=[common_pb2.Audio(content=content)])


# Of each kind: the whole files, the request and the RPC for one, and how many there are to one film, which
# takes as long as all the others.
_KINDS: tuple[tuple[Callable[[], Mapping[str, bytes]], Callable[[bytes], Message], str, int], ...] = (
    (pictures, _picture, "ClassifyImage", 4),
    (audio_seeds, _sound, "ClassifyAudio", 4),
    (films, _film, "ClassifyVideo", 1),
)


@dataclass(slots=True)
class Found:
    """What a server made of broken files.

    Attributes:
        answers: How often each status came, with the reason where there is one.
        unnamed: Files whose refusal names no field.
        others: Files that were neither answered nor refused, and what was said.
        slowest: Seconds, and the file.
    """

    answers: Counter[str] = field(default_factory=Counter)
    unnamed: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")


@contextmanager
def hostile_server(folder: Path, options: Sequence[str] = ()) -> Iterator[ServerProcess]:
    """A server that classifies pictures, films and sounds, on torch."""
    models = {
        "image-classification": save_tiny_vit(folder / "vit"),
        "video-classification": save_tiny_videomae(folder / "videomae"),
        "audio-classification": save_tiny_ast(folder / "ast"),
    }
    named = [f"--model={task}={source}:{task}" for task, source in models.items()]
    usual = ["--backend", "torch", "--dtype", "fp32", "--log-level", "error"]
    with server_process([*named, *usual, *options]) as server:
        yield server


def hostile_files(seed: int) -> Iterator[File]:
    """Broken files without end."""
    broken = [(mutations(whole(), seed), request, rpc, count) for whole, request, rpc, count in _KINDS]
    while True:
        for files, request, rpc, count in broken:
            for name, content in islice(files, count):
                yield f"{rpc}, {name}", request(content), rpc


def send(server: ServerProcess, files: Iterator[File]) -> Found:
    """Send files one by one."""
    found = Found()
    with grpc.insecure_channel(server.address) as channel:
        calls = {rpc: contract.callable_on(channel, contract.find(rpc)) for _, _, rpc, _ in _KINDS}
        for place, (name, request, rpc) in enumerate(files):
            started = time.perf_counter()
            said = _said(calls[rpc], request)
            found.slowest = max(found.slowest, (time.perf_counter() - started, f"{place}: {name}"))
            _note(found, f"{place}: {name}", said)
    return found


def sees(server: ServerProcess) -> bool:
    """Whether a server still answers for a good picture."""
    with Client(server.address, retry=False) as client:
        return len(client.classify_image([pictures()["png"]])[0]) == 3


def memory(server: ServerProcess) -> Mapping[str, int]:
    """MiB that a server has and that it had at most, as the kernel calls them."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    about = dict(line.split(":", 1) for line in lines)
    return {name: int(about[name].split()[0]) >> 10 for name in ("VmRSS", "VmHWM")}


def _said(call: Callable[..., Any], request: Message) -> CallError | None:
    try:
        call(request, timeout=60)
    except grpc.RpcError as error:
        return CallError(error)
    return None


def _note(found: Found, name: str, said: CallError | None) -> None:
    if said is None:
        found.answers["OK"] += 1
        return
    found.answers[f"{said.code.name} {said.reason}"] += 1
    if said.code is not grpc.StatusCode.INVALID_ARGUMENT:
        found.others.append(f"{name}: {said}")
    elif not any(said.fields):
        found.unnamed.append(f"{name}: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000, help="files to send")
    parser.add_argument("--seed", type=int, default=1, help="what is broken, and how")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder, hostile_server(Path(folder)) as server:
        assert sees(server)
        before = memory(server)["VmRSS"]
        found = send(server, islice(hostile_files(asked.seed), asked.count))
        alive, after = sees(server), memory(server)
    for answer, times in found.answers.most_common():
        print(f"{times:6} {answer}")
    print("\n".join(found.others + found.unnamed))
    print(f"MiB before {before}, at the end {after['VmRSS']}, at most {after['VmHWM']}")
    print(f"slowest {found.slowest[0] * 1e3:.0f} ms ({found.slowest[1]}); afterwards it sees: {alive}")


if __name__ == "__main__":
    main()
