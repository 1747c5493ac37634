"""A channel that answers from a table, and an answer for each RPC: for a stream its messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from audio_answers import AUDIO_ANSWERS
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from image_generation_answers import IMAGE_GENERATION_ANSWERS
from vision_answers import LABELS, VISION_ANSWERS

from standpipe import Client
from standpipe.v1 import (
    audio_pb2_grpc,
    common_pb2,
    generation_pb2,
    generation_pb2_grpc,
    image_generation_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    text_pb2,
    text_pb2_grpc,
    tokenizers_pb2,
    tokenizers_pb2_grpc,
    vision_pb2_grpc,
)

USAGE = generation_pb2.Usage(prompt_tokens=5, generated_tokens=3, cached_tokens=0)
LOGPROB = generation_pb2.TokenLogprob(id=7, token=" wa", logprob=-0.5)
TOOL_CALL = common_pb2.ToolCall(id="c1", name="open", arguments='{"valve": 3, "how": "slowly"}')
METADATA = common_pb2.Metadata(
    model="m", time_to_first_token=Duration(nanos=250_000_000), tokens_per_second=12.5
)

Answer = Message | Exception | Sequence[Message | Exception]

# Any, because what is there depends on the RPC.
ANSWERS: dict[str, Any] = {
    "EmbedText": text_pb2.EmbedTextResponse(
        packed=np.array([[1, 0], [0.5, 0.25]], "<f4").tobytes(),
        embeddings=[common_pb2.Embedding(values=[1, 0]), common_pb2.Embedding(values=[0.5, 0.25])],
        dimensions=2,
    ),
    "RerankText": text_pb2.RerankTextResponse(
        results=[
            text_pb2.RankedText(index=1, score=0.75, text="b"),
            text_pb2.RankedText(index=0, score=0.5, text="a"),
        ]
    ),
    "ClassifyText": text_pb2.ClassifyTextResponse(results=[LABELS, common_pb2.LabelScores()]),
    "ClassifyTextZeroShot": text_pb2.ClassifyTextZeroShotResponse(results=[LABELS]),
    "ClassifyTokens": text_pb2.ClassifyTokensResponse(
        results=[
            text_pb2.Entities(
                entities=[
                    text_pb2.Entity(entity="B-LOC", score=0.5, word="nice", start=3, end=7, index=2),
                    text_pb2.Entity(entity_group="LOC", score=0.25, word="paris", start=8, end=13),
                ]
            ),
            text_pb2.Entities(),
        ]
    ),
    "AnswerQuestion": text_pb2.AnswerQuestionResponse(
        results=[
            text_pb2.Answers(answers=[text_pb2.Answer(answer="a hose", score=0.5, start=4, end=10)]),
            text_pb2.Answers(),
        ]
    ),
    "AnswerTableQuestion": text_pb2.AnswerTableQuestionResponse(
        results=[
            text_pb2.TableAnswer(
                answer="SUM > 2, 3",
                coordinates=[
                    text_pb2.CellCoordinates(row=0, column=1),
                    text_pb2.CellCoordinates(row=2, column=1),
                ],
                cells=["2", "3"],
                aggregator="SUM",
            )
        ]
    ),
    "FillMask": text_pb2.FillMaskResponse(
        results=[
            text_pb2.FilledText(
                masks=[
                    text_pb2.MaskFills(
                        fills=[
                            text_pb2.MaskFill(score=0.5, token=7, token_str="pipe", sequence="a pipe hose")
                        ]
                    ),
                    text_pb2.MaskFills(
                        fills=[text_pb2.MaskFill(score=0.25, token=9, token_str="hose", sequence="a hose")]
                    ),
                ]
            )
        ]
    ),
    "SummarizeText": text_pb2.SummarizeTextResponse(results=[text_pb2.Summary(summary_text="short")]),
    "TranslateText": text_pb2.TranslateTextResponse(results=[text_pb2.Translation(translation_text="kurz")]),
    "TransformText": text_pb2.TransformTextResponse(
        results=[text_pb2.TransformedText(generated_text="changed", generated_tokens=2)]
    ),
    "GenerateText": generation_pb2.GenerateTextResponse(
        results=[
            generation_pb2.GeneratedTexts(
                texts=[
                    generation_pb2.GeneratedText(
                        generated_text=" water",
                        finish_reason=generation_pb2.FINISH_REASON_STOP_STRING,
                        stop_string=".",
                        generated_tokens=3,
                        logprobs=[LOGPROB],
                    ),
                    generation_pb2.GeneratedText(
                        generated_text=" fire", finish_reason=generation_pb2.FINISH_REASON_LENGTH
                    ),
                ]
            ),
            generation_pb2.GeneratedTexts(),
        ]
    ),
    "StreamGenerateText": [
        generation_pb2.StreamGenerateTextResponse(
            delta=generation_pb2.TextDelta(text=" wa", logprobs=[LOGPROB])
        ),
        generation_pb2.StreamGenerateTextResponse(delta=generation_pb2.TextDelta()),
        generation_pb2.StreamGenerateTextResponse(delta=generation_pb2.TextDelta(text="ter")),
        generation_pb2.StreamGenerateTextResponse(
            end=generation_pb2.StreamEnd(
                finish_reason=generation_pb2.FINISH_REASON_STOP_STRING, stop_string=".", usage=USAGE
            ),
            metadata=METADATA,
        ),
    ],
    "Chat": generation_pb2.ChatResponse(
        message=common_pb2.ChatMessage(role="assistant", content="Of course.", tool_calls=[TOOL_CALL]),
        finish_reason=generation_pb2.FINISH_REASON_TOOL_CALL,
        usage=USAGE,
        logprobs=[LOGPROB],
    ),
    "StreamChat": [
        generation_pb2.StreamChatResponse(delta=generation_pb2.ChatDelta(content="Of ", logprobs=[LOGPROB])),
        generation_pb2.StreamChatResponse(delta=generation_pb2.ChatDelta(content="course.")),
        generation_pb2.StreamChatResponse(delta=generation_pb2.ChatDelta(tool_calls=[TOOL_CALL])),
        generation_pb2.StreamChatResponse(
            end=generation_pb2.StreamEnd(finish_reason=generation_pb2.FINISH_REASON_TOOL_CALL, usage=USAGE),
            metadata=METADATA,
        ),
    ],
    "Tokenize": tokenizers_pb2.TokenizeResponse(
        results=[
            tokenizers_pb2.Tokens(
                tokens=[
                    tokenizers_pb2.Token(id=101, token="[CLS]", special=True),
                    tokenizers_pb2.Token(id=7, token="##pipe", start=5, end=9, type_id=1),
                ],
                overflowing=3,
            )
        ]
    ),
    "Detokenize": tokenizers_pb2.DetokenizeResponse(texts=["one", ""]),
    "ApplyChatTemplate": tokenizers_pb2.ApplyChatTemplateResponse(text="<user> hi", ids=[5, 6]),
    "ListTasks": models_pb2.ListTasksResponse(
        tasks=[
            models_pb2.Task(name="fill-mask", rpc="standpipe.v1.TextService.FillMask", served=True),
            models_pb2.Task(
                name="summarization", rpc="standpipe.v1.TextService.SummarizeText", default_model="who/cut"
            ),
        ]
    ),
    "ListModels": models_pb2.ListModelsResponse(
        models=[models_pb2.Model(name="m", revision="7"), models_pb2.Model(name="n", source="folder")]
    ),
    "GetModel": models_pb2.GetModelResponse(
        model=models_pb2.Model(name="m", backend="torch", device="cpu", dtype="fp32", reason="because")
    ),
    **VISION_ANSWERS,
    **AUDIO_ANSWERS,
    **IMAGE_GENERATION_ANSWERS,
}


class FakeStream:
    """A call that streams, of either kind of channel: the messages of a table, until it is cancelled.

    Args:
        messages: In order; an exception is raised in its turn.
    """

    def __init__(self, messages: Sequence[Message | Exception]) -> None:
        self.cancelled = False
        self._messages = iter(messages)

    def __iter__(self) -> FakeStream:
        return self

    def __next__(self) -> Message:
        message = next(self._messages)
        if isinstance(message, Exception):
            raise message
        return message

    async def read(self) -> Any:
        return next(self, grpc.aio.EOF)

    def cancel(self) -> None:
        self.cancelled = True


class FakeDialogue(FakeStream):
    """A call that streams both ways, of a channel of grpc.aio: it hears all before it says anything.

    Args:
        messages: As for FakeStream.
        requests: What it hears.
        heard: Where that is noted.
    """

    def __init__(
        self, messages: Sequence[Message | Exception], requests: AsyncIterator[Message], heard: list[Message]
    ) -> None:
        super().__init__(messages)
        self._requests = requests
        self._heard = heard

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """It is never cancelled."""

    async def read(self) -> Any:
        self._heard.extend([request async for request in self._requests])
        return await super().read()


class FakeChannel:
    """Answers each RPC as a table says; an exception there is raised.

    Args:
        answers: By the RPC's short name.
        asynchronous: Answer as a channel of grpc.aio does.
    """

    def __init__(self, answers: Mapping[str, Answer], *, asynchronous: bool = False) -> None:
        self.calls: list[tuple[str, Any, float, Any]] = []
        self.streams: list[FakeStream] = []
        self._answers = answers
        self._asynchronous = asynchronous

    def unary_unary(self, path: str, *_: object, **__: object) -> Callable[..., Any]:
        def call(request: Message, *, timeout: float, metadata: Any) -> Any:
            return self._answer(path, request, timeout, metadata)

        async def later(request: Message, *, timeout: float, metadata: Any) -> Any:
            return call(request, timeout=timeout, metadata=metadata)

        return later if self._asynchronous else call

    def unary_stream(self, path: str, *_: object, **__: object) -> Callable[..., Any]:
        def call(request: Message, *, timeout: float, metadata: Any) -> FakeStream:
            self.streams.append(FakeStream(self._answer(path, request, timeout, metadata)))
            return self.streams[-1]

        return call

    def stream_stream(self, path: str, *_: object, **__: object) -> Callable[..., Any]:
        def call(requests: Iterator[Message], *, timeout: float, metadata: Any) -> FakeStream:
            heard = list(requests)
            self.streams.append(FakeStream(self._answer(path, heard, timeout, metadata)))
            return self.streams[-1]

        def later(requests: AsyncIterator[Message], *, timeout: float, metadata: Any) -> FakeStream:
            heard: list[Message] = []
            self.streams.append(FakeDialogue(self._answer(path, heard, timeout, metadata), requests, heard))
            return self.streams[-1]

        return later if self._asynchronous else call

    def _answer(self, path: str, request: Any, timeout: float, metadata: Any) -> Any:
        self.calls.append((path, request, timeout, metadata))
        answer = self._answers[path.rpartition("/")[2]]
        if isinstance(answer, Exception):
            raise answer
        return answer


def put_on(client: Any, channel: FakeChannel) -> None:
    """Let a client, of either kind, call a fake channel."""
    fake: Any = channel
    client.channel = fake
    client.text = text_pb2_grpc.TextServiceStub(fake)
    client.generation = generation_pb2_grpc.GenerationServiceStub(fake)
    client.tokenizers = tokenizers_pb2_grpc.TokenizerServiceStub(fake)
    client.vision = vision_pb2_grpc.VisionServiceStub(fake)
    client.audio = audio_pb2_grpc.AudioServiceStub(fake)
    client.image_generation = image_generation_pb2_grpc.ImageGenerationServiceStub(fake)
    client.models = models_pb2_grpc.ModelServiceStub(fake)


def fake_client(answers: Mapping[str, Answer]) -> tuple[Client, FakeChannel]:
    """A client, and the channel that it calls."""
    client = Client("127.0.0.1:1", timeout=7.0, metadata=[("x-key", "1")])
    client.close()
    channel = FakeChannel(answers)
    put_on(client, channel)
    return client, channel


def refused(code: grpc.StatusCode, message: str) -> grpc.aio.AioRpcError:
    """What a refused call raises, on either kind of channel."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=message)
