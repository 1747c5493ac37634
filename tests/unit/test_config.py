from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from standpipe_server.config import load_settings
from standpipe_server.engine.queue import BatchLimits
from standpipe_server.interfaces import ModelSpec
from standpipe_server.rpc.server import RpcLimits
from standpipe_server.tasks import InputLimits

TASK = "feature-extraction"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STANDPIPE_"):
            monkeypatch.delenv(name)


def file_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "standpipe.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def models(*flags: str) -> list[tuple[str, str, str]]:
    """Name, source and tasks of the models that ``--model`` flags give."""
    settings = load_settings([part for flag in flags for part in ("--model", flag)])
    return [(spec.name, spec.source, "+".join(spec.tasks)) for spec in settings.specs()]


def problem_of(*args: str) -> str:
    with pytest.raises(ValidationError) as refusal:
        load_settings(args)
    return str(refusal.value)


def test_without_a_word_the_defaults_of_the_rooms_hold() -> None:
    settings = load_settings([])
    assert [] == settings.specs()
    assert BatchLimits(max_cost=448) == settings.batch_limits(batch_cost=448)
    assert RpcLimits() == settings.rpc_limits()


def test_a_batch_costs_as_much_as_the_backend_says_unless_an_option_says_otherwise() -> None:
    assert 448 == load_settings([]).batch_limits(448).max_cost
    assert 100 == load_settings(["--max-batch-cost", "100"]).batch_limits(448).max_cost


def test_a_batch_never_has_more_items_than_its_backend_bears() -> None:
    settings = load_settings(["--max-batch-cost", "4096", "--max-batch-items", "8"])
    assert [8, 8, 1] == [settings.batch_limits(16, bears).max_items for bears in (0, 16, 1)]


@pytest.mark.parametrize("adapter", ["ink", "=./ink", "ink=", "ink.v1=./ink", "a b=./ink"])
def test_an_adapter_without_a_name_or_a_source_is_refused(adapter: str) -> None:
    with pytest.raises(ValidationError, match="isn't NAME=SOURCE"):
        load_settings(["--lora", adapter])


def test_adapters_are_the_model_s_own_or_everybody_s(tmp_path: Path) -> None:
    models = (
        '[[model]]\nname = "a"\nsource = "a"\n[[model]]\nname = "b"\nsource = "b"\nlora = {oil = "./oil"}'
    )
    settings = load_settings(["--config", file_of(tmp_path, models), "--lora", "ink=./ink"])
    assert [(("ink", "./ink"),), (("oil", "./oil"),)] == [spec.lora for spec in settings.specs()]


def test_a_flag_beats_the_environment_and_the_environment_beats_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file_of(tmp_path, "max_queue = 2001\nmax_batch_items = 11\nmax_batch_cost = 101")
    monkeypatch.setenv("STANDPIPE_MAX_QUEUE", "2002")
    monkeypatch.setenv("STANDPIPE_MAX_BATCH_ITEMS", "12")
    limits = load_settings(["--config", path, "--max-queue", "2003"]).batch_limits(448)
    assert BatchLimits(max_queue=2003, max_items=12, max_cost=101) == limits


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_CONFIG", file_of(tmp_path, "max_wait = 0.25"))
    assert 0.25 == load_settings([]).max_wait


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no configuration file .*absent\.toml"):
        load_settings([f"--config={tmp_path / 'absent.toml'}"])


@pytest.mark.parametrize("text", ["max_que = 1", '[[model]]\nname = "a"\nsource = "b"\nbackends = "torch"'])
def test_an_unknown_key_in_the_file_is_an_error(tmp_path: Path, text: str) -> None:
    assert "Extra inputs are not permitted" in problem_of("--config", file_of(tmp_path, text))


def test_an_unknown_flag_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--max-que", "1"])
    assert "unrecognized arguments: --max-que 1" in capsys.readouterr().err


def test_limits_reach_the_wire() -> None:
    flags = [
        "--max-items",
        "7",
        "--max-text-bytes",
        "8",
        "--max-message-bytes",
        "2048",
        "--max-labels",
        "5",
        "--max-new-tokens",
        "6",
        "--max-queue",
        "10",
        "--default-timeout",
        "9",
    ]
    assert (
        RpcLimits(InputLimits(7, 8, 5, 6, 10, max_message_bytes=2048), 2048, 9.0)
        == load_settings(flags).rpc_limits()
    )


def test_the_model_flag_may_be_repeated() -> None:
    assert [("a", "x", TASK), ("b", "y", TASK)] == models("a=x", "b=y")


