"""The Python clients against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from standpipe import AsyncClient, CallError, ChatAnswer, Client, contract
from standpipe.v1 import models_pb2, text_pb2, text_pb2_grpc
from standpipe_bench.server_process import ServerProcess

TEXTS = [f"water runs {'and runs ' * (n % 7)}through pipe {n}" for n in range(100)]
HELLO = [{"role": "user", "content": "the quick brown fox"}]


@pytest.fixture
async def aio(tiny_server: ServerProcess) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(tiny_server.address, retry=False) as client:
        yield client


def test_vectors_come_as_a_float32_array_in_order(client: Client) -> None:
    together = client.embed_text(TEXTS)
    alone = np.concatenate([client.embed_text([text]) for text in TEXTS])
    assert ((100, 32), np.dtype(np.float32)) == (together.shape, together.dtype)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_values_and_packed_are_the_same_numbers(client: Client) -> None:
    embed = text_pb2_grpc.TextServiceStub(client.channel).EmbedText
    response = embed(text_pb2.EmbedTextRequest(texts=TEXTS[:3]))
    values = np.array([embedding.values for embedding in response.embeddings], np.float32)
    np.testing.assert_allclose(values, client.embed_text(TEXTS[:3]), atol=1e-6)
    assert (b"", 32) == (response.packed, response.dimensions)


def test_the_metadata_tells_what_answered(client: Client) -> None:
    embed = text_pb2_grpc.TextServiceStub(client.channel).EmbedText
    metadata = embed(text_pb2.EmbedTextRequest(texts=["the dog", "the lazy dog"])).metadata
    told = (metadata.model, metadata.backend, metadata.device, metadata.dtype, metadata.batch_size)
    assert ("tiny", "torch", "cpu", "fp32", 2) == told
    # The words, and two special tokens each.
    assert metadata.tokens == 2 + 2 + 3 + 2
    assert metadata.compute_duration.ToNanoseconds() > 0
    assert metadata.queue_duration.ToNanoseconds() > 0


def test_a_long_iterable_streams_in_order_reading_ahead_by_bounds(client: Client) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield TEXTS[(read - 1) % 100]

    rows = client.embed_many(endless(), batch_size=8, in_flight=3)
    first = [next(rows) for _ in range(20)]
    np.testing.assert_allclose(np.stack(first), client.embed_text(TEXTS[:20]), atol=1e-5)
    assert read <= 20 + 8 * 3
    rows.close()  # type: ignore[attr-defined] # a generator


def test_progress_is_shown_on_standard_error(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(client.embed_many(TEXTS, progress=True))
    assert len(rows) == 100
    assert "100/100" in capsys.readouterr().err


def test_one_string_is_refused_before_it_is_taken_for_its_letters(client: Client) -> None:
    with pytest.raises(TypeError, match="send a list"):
        client.embed_text("water")


def test_an_unknown_word_is_refused_with_those_there_are(client: Client) -> None:
    wrong: Any = "average"
    with pytest.raises(ValueError, match="pooling is 'average'; it may be: mean, cls, max, last_token"):
        client.embed_text(["water"], pooling=wrong)


async def test_the_async_client_answers_the_same(client: Client, aio: AsyncClient) -> None:
    np.testing.assert_allclose(await aio.embed_text(TEXTS), client.embed_text(TEXTS), atol=1e-5)
    rows = [row async for row in aio.embed_many(TEXTS, batch_size=7)]
    np.testing.assert_allclose(np.stack(rows), client.embed_text(TEXTS), atol=1e-5)
    assert await aio.list_models() == client.list_models()
    assert await aio.list_tasks() == client.list_tasks()
    assert await aio.get_model("tiny") == client.get_model("tiny")


async def test_the_async_client_raises_the_same(aio: AsyncClient) -> None:
    with pytest.raises(CallError, match=r"INVALID_ARGUMENT: .*prompt"):
        await aio.embed_text(["a"], prompt_name="query")


def test_models_and_tasks_are_listed(client: Client) -> None:
    (model,) = client.list_models()
    assert ("tiny", ["feature-extraction"], models_pb2.MODEL_STATE_READY) == (
        model.name,
        list(model.tasks),
        model.state,
    )
    assert (64, 32) == (model.max_tokens, model.dimensions)
    assert "asked for torch fp32" in model.reason
    assert [] == client.list_models("no-such-task")
    tasks = {task.name: task for task in client.list_tasks()}
    embedding, classifying = tasks["feature-extraction"], tasks["text-classification"]
    assert ("standpipe.v1.TextService.EmbedText", "tiny", True) == (
        embedding.rpc,
        embedding.served_model,
        embedding.served,
    )
    assert ("", False) == (classifying.served_model, classifying.served)
    assert classifying.default_model
    # A stream is the task of the call without, where there is one.
    names = {
        name for name, rpc in contract.methods().items() if rpc.containing_service.name != "ModelService"
    }
    assert {task.rpc for task in tasks.values()} == {
        name for name in names if name.replace("Service.Stream", "Service.") not in names - {name}
    }


def written(answer: ChatAnswer) -> tuple[str, str, list[int]]:
    """What doesn't depend on what the prefix cache holds."""
    return answer.content, answer.finish_reason, [token.id for token in answer.logprobs]


