"""What a stream of sound is asked of the model, and told the caller; without a model."""

from __future__ import annotations

import numpy as np
import pytest

from standpipe.v1 import audio_pb2
from standpipe_server.errors import InvalidInputError, LimitExceededError
from standpipe_server.interfaces import Output
from standpipe_server.tasks import InputLimits
from standpipe_server.tasks.stream_transcribe_audio import TranscriptionSession
from standpipe_server.tasks.transcribe_audio import Heard, Part

Request = audio_pb2.StreamTranscribeAudioRequest
Config = audio_pb2.StreamTranscriptionConfig


def session(limits: InputLimits | None = None, **config: object) -> TranscriptionSession:
    request = Request(config=Config(**config))  # type: ignore[arg-type]
    return TranscriptionSession(request, limits or InputLimits())


def sound(seconds: float) -> Request:
    return Request(audio=np.zeros(int(seconds * 16000), "<i2").tobytes())


def give(live: TranscriptionSession, seconds: float) -> None:
    """Sound in pieces of twenty seconds at most."""
    while seconds > 0:
        live.add(sound(min(seconds, 20)))
        seconds -= 20


def heard(*parts: tuple[str, float, float], duration: float) -> Output:
    text = " ".join(word for word, _, _ in parts)
    return Output(Heard(text, tuple(Part(*part) for part in parts), duration))


def asked(live: TranscriptionSession) -> float | None:
    """Seconds that the model is asked about now."""
    call = live.next()
    return None if call is None else len(call.input.samples(16000)) / 16000


def told(messages: list[audio_pb2.StreamTranscribeAudioResponse]) -> list[tuple[str, str]]:
    kinds = [message.WhichOneof("event") for message in messages]
    return [
        (kind or "", getattr(message, kind or "").text) for kind, message in zip(kinds, messages, strict=True)
    ]


def test_each_second_of_sound_what_is_heard_so_far_is_told() -> None:
    live = session()
    live.add(sound(0.9))
    assert asked(live) is None
    live.add(sound(0.2))
    assert 1.1 == asked(live)
    assert [("interim", "the")] == told(live.take(heard(("the", 0, 1), duration=1.1)))
    assert asked(live) is None
    live.add(sound(1.0))
    assert 2.1 == asked(live)


def test_nothing_is_told_before_it_is_settled_where_nobody_wants_it() -> None:
    live = session(interim_results=False)
    give(live, 20)
    assert asked(live) is None
    live.end()
    assert 20 == asked(live)


def test_the_end_settles_everything_and_gives_the_whole() -> None:
    live = session()
    live.add(sound(3))
    live.end()
    assert 3 == asked(live)
    messages = live.take(heard(("the dog.", 0, 1.5), ("It runs.", 1.5, 3), duration=3))
    assert [("segment", "the dog."), ("segment", "It runs."), ("result", "the dog. It runs.")] == told(
        messages
    )
    assert live.done
    assert [(0, 1.5), (1.5, 3)] == [(part.start, part.end) for part in messages[-1].result.parts]
    assert 3 == messages[-1].result.duration


def test_a_window_settles_all_segments_but_the_last_which_begins_the_next() -> None:
    live = session(interim_results=False)
    give(live, 45)
    assert 30 == asked(live)
    messages = live.take(heard(("one.", 0, 12), ("two.", 12, 25), ("thr", 25, 30), duration=30))
    assert [("segment", "one."), ("segment", "two.")] == told(messages)
    live.end()
    assert 20 == asked(live)
    (three, whole) = live.take(heard(("three.", 0, 19), duration=20))
    assert (25, 44) == (three.segment.start, three.segment.end)
    assert ("one. two. three.", 45) == (whole.result.text, whole.result.duration)


@pytest.mark.parametrize("parts", [(), (("all of it", 0.0, 30.0),), (("odd", 0.0, 0.0), ("times", 0.0, 0.0))])
def test_a_window_that_has_no_times_to_go_on_from_is_left_behind(
    parts: tuple[tuple[str, float, float], ...],
) -> None:
    live = session(interim_results=False)
    give(live, 40)
    assert 30 == asked(live)
    live.take(heard(*parts, duration=30))
    live.end()
    assert 10 == asked(live)


def test_a_long_last_segment_of_a_window_is_told_where_the_times_do_not_say_from_where_on_to_read() -> None:
    """A first segment too short to go on from: all is settled, and nothing lost."""
    live = session(interim_results=False)
    give(live, 40)
    assert 30 == asked(live)
    messages = live.take(heard(("Hi.", 0, 0.8), ("a long one", 0.8, 28), duration=30))
    assert [("segment", "Hi."), ("segment", "a long one")] == told(messages)
    live.end()
    assert 10 == asked(live)


def test_something_is_left_to_be_asked_about_at_the_end() -> None:
    live = session(interim_results=False)
    give(live, 30)
    assert asked(live) is None
    live.end()
    assert 30 == asked(live)


def test_two_channels_at_another_rate_are_one_at_the_model_s() -> None:
    live = session(sample_rate=48000, channels=2, encoding=audio_pb2.AUDIO_ENCODING_FLOAT32)
    live.add(Request(audio=np.zeros(2 * 48000, "<f4").tobytes()))
    live.end()
    assert 1 == asked(live)


def test_a_caller_who_is_faster_than_the_model_is_held_up() -> None:
    live = session(interim_results=False)
    give(live, 50)
    assert not live.full
    give(live, 20)
    assert live.full


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"sample_rate": 100}, "config.sample_rate"),
        ({"sample_rate": 400_000}, "config.sample_rate"),
        ({"channels": 0}, "config.channels"),
        ({"channels": 8}, "config.channels"),
        ({"encoding": 9}, "config.encoding"),
        ({"task": 9}, "config.task"),
    ],
)
def test_a_config_that_can_not_be_is_refused(config: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        session(None, **config)
    assert field == refused.value.field


def test_messages_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="the first message has no config"):
        TranscriptionSession(sound(1), InputLimits())
    with pytest.raises(InvalidInputError, match="only the first message"):
        session().add(Request(config=Config()))


def test_half_a_sample_and_no_sound_at_all_are_refused() -> None:
    with pytest.raises(InvalidInputError) as odd:
        session().add(Request(audio=b"abc"))
    with pytest.raises(InvalidInputError) as nothing:
        session().end()
    with pytest.raises(InvalidInputError, match="the piece is empty") as empty:
        session().add(Request(audio=b""))
    with pytest.raises(LimitExceededError, match="piece_bytes = 1048576") as large:
        session().add(sound(33))
    fields = [error.value.field for error in (odd, nothing, empty, large)]
    assert ["audio"] * 4 == fields


def test_too_long_a_sound_is_refused_with_the_limit() -> None:
    live = session(InputLimits(max_seconds=5))
    live.add(sound(5))
    with pytest.raises(LimitExceededError) as refused:
        live.add(sound(2))
    assert ("audio", "max_seconds") == (refused.value.field, refused.value.details["limit"])