@pytest.mark.parametrize(
    ("flag", "source"),
    [
        ("m=org/name", "org/name"),
        (f"m=org/name:{TASK}", "org/name"),
        (r"m=C:\models\minilm", r"C:\models\minilm"),
        (rf"m=C:\models\minilm:{TASK}", r"C:\models\minilm"),
        ("m=C:/models/minilm", "C:/models/minilm"),
        ("m=https://host:8080/minilm", "https://host:8080/minilm"),
        (f"m=https://host:8080/minilm:{TASK}", "https://host:8080/minilm"),
        ("m=folder/a=b", "folder/a=b"),
    ],
)
def test_a_colon_before_a_word_sets_a_task_and_other_colons_are_the_sources_own(
    flag: str, source: str
) -> None:
    assert [("m", source, TASK)] == models(flag)


def test_one_model_may_serve_several_tasks(tmp_path: Path) -> None:
    assert [("m", "x", "summarization+translation")] == models("m=x:summarization+translation")
    assert [("m", "x", "text-generation+summarization")] == models("m=x:text-generation+summarization")
    for written in ('"summarization+translation"', '["summarization", "translation"]'):
        path = file_of(tmp_path, f'[[model]]\nname = "m"\nsource = "x"\ntask = {written}')
        (spec,) = load_settings(["--config", path]).specs()
        assert ("summarization", "translation") == spec.tasks


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("m", "'m' isn't NAME=SOURCE[:TASK[+TASK]]"),
        ("m=x:fil-mask", f"unknown task 'fil-mask'; known: {TASK}, "),
        (f"m=x:{TASK}+fil-mask", "unknown task 'fil-mask'"),
        (f"m=x:{TASK}+", "unknown task ''"),
        ("m=x:", "unknown task ''"),
        ("m=x:tokenize", "unknown task 'tokenize'"),
        (f"m=x:{TASK}+fill-mask", f"{TASK} and fill-mask need models of different kinds: name two models"),
        (
            f"m=x:text-generation+{TASK}",
            f"text-generation and {TASK} need models of different kinds: name two models",
        ),
        (
            "m=x:text-generation+text2text-generation",
            "text-generation and text2text-generation need models of different kinds: name two models",
        ),
        ("m=x:conversational", "unknown task 'conversational'; known: "),
        ("=x", "at least 1 character"),
        ("m=", "at least 1 character"),
    ],
)
def test_a_model_flag_that_makes_no_sense_is_an_error(flag: str, problem: str) -> None:
    assert problem in problem_of("--model", flag)


def test_two_models_of_one_name_are_an_error() -> None:
    assert "given twice: a" in problem_of("--model", "a=x", "--model", "b=y", "--model", "a=z")


def test_a_queue_that_can_not_hold_one_whole_call_is_an_error() -> None:
    assert "max_queue = 10 can't hold one call of max_items = 11" in problem_of(
        "--max-queue", "10", "--max-items", "11"
    )
    assert 10 == load_settings(["--max-queue", "10", "--max-items", "10"]).max_queue


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", "mps:1", ""])
def test_a_device_that_there_is_not_is_an_error(device: str) -> None:
    assert "device" in problem_of(f"--device={device}")


def test_what_a_model_leaves_open_the_servers_own_options_say(tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        'dtype = "fp32"\nthreads = 4\n'
        '[[model]]\nname = "a"\nsource = "x"\n'
        '[[model]]\nname = "b"\nsource = "y"\nrevision = "r1"\n'
        'dtype = "bf16"\ndevice = "cuda:1"\nstreams = 2\n',
    )
    assert [
        ModelSpec("a", "x", (TASK,), dtype="fp32", threads=4),
        ModelSpec("b", "y", (TASK,), revision="r1", dtype="bf16", device="cuda:1", streams=2, threads=4),
    ] == load_settings(["--config", path]).specs()


WRITES: dict[str, Any] = {
    "max_sequences": 7,
    "max_batched_tokens": 99,
    "kv_cache_gb": 0.5,
    "prefix_cache": False,
}
FLAGS = ["--max-sequences=7", "--max-batched-tokens=99", "--kv-cache-gb=0.5", "--no-prefix-cache"]
FILE = "max_sequences = 7\nmax_batched_tokens = 99\nkv_cache_gb = 0.5\nprefix_cache = false\n"
CHAT = ("text-generation",)