def test_a_stream_gives_what_the_call_without_gives(writer: Client) -> None:
    answer = writer.chat(HELLO, max_new_tokens=12, logprobs=True)
    stream = writer.stream_chat(HELLO, max_new_tokens=12, logprobs=True)
    deltas = list(stream)
    assert len(deltas) > 1
    assert written(answer) == written(stream.result())
    assert (12, 12) == (answer.usage.generated_tokens, len(answer.logprobs))
    assert ("openvino", 12) == (stream.metadata.model, stream.end.usage.generated_tokens)
    assert stream.metadata.time_to_first_token.ToNanoseconds() > 0
    ((text,),) = writer.generate_text(["the dog"], max_new_tokens=12)
    assert text == writer.stream_generate_text("the dog", max_new_tokens=12).result()
    assert "length" == text.finish_reason


async def test_the_async_client_streams_the_same(writer: Client, generation_server: ServerProcess) -> None:
    async with AsyncClient(generation_server.address, retry=False) as aio:
        answer = written(await aio.chat(HELLO, max_new_tokens=12))
        assert written(writer.chat(HELLO, max_new_tokens=12)) == answer
        assert answer == written(await aio.stream_chat(HELLO, max_new_tokens=12).result())
        (texts,) = await aio.generate_text(["the dog"], max_new_tokens=4, choices=["yes", "no"])
        assert texts[0].text in {"yes", "no"}


def test_a_conversation_goes_on_with_the_answer(writer: Client) -> None:
    first = writer.chat(HELLO, max_new_tokens=4)
    longer = [*HELLO, first.message, {"role": "user", "content": [{"type": "text", "text": "and?"}]}]
    second = writer.chat(longer, max_new_tokens=4)
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_a_stream_is_refused_as_the_call_without_is(writer: Client) -> None:
    with pytest.raises(CallError) as refused:
        writer.chat(HELLO, temperature=-1.0)
    with pytest.raises(CallError) as told:
        next(writer.stream_chat(HELLO, temperature=-1.0))
    assert (refused.value.code, refused.value.fields) == (told.value.code, told.value.fields)
    assert "parameters.temperature" in told.value.fields


def test_a_tokenizer_goes_there_and_back(client: Client) -> None:
    tokens, nothing = client.tokenize(["the dog", ""], add_special_tokens=False)
    assert ["the", "dog"] == [token.token for token in tokens.tokens]
    assert [(0, 3), (4, 7)] == [(token.start, token.end) for token in tokens.tokens]
    assert (((), 0), ["the dog", ""]) == (
        (nothing.tokens, nothing.overflowing),
        client.detokenize([tokens.ids, []]),
    )


def test_a_model_without_a_chat_template_says_so(client: Client) -> None:
    with pytest.raises(CallError, match=r"INVALID_ARGUMENT: .*chat template"):
        client.apply_chat_template([{"role": "user", "content": "water?"}])


def test_a_task_that_no_model_serves_is_not_found(client: Client) -> None:
    with pytest.raises(CallError, match="NOT_FOUND: ") as caught:
        client.classify_text(["water"])
    assert "MODEL_NOT_FOUND" == caught.value.reason


def test_an_unknown_model_is_not_found(client: Client) -> None:
    with pytest.raises(CallError, match="no model 'nobody'; served: tiny"):
        client.get_model("nobody")
