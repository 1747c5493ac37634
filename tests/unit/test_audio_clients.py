"""AudioService's methods of both clients, on a channel that answers from a table, and their requests."""

from __future__ import annotations

import threading
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from audio_answers import METADATA, SAMPLES
from client_fakes import ANSWERS, FakeChannel, fake_client, put_on

from standpipe import (
    AsyncClient,
    Label,
    Sound,
    SpokenSentence,
    Transcript,
    TranscriptEvent,
    TranscriptPart,
    contract,
)
from standpipe.audio import options, requests
from standpipe.audio.chunks import AudioRequests
from standpipe.v1 import audio_pb2

LABELS = [Label("wet", 0.75), Label("dry", 0.25)]
PCM = SAMPLES.tobytes()
SOUND = Sound(PCM, 8000, 1, 0.0005, "pcm16")
STEREO = Sound(PCM, 8000, 2, 0.00025, "pcm16")
PARTS = (TranscriptPart(" Open", 0.5, 0.75), TranscriptPart(" the valve.", 0.75, 1.5))
TRANSCRIPT = Transcript("Open the valve.", PARTS, 2.5)

# For each method: what it is called with, and what it makes of the answer in ANSWERS.
METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any], Any]] = {
    "transcribe_audio": (
        ([b"a", b"b"],),
        {"timestamps": "segment", "language": "en", "num_beams": 2},
        [TRANSCRIPT, Transcript("", (), 0.25)],
    ),
    "classify_audio": (([b"a", b"b"],), {"function_to_apply": "sigmoid"}, [LABELS, []]),
    "classify_audio_zero_shot": (
        ([b"a"], ["wet", "dry"]),
        {"hypothesis_template": "the sound of a {} wall"},
        [LABELS],
    ),
    "synthesize_speech": ((["Open.", "Close."],), {"speaking_rate": 1.5}, [SOUND, STEREO]),
    "generate_audio": ((["a waterfall"],), {"guidance_scale": 3.0, "max_new_tokens": 9}, [STEREO]),
}

# For each that streams: the same, of its parts, and of the result of the whole stream.
STREAMS: dict[str, tuple[tuple[Any, ...], dict[str, Any], list[Any], Any]] = {
    "stream_transcribe_audio": (
        ([PCM, SAMPLES[:2]],),
        {"language": "en"},
        [
            TranscriptEvent(" Oh", 0.5, 0.625, settled=False),
            TranscriptEvent(" Open", 0.5, 0.75, settled=True),
            TranscriptEvent(" the valve.", 0.75, 1.5, settled=True),
        ],
        TRANSCRIPT,
    ),
    "stream_synthesize_speech": (
        ("Open. Close.",),
        {"seed": 3},
        [SpokenSentence("Open.", SOUND), SpokenSentence("Close.", SOUND)],
        Sound(2 * PCM, 8000, 1, 0.001, "pcm16"),
    ),
}


def rpc_of(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))


def test_every_rpc_has_a_method() -> None:
    rpcs = audio_pb2.DESCRIPTOR.services_by_name["AudioService"].methods
    assert {rpc.name for rpc in rpcs} == {rpc_of(method) for method in METHODS | STREAMS}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_calls_its_rpc_and_returns_what_was_asked_for(method: str) -> None:
    given, options, expected = METHODS[method]
    client, channel = fake_client(ANSWERS)
    assert expected == getattr(client, method)(*given, **options)
    ((path, request, timeout, metadata),) = channel.calls
    rpc = contract.find(path)
    assert (rpc_of(method), rpc.input_type) == (rpc.name, request.DESCRIPTOR)
    assert (7.0, (("x-key", "1"),)) == (timeout, metadata)


@pytest.mark.parametrize("method", METHODS)
async def test_the_async_client_sends_and_returns_the_same(method: str) -> None:
    given, options, expected = METHODS[method]
    client, channel = fake_client(ANSWERS)
    getattr(client, method)(*given, **options, timeout=2.0)
    async with AsyncClient("127.0.0.1:1", metadata=[("x-key", "1")]) as aio:
        real = aio.channel
        later = FakeChannel(ANSWERS, asynchronous=True)
        put_on(aio, later)
        assert expected == await getattr(aio, method)(*given, **options, timeout=2.0)
        assert channel.calls == later.calls
        aio.channel = real


@pytest.mark.parametrize("method", STREAMS)
def test_a_stream_calls_its_rpc_and_gives_its_parts_then_the_whole(method: str) -> None:
    given, options, parts, whole = STREAMS[method]
    client, channel = fake_client(ANSWERS)
    stream = getattr(client, method)(*given, **options)
    assert parts == list(stream)
    assert (whole, METADATA) == (stream.result(), stream.metadata)
    ((path, sent, timeout, metadata),) = channel.calls
    rpc = contract.find(path)
    assert rpc_of(method) == rpc.name
    assert {rpc.input_type} == {one.DESCRIPTOR for one in (sent if rpc.client_streaming else [sent])}
    assert (7.0, (("x-key", "1"),)) == (timeout, metadata)


