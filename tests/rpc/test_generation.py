"""GenerationService through real sockets: answers, and streams that lag, break off or outlive a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from generation import (
    BACKENDS,
    HELLO,
    Chat,
    Constraint,
    GenerateText,
    StreamChat,
    StreamGenerateText,
    exactly,
    long,
    read,
    stream,
)
from standpipe import CallError, Client
from standpipe.v1 import generation_pb2, generation_pb2_grpc, text_pb2
from standpipe_bench.server_process import ServerProcess

Code = grpc.StatusCode
SAMPLED = {"do_sample": True, "seed": 5, "top_k": 0}


@pytest.mark.parametrize("model", BACKENDS)
def test_generate_text_continues_each_prompt(writer: Client, model: str) -> None:
    request = GenerateText(model=model, prompts=["hello", "the quick brown"], parameters=exactly(12))
    request.return_full_text = True
    answer = writer.call(writer.generation.GenerateText, request)
    assert [1, 1] == [len(result.texts) for result in answer.results]
    for prompt, result in zip(request.prompts, answer.results, strict=True):
        (text,) = result.texts
        assert text.generated_text.startswith(prompt)
        assert (generation_pb2.FINISH_REASON_LENGTH, 12) == (text.finish_reason, text.generated_tokens)
    alone = writer.call(
        writer.generation.GenerateText, GenerateText(model=model, prompts=["hello"], parameters=exactly(12))
    )
    assert "hello" + alone.results[0].texts[0].generated_text == answer.results[0].texts[0].generated_text
    assert (4, 24) == (answer.usage.prompt_tokens, answer.usage.generated_tokens)
    assert (model, model, "fp32", 4) == (
        answer.metadata.model,
        answer.metadata.backend,
        answer.metadata.dtype,
        answer.metadata.tokens,
    )
    assert answer.metadata.tokens_per_second > 0


@pytest.mark.parametrize("options", [{}, SAMPLED], ids=["greedy", "drawn"])
@pytest.mark.parametrize("model", BACKENDS)
def test_a_stream_joined_is_the_text_that_comes_at_once(
    writer: Client, model: str, options: dict[str, Any]
) -> None:
    parameters = exactly(60, **options)
    whole = writer.call(
        writer.generation.GenerateText,
        GenerateText(model=model, prompts=["hello"], parameters=parameters, logprobs=True),
    )
    (text,) = whole.results[0].texts
    streamed = read(
        stream(writer, StreamGenerateText(model=model, prompt="hello", parameters=parameters, logprobs=True))
    )
    assert text.generated_text == streamed.text
    assert [one.id for one in text.logprobs] == [one.id for one in streamed.logprobs]
    assert 60 == len(streamed.logprobs)
    assert (text.finish_reason, whole.usage) == (streamed.end.finish_reason, streamed.end.usage)


@pytest.mark.parametrize("model", BACKENDS)
def test_a_streamed_chat_joined_is_the_chat_that_comes_at_once(writer: Client, model: str) -> None:
    parameters = exactly(60, **SAMPLED)
    whole = writer.call(writer.generation.Chat, Chat(model=model, messages=HELLO, parameters=parameters))
    streamed = read(stream(writer, StreamChat(model=model, messages=HELLO, parameters=parameters)))
    assert ("assistant", streamed.text) == (whole.message.role, whole.message.content)
    assert (whole.finish_reason, whole.usage) == (streamed.end.finish_reason, streamed.end.usage)
    assert 60 == whole.usage.generated_tokens


@pytest.mark.parametrize("model", BACKENDS)
def test_the_end_of_a_stream_tells_what_it_took(writer: Client, model: str) -> None:
    took = read(stream(writer, StreamGenerateText(model=model, prompt="hello", parameters=exactly(200))))
    assert generation_pb2.FINISH_REASON_LENGTH == took.end.finish_reason
    assert (1, 200) == (took.end.usage.prompt_tokens, took.end.usage.generated_tokens)
    metadata = took.metadata
    assert (model, 1) == (metadata.model, metadata.tokens)
    assert metadata.HasField("queue_duration")
    first, all_of_it = (
        duration.ToTimedelta().total_seconds()
        for duration in (metadata.time_to_first_token, metadata.compute_duration)
    )
    assert 0 < first < all_of_it
    assert 200 / all_of_it == pytest.approx(metadata.tokens_per_second, rel=1e-3)


@pytest.mark.parametrize("model", BACKENDS)
def test_a_stop_string_ends_a_stream_and_is_not_in_it(writer: Client, model: str) -> None:
    whole = read(stream(writer, StreamGenerateText(model=model, prompt="hello", parameters=exactly(60))))
    stop = whole.text[20:24]
    request = StreamGenerateText(
        model=model, prompt="hello", parameters=exactly(60), stop_strings=["zzz", stop]
    )
    stopped = read(stream(writer, request))
    assert whole.text[: whole.text.find(stop)] == stopped.text
    assert (generation_pb2.FINISH_REASON_STOP_STRING, stop) == (
        stopped.end.finish_reason,
        stopped.end.stop_string,
    )


@pytest.mark.parametrize("model", BACKENDS)
def test_a_constraint_is_obeyed(writer: Client, model: str) -> None:
    choices = Constraint(choices=generation_pb2.Choices(texts=["red", "red wine"]))
    chat = writer.call(writer.generation.Chat, Chat(model=model, messages=HELLO, constraint=choices))
    assert chat.message.content in {"red", "red wine"}
    assert generation_pb2.FINISH_REASON_STOP == chat.finish_reason
    request = StreamGenerateText(model=model, prompt="hello", constraint=Constraint(regex="[0-9]{3}"))
    assert read(stream(writer, request)).text.isdecimal()


@pytest.mark.parametrize("model", BACKENDS)
def test_a_causal_model_summarizes_and_translates_too(writer: Client, model: str) -> None:
    texts = ["the quick brown fox jumps over the lazy dog", "water stands ready " * 20]
    summaries = writer.call(
        writer.text.SummarizeText,
        text_pb2.SummarizeTextRequest(model=model, texts=texts, parameters=exactly(9)),
    )
    assert [9, 9] == [result.generated_tokens for result in summaries.results]
    assert all(result.summary_text for result in summaries.results)
    translations = writer.call(
        writer.text.TranslateText,
        text_pb2.TranslateTextRequest(
            model=model,
            texts=texts,
            source_language="English",
            target_language="German",
            parameters=exactly(9),
        ),
    )
    assert [9, 9] == [result.generated_tokens for result in translations.results]
    assert summaries.results[0].summary_text != translations.results[0].translation_text


@pytest.mark.parametrize("model", BACKENDS)
def test_a_deadline_in_the_middle_of_a_stream_ends_it(writer: Client, model: str) -> None:
    messages = stream(writer, long(model=model), timeout=3)
    assert next(messages).delta.text
    with pytest.raises(CallError) as caught:
        for _ in messages:
            pass
    assert Code.DEADLINE_EXCEEDED == caught.value.code


def test_what_a_slow_reader_has_not_read_keeps_nobody_waiting_and_is_not_lost(
    generation_server: ServerProcess, writer: Client
) -> None:
    # No more than the 64 kB that HTTP/2 begins with may be under way to it; all of it is much more.
    options = [("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(generation_server.address, options) as channel:
        slow = generation_pb2_grpc.GenerationServiceStub(channel).StreamGenerateText(
            long(8000, logprobs=True), timeout=100
        )
        first = next(slow)
        for _ in range(4):
            quick = read(stream(writer, StreamGenerateText(prompt="water", parameters=exactly(300))))
            assert 300 == quick.end.usage.generated_tokens
            time.sleep(0.1)
            next(slow)
        late = read(slow)
    assert late.bytes > 100_000
    assert first.HasField("delta")
    assert generation_pb2.FINISH_REASON_LENGTH == late.end.finish_reason
    assert 8000 - 5 == len(late.logprobs)
    whole = read(stream(writer, long(8000)))
    assert whole.text.endswith(late.text)


@pytest.fixture(scope="module")
def narrow(narrow_to_be: Future[ServerProcess]) -> Iterator[ServerProcess]:
    """A server that writes one text while one waits."""
    yield (server := narrow_to_be.result())
    server.process.terminate()


def test_a_full_queue_is_resource_exhausted_with_a_time_to_retry(narrow: ServerProcess) -> None:
    with Client(narrow.address, retry=False) as client:
        running = stream(client, long())
        next(running)
        waiting = client.generation.StreamGenerateText(long(3), timeout=60)
        refused: list[CallError] = []
        give_up = time.monotonic() + 30
        # The one that waits may arrive after the first of these, which then waits itself.
        while not refused and time.monotonic() < give_up:
            try:
                next(stream(client, long(3), timeout=0.5))
            except CallError as error:
                if error.code is not Code.DEADLINE_EXCEEDED:
                    refused.append(error)
        assert [(Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")] == [(one.code, one.reason) for one in refused]
        assert refused[0].retry_after is not None
        assert refused[0].retry_after > 0
        running.cancel()
        assert 3 == read(waiting).end.usage.generated_tokens


def test_who_cancels_frees_its_place_at_once(narrow: ServerProcess) -> None:
    with Client(narrow.address, retry=False) as client:
        client.call(client.generation.GenerateText, GenerateText(prompts=["a"], parameters=exactly(3)))
        for _ in range(20):
            messages = stream(client, long())
            next(messages)
            messages.cancel()
            # All of that text would have taken seconds; the wait for it twenty times as long.
            quick = read(stream(client, long(3), timeout=5))
            assert 3 == quick.end.usage.generated_tokens


def signalled(server: ServerProcess, channel: grpc.Channel, count: int) -> list[Any]:
    """Streams under way when the server is told to stop."""
    stub = generation_pb2_grpc.GenerationServiceStub(channel)
    streams = [stub.StreamGenerateText(long(3_000), timeout=100) for _ in range(count)]
    for messages in streams:
        next(messages)
    server.process.terminate()
    return streams


def test_sigterm_lets_streams_finish(patient_to_be: Future[ServerProcess]) -> None:
    server = patient_to_be.result()
    with grpc.insecure_channel(server.address) as channel:
        streams = signalled(server, channel, 3)
        with ThreadPoolExecutor(3) as readers:
            ends = [text.end for text in readers.map(read, streams)]
        assert [generation_pb2.FINISH_REASON_LENGTH] * 3 == [end.finish_reason for end in ends]
        assert [3_000] * 3 == [end.usage.generated_tokens for end in ends]
        assert 0 == server.process.wait(timeout=60)


def test_a_server_that_waits_no_longer_ends_streams_with_what_there_is(
    impatient_to_be: Future[ServerProcess],
) -> None:
    server = impatient_to_be.result()
    with grpc.insecure_channel(server.address) as channel:
        whole = read(
            generation_pb2_grpc.GenerationServiceStub(channel).StreamGenerateText(long(3_000), timeout=100)
        )
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        running = [stub.StreamGenerateText(long(), timeout=100) for _ in range(2)]
        begun = [next(messages).delta.text for messages in running]
        waiting = [stub.StreamGenerateText(long(), timeout=100) for _ in range(3)]
        time.sleep(0.3)
        server.process.terminate()
        with ThreadPoolExecutor(2) as readers:
            ended = list(readers.map(read, running))
        for beginning, text in zip(begun, ended, strict=True):
            assert generation_pb2.FINISH_REASON_CANCELLED == text.end.finish_reason
            assert 1 < text.end.usage.generated_tokens < 30_000
            assert text.metadata.model == "openvino"
            # The last character may be a part of one.
            written = beginning + text.text[:-1]
            assert whole.text[: len(written)] == written[: len(whole.text)]
        for messages in waiting:
            with pytest.raises(grpc.RpcError) as caught:
                next(messages)
            error = CallError(caught.value)
            assert (Code.UNAVAILABLE, "SERVER_DRAINING") == (error.code, error.reason)
        assert 1 == server.process.wait(timeout=60)
