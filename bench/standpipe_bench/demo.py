"""Every RPC once, with the example that comes with it, found by its descriptor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from standpipe import CallError, Client, contract
from standpipe.v1 import audio_pb2, common_pb2, generation_pb2, models_pb2, text_pb2, vision_pb2

_LONGEST = 100
"""Characters of an input that are shown."""

_SPEECH = ("SynthesizeSpeech", "TranscribeAudio")

_LONGEST_ANSWER = 200
"""Characters of what a causal model writes that are shown."""


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


def _embeddings(response: text_pb2.EmbedTextResponse | vision_pb2.EmbedImageResponse) -> str:
    first, *others = [embedding.values for embedding in response.embeddings]
    products = [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    likeness = ", ".join(f"1·{number} = {product:.2f}" for number, product in enumerate(products, start=2))
    return f"{len(others) + 1} vectors of {response.dimensions}; {likeness}"


def _labels(response: Any) -> str:
    return _lines(
        ", ".join(f"{one.label} {one.score:.2f}" for one in result.labels) for result in response.results
    )


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _objects(response: Any) -> str:
    return _lines(
        ", ".join(f"{one.label} {one.score:.2f} at {one.box.xmin}, {one.box.ymin}" for one in result.objects)
        for result in response.results
    )


def _share(mask: vision_pb2.Mask) -> str:
    """How much of an image a mask covers, where its runs are counted."""
    covered = sum(mask.run_lengths.counts[1::2])
    return f" {covered / (mask.width * mask.height):.0%}" if covered else ""


def _sounds(response: Any) -> str:
    return _lines(
        f"{one.duration:.1f} s of sound, {len(one.content) / 1e3:.0f} kB" for one in response.results
    )


def _spoken(messages: Sequence[Any]) -> str:
    said = [message.sentence for message in messages if message.HasField("sentence")]
    return _lines(f"{one.audio.duration:.1f} s: {one.text}" for one in said)


def _heard(messages: Sequence[Any]) -> str:
    interim = [message.interim.text for message in messages if message.HasField("interim")]
    before = _lines(f"… {text}" for text in interim[:2])
    return f"{before}\n{messages[-1].result.text}".strip()


def _prose(text: str) -> str:
    return shorten(text, _LONGEST_ANSWER, placeholder=" …")


def _streamed(messages: Sequence[Any]) -> str:
    deltas = [message.delta for message in messages if message.HasField("delta")]
    # Texts come as text, answers of a conversation as content.
    text = "".join(delta.content if hasattr(delta, "content") else delta.text for delta in deltas)
    return f"{_prose(text)}\nin {len(messages)} messages"


SAYINGS: Mapping[str, Callable[[Any], str]] = {
    "ListTasks": lambda response: (
        f"{len(response.tasks)} tasks, {sum(task.served for task in response.tasks)} of them served"
    ),
    "ListModels": lambda response: _lines(
        f"{model.name}, from {model.revision or model.source}" for model in response.models
    ),
    "GetModel": lambda response: (
        f"{response.model.backend} {response.model.dtype} on {response.model.device}; {response.model.reason}"
    ),
    "EmbedText": _embeddings,
    "RerankText": lambda response: _lines(f"{one.score:.2f} {one.text}" for one in response.results),
    "ClassifyText": _labels,
    "ClassifyTextZeroShot": _labels,
    "ClassifyTokens": lambda response: _lines(
        ", ".join(f"{one.word} {one.entity_group or one.entity}" for one in result.entities)
        for result in response.results
    ),
    "AnswerQuestion": lambda response: _lines(
        ", ".join(f"{one.answer} {one.score:.2f}" for one in result.answers) for result in response.results
    ),
    "AnswerTableQuestion": lambda response: _lines(one.answer for one in response.results),
    "FillMask": lambda response: _lines(
        ", ".join(f"{one.token_str} {one.score:.2f}" for one in mask.fills)
        for result in response.results
        for mask in result.masks
    ),
    "SummarizeText": lambda response: _lines(one.summary_text for one in response.results),
    "TranslateText": lambda response: _lines(one.translation_text for one in response.results),
    "TransformText": lambda response: _lines(one.generated_text for one in response.results),
    "GenerateText": lambda response: _lines(
        _prose(text.generated_text) for result in response.results for text in result.texts
    ),
    "StreamGenerateText": _streamed,
    "Chat": lambda response: _prose(response.message.content),
    "StreamChat": _streamed,
    "ClassifyImage": _labels,
    "ClassifyImageZeroShot": _labels,
    "DetectObjects": _objects,
    "DetectObjectsZeroShot": _objects,
    "SegmentImage": lambda response: _lines(
        ", ".join(f"{one.label}{_share(one.mask)}" for one in result.segments) for result in response.results
    ),
    "GenerateMasks": lambda response: _lines(f"{len(result.masks)} masks" for result in response.results),
    "EstimateDepth": lambda response: _lines(
        f"{one.width} × {one.height} pixels, {one.min:.2f} to {one.max:.2f}" for one in response.results
    ),
    "EmbedImage": _embeddings,
    "CaptionImage": lambda response: _lines(one.generated_text for one in response.results),
    "AnswerImageQuestion": lambda response: _lines(
        ", ".join(one.answer for one in result.answers) for result in response.results
    ),
    "AnswerDocumentQuestion": lambda response: _lines(
        ", ".join(one.answer for one in result.answers) for result in response.results
    ),
    "MatchKeypoints": lambda response: _lines(f"{len(result.matches)} points" for result in response.results),
    "ClassifyVideo": _labels,
    "TranscribeAudio": lambda response: _lines(one.text for one in response.results),
    "StreamTranscribeAudio": _heard,
    "ClassifyAudio": _labels,
    "ClassifyAudioZeroShot": _labels,
    "SynthesizeSpeech": _sounds,
    "StreamSynthesizeSpeech": _spoken,
    "GenerateAudio": _sounds,
    "Tokenize": lambda response: _lines(
        " ".join(token.token for token in result.tokens) for result in response.results
    ),
    "Detokenize": lambda response: _lines(response.texts),
    "ApplyChatTemplate": lambda response: response.text,
}
"""How the response of each RPC reads in a few words; of a stream, its messages."""


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
    return _lines(shorten(line, _LONGEST, placeholder=" …") for line in _inputs(fields))


def _inputs(fields: Mapping[str, Any]) -> list[str]:
    """What a request holds: its inputs a line each, its options by name."""
    lines: list[str] = []
    for name, value in fields.items():
        if _is_file(value):
            lines.append(_input(value))
        elif isinstance(value, dict):
            lines += _inputs(value)
        elif isinstance(value, list):
            lines += [_input(one) for one in value]
        else:
            # A value of an enum begins with the enum's name, which is mostly the field's.
            lines.append(f"{name} = {str(value).removeprefix(f'{name.upper()}_')}")
    return lines


def _is_file(value: Any) -> bool:
    """Whether it is an image, …: nothing but its content, which JSON has in base64."""
    return isinstance(value, dict) and value.keys() == {"content"}


def _input(value: Any) -> str:
    if _is_file(value):
        return f"a file of {len(value['content']) * 3 / 4000:.1f} kB"
    if isinstance(value, dict):
        return ": ".join(_input(part) for part in value.values()).replace("?: ", "? ")
    return ", ".join(_input(part) for part in value) if isinstance(value, list) else str(value)