def test_how_causal_models_write_may_be_said_by_flags() -> None:
    (spec,) = load_settings(["--model=a=x:text-generation", *FLAGS]).specs()
    assert ModelSpec("a", "x", CHAT, **WRITES) == spec
    (spec,) = load_settings(["--model=a=x:text-generation", "--prefix-cache"]).specs()
    assert ModelSpec("a", "x", CHAT) == spec


def test_how_causal_models_write_may_be_said_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WRITES.items():
        monkeypatch.setenv(f"STANDPIPE_{name.upper()}", str(value))
    (spec,) = load_settings(["--model=a=x:text-generation"]).specs()
    assert ModelSpec("a", "x", CHAT, **WRITES) == spec


def test_how_causal_models_write_may_be_said_by_the_file_for_all_or_for_one(tmp_path: Path) -> None:
    one = '[[model]]\nname = "a"\nsource = "x"\ntask = "text-generation"\n'
    other = one.replace('"a"', '"b"')
    path = file_of(tmp_path, FILE + one + other + "max_sequences = 8\nprefix_cache = true\n")
    assert [
        ModelSpec("a", "x", CHAT, **WRITES),
        ModelSpec("b", "x", CHAT, **{**WRITES, "max_sequences": 8, "prefix_cache": True}),
    ] == load_settings(["--config", path]).specs()
    path = file_of(tmp_path, one + FILE + other)
    assert [ModelSpec("a", "x", CHAT, **WRITES), ModelSpec("b", "x", CHAT)] == load_settings(
        ["--config", path]
    ).specs()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_sequences", "-1"),
        ("max_batched_tokens", "-1"),
        ("kv_cache_gb", "0"),
        ("kv_cache_gb", "-1"),
        ("prefix_cache", "perhaps"),
    ],
)
def test_what_no_causal_model_could_write_with_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    model = '[[model]]\nname = "a"\nsource = "x"\n'
    told = value if option != "prefix_cache" else f'"{value}"'
    assert option in problem_of("--config", file_of(tmp_path, f"{model}{option} = {told}"))
    monkeypatch.setenv(f"STANDPIPE_{option.upper()}", value)
    assert option in problem_of()


def test_models_from_elsewhere_get_the_servers_own_options() -> None:
    demo = ModelSpec("demo", "folder", (TASK,), revision="0.1.0")
    settings = load_settings(["--backend", "torch", "--device", "cpu", "--compile"])
    expected = ModelSpec(
        "demo", "folder", (TASK,), revision="0.1.0", backend="torch", device="cpu", compile=True
    )
    assert [expected] == settings.with_options([demo])


def test_model_flags_replace_the_files_models(tmp_path: Path) -> None:
    path = file_of(tmp_path, '[[model]]\nname = "a"\nsource = "x"')
    assert ["b"] == [spec.name for spec in load_settings(["--config", path, "--model", "b=y"]).specs()]


@pytest.mark.parametrize("name", ["MODEL", "MODELS"])
def test_a_variable_without_the_prefix_is_none_of_the_servers_business(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "a=x")
    assert [] == models()


def test_models_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_MODEL", f"a=x,b=y:{TASK}")
    assert [("a", "x", TASK), ("b", "y", TASK)] == models()


def test_model_flags_replace_the_environments_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_MODEL", "a=x")
    assert [("b", "y", TASK)] == models("b=y")


def test_the_environments_models_replace_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDPIPE_MODEL", "b=y")
    path = file_of(tmp_path, '[[model]]\nname = "a"\nsource = "x"')
    assert ["b"] == [spec.name for spec in load_settings(["--config", path]).specs()]


def test_a_model_for_images_and_texts_serves_all_that_it_can() -> None:
    tasks = "text-generation+image-to-text+visual-question-answering"
    assert [("vlm", "x", tasks)] == models("vlm=x:image-text-to-text")


def test_addresses_are_allowed_by_flags_or_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = "https://a.example/photos/", "http://*.b.example:8080/"
    assert (one, other) == load_settings(["--allow-uri", one, "--allow-uri", other]).rpc_limits().allowed_uris
    monkeypatch.setenv("STANDPIPE_ALLOW_URI", f"{one},{other}")
    assert (one, other) == load_settings([]).rpc_limits().allowed_uris


@pytest.mark.parametrize("entry", ["a.example", "ftp://a.example/", "http://10.0.0.1/", "https://*.org/"])
def test_an_address_that_can_not_be_allowed_is_refused_at_the_start(entry: str) -> None:
    assert f"{entry!r} can't be allowed" in problem_of("--allow-uri", entry)