@pytest.mark.parametrize("method", STREAMS)
async def test_a_stream_of_the_async_client_sends_and_gives_the_same(method: str) -> None:
    given, options, parts, whole = STREAMS[method]
    client, channel = fake_client(ANSWERS)
    getattr(client, method)(*given, **options, timeout=2.0).result()
    async with AsyncClient("127.0.0.1:1", metadata=[("x-key", "1")]) as aio:
        real = aio.channel
        later = FakeChannel(ANSWERS, asynchronous=True)
        put_on(aio, later)
        stream = getattr(aio, method)(*given, **options, timeout=2.0)
        assert parts == [part async for part in stream]
        assert (whole, METADATA) == (await stream.result(), stream.metadata)
        assert channel.calls == later.calls
        aio.channel = real


async def test_the_event_loop_waits_for_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[threading.Thread] = []

    def read(_: Path) -> bytes:
        readers.append(threading.current_thread())
        return b"a"

    monkeypatch.setattr(Path, "read_bytes", read)
    async with AsyncClient("127.0.0.1:1") as aio:
        real = aio.channel
        put_on(aio, FakeChannel(ANSWERS, asynchronous=True))
        await aio.transcribe_audio(["a.wav"])
        aio.channel = real
    (reader,) = readers
    assert threading.current_thread() is not reader


@pytest.mark.parametrize(
    ("result", "message", "others"),
    [
        (TranscriptPart, audio_pb2.TranscriptPart, []),
        (Transcript, audio_pb2.Transcript, []),
        (TranscriptEvent, audio_pb2.TranscriptPart, ["settled"]),
        (Sound, audio_pb2.GeneratedAudio, ["format"]),
    ],
)
def test_a_result_has_every_field_of_its_message(result: type[Any], message: Any, others: list[str]) -> None:
    names = [field.name for field in message.DESCRIPTOR.fields]
    assert names + others == [field.name for field in fields(result)]


@pytest.mark.parametrize(
    ("request_of", "inputs", "name"),
    [
        (requests.transcribe_audio_request, (b"a",), "audios"),
        (requests.classify_audio_zero_shot_request, ([b"a"], "water"), "candidate_labels"),
        (requests.synthesize_speech_request, ("water",), "texts"),
        (requests.generate_audio_request, ("water",), "prompts"),
    ],
)
def test_one_where_several_are_meant_is_refused(request_of: Any, inputs: tuple[Any, ...], name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name} is one .*send a list"):
        request_of(*inputs)


SPOKEN = [(requests.synthesize_speech_request, ["a"]), (requests.stream_synthesize_speech_request, "a")]
SPEECH: dict[str, tuple[Any, Any]] = {
    "format": ("flac", audio_pb2.AUDIO_FORMAT_FLAC),
    "speaker_id": (0, 0),
    "speaking_rate": (0.5, 0.5),
    "seed": (0, 0),
}


@pytest.mark.parametrize(("request_of", "said"), SPOKEN)
@pytest.mark.parametrize("option", SPEECH)
def test_how_a_text_is_spoken_lands_in_its_field_and_in_no_other(
    request_of: Any, said: Any, option: str
) -> None:
    given, expected = SPEECH[option]
    request = request_of(said, model="m", **{option: given})
    assert ("m", expected) == (request.model, getattr(request.parameters, option))
    assert {"format", option} == {field.name for field, _ in request.parameters.ListFields()}


@pytest.mark.parametrize(("request_of", "said"), SPOKEN)
def test_every_field_of_speech_can_be_said_and_none_is_as_if_it_were_not(request_of: Any, said: Any) -> None:
    declared = set(get_type_hints(options.SynthesizeSpeechOptions))
    known = {field.name for field in audio_pb2.SpeechParameters.DESCRIPTOR.fields}
    assert {"model"} | known == {"model"} | set(SPEECH) == declared
    assert request_of(said) == request_of(said, **dict.fromkeys(declared))


@pytest.mark.parametrize("form", [None, *get_args(options.AudioFormatName)])
def test_sound_is_asked_for_as_samples_unless_a_format_is_named_and_knows_which(form: Any) -> None:
    client, channel = fake_client(ANSWERS)
    (sound, _) = client.synthesize_speech(["a", "b"], format=form)
    (sentence, _) = client.stream_synthesize_speech("a", format=form)
    (music,) = client.generate_audio(["a"], format=form)
    assert {form or "pcm16"} == {sound.format, sentence.sound.format, music.format}
    spoken, streamed, made = [request for _, request, _, _ in channel.calls]
    asked = audio_pb2.AudioFormat.Value(f"AUDIO_FORMAT_{form or 'pcm16'}".upper())
    assert {asked} == {spoken.parameters.format, streamed.parameters.format, made.format}


@pytest.mark.parametrize(
    ("request_of", "option", "words"),
    [
        (requests.transcribe_audio_request, "task", "transcribe, translate"),
        (requests.transcribe_audio_request, "timestamps", "segment, word"),
        (requests.synthesize_speech_request, "format", "wav, flac, ogg, pcm16"),
        (requests.generate_audio_request, "format", "wav, flac, ogg, pcm16"),
        (AudioRequests, "encoding", "pcm16, float32"),
        (AudioRequests, "task", "transcribe, translate"),
    ],
)
def test_an_unknown_word_is_refused_with_those_there_are(request_of: Any, option: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 'centre'; it may be: {words}$"):
        request_of([b"a"], **{option: "centre"})
