"""Every RPC once, with the example that comes with it, found by its descriptor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from standpipe import CallError, Client, contract
from standpipe.v1 import audio_pb2, common_pb2, generation_pb2, models_pb2
from standpipe_bench.sayings import SAYINGS, lines

_LONGEST = 100
"""Characters of an input that are shown."""

_SPEECH = ("SynthesizeSpeech", "TranscribeAudio")


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call.

    Attributes:
        rpc: Its full name.
        given: What went in, for people.
        got: What came out, for people; or why nothing did.
        answered: Whether it was answered; else this server refuses it, as it should.
        milliseconds: It took.
    """

    rpc: str
    given: str
    got: str
    answered: bool
    milliseconds: float


@dataclass(slots=True)
class LiveAnswer:
    """The answer to the example of StreamChat, as it is written.

    Attributes:
        question: What is asked.
        tokens: Written, once it is at its end.
        first: Seconds to the first piece of text.
        whole: Seconds to the end.
    """

    question: str
    tokens: int = 0
    first: float = 0.0
    whole: float = 0.0

    def pace(self) -> str:
        """Its figures, for people."""
        speed = self.tokens / self.whole if self.whole else 0.0
        return f"{self.tokens} tokens, {speed:.0f} tokens/s, the first after {self.first * 1e3:.0f} ms"


def answer_live(client: Client, begin: Callable[[str], object], show: Callable[[str], object]) -> LiveAnswer:
    """Have a question answered before the eyes of whoever watches.

    Args:
        client: Of a server with a model that chats.
        begin: Gets the question, before it is asked.
        show: Gets each piece of the answer, as it comes.

    Raises:
        CallError: It failed.
    """
    method = contract.find("StreamChat")
    request = contract.example(method)
    assert isinstance(request, generation_pb2.StreamChatRequest)  # noqa: S101 - so the contract says
    answer = LiveAnswer(request.messages[-1].content)
    begin(answer.question)
    started = time.perf_counter()
    for message in _responses(client, method, [request]):
        if message.delta.content:
            answer.first = answer.first or time.perf_counter() - started
            show(message.delta.content)
        elif message.HasField("end"):
            answer.tokens = message.end.usage.generated_tokens
    answer.whole = time.perf_counter() - started
    return answer


SAID = "Water stands ready in the pipe, and any hose couples to it."


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A text that was spoken, and written down again.

    Attributes:
        file: The speech.
        duration: Its length, in seconds.
        heard: What was written down.
        seconds: That writing it down took.
    """

    file: Path
    duration: float
    heard: str
    seconds: float

    def pace(self) -> str:
        """Its figures, for people."""
        factor = self.seconds / self.duration
        written = f"written down in {self.seconds:.1f} s: {factor:.2f} of its length"
        return f"{self.duration:.1f} s of speech, {written}"


def speak_and_listen(client: Client, folder: Path) -> RoundTrip:
    """Have a text spoken, and what was spoken written down.

    Args:
        client: Of a server with a voice and a model that hears.
        folder: For the speech.

    Raises:
        CallError: It failed, or one of the models isn't served.
    """
    speak, listen = (contract.callable_on(client.channel, contract.find(name)) for name in _SPEECH)
    spoken = client.call(speak, audio_pb2.SynthesizeSpeechRequest(texts=[SAID])).results[0]
    file = folder / "standpipe-speech.wav"
    file.write_bytes(spoken.content)
    request = audio_pb2.TranscribeAudioRequest(audios=[common_pb2.Audio(content=spoken.content)])
    started = time.perf_counter()
    heard = client.call(listen, request).results[0]
    return RoundTrip(file, spoken.duration, heard.text, time.perf_counter() - started)


def call_everything(client: Client) -> list[DemoCall]:
    """Call every RPC once.

    Raises:
        CallError: One failed that shouldn't have.
    """
    # Where several tasks share an RPC, one that is served stands for them.
    tasks = {task.rpc: task for task in sorted(client.list_tasks(), key=lambda task: task.served)}
    return [_call(client, method, tasks.get(name)) for name, method in contract.methods().items()]


def _call(client: Client, method: MethodDescriptor, task: models_pb2.Task | None) -> DemoCall:
    requests = contract.examples(method)
    request = requests[0]
    started = time.perf_counter()
    refused: CallError | None = None
    try:
        messages = list(_responses(client, method, requests))
    except CallError as error:
        refused = error
    milliseconds = (time.perf_counter() - started) * 1e3
    if refused is not None:
        return DemoCall(method.full_name, _given(request), _why(refused, task), False, milliseconds)
    got = SAYINGS[method.name](messages if method.server_streaming else messages[0])
    return DemoCall(method.full_name, _given(request), got, True, milliseconds)


def _responses(client: Client, method: MethodDescriptor, requests: Sequence[Message]) -> Iterator[Any]:
    """The response of an RPC, or the messages of its stream as they come.

    Raises:
        CallError: It failed.
    """
    send = contract.callable_on(client.channel, method)
    request: Any = iter(requests) if method.client_streaming else requests[0]
    if method.server_streaming:
        yield from client.stream(send, request)
    else:
        yield client.call(send, request)


def _why(error: CallError, task: models_pb2.Task | None) -> str:
    """Why a server rightly refuses an example: no model for it, or one that can't do what is asked."""
    if task is not None and not task.served:
        default = f"; the library's default is {task.default_model}" if task.default_model else ""
        return f"no model served{default}"
    if error.code is grpc.StatusCode.INVALID_ARGUMENT:
        return error.message
    raise error


def _given(request: Message) -> str:
    fields = MessageToDict(request, preserving_proto_field_name=True)
    return lines(shorten(line, _LONGEST, placeholder=" …") for line in _inputs(fields))


def _inputs(fields: Mapping[str, Any]) -> list[str]:
    """What a request holds: its inputs a line each, its options by name."""
    found: list[str] = []
    for name, value in fields.items():
        if _is_file(value):
            found.append(_input(value))
        elif isinstance(value, dict):
            found += _inputs(value)
        elif isinstance(value, list):
            found += [_input(one) for one in value]
        else:
            # A value of an enum begins with the enum's name, which is mostly the field's.
            found.append(f"{name} = {str(value).removeprefix(f'{name.upper()}_')}")
    return found


def _is_file(value: Any) -> bool:
    """Whether it is an image, …: nothing but its content, which JSON has in base64."""
    return isinstance(value, dict) and value.keys() == {"content"}


def _input(value: Any) -> str:
    if _is_file(value):
        return f"a file of {len(value['content']) * 3 / 4000:.1f} kB"
    if isinstance(value, dict):
        return ": ".join(_input(part) for part in value.values()).replace("?: ", "? ")
    return ", ".join(_input(part) for part in value) if isinstance(value, list) else str(value)
