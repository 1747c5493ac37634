"""What the contract promises, held against the code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from transformers.pipelines import SUPPORTED_TASKS, TASK_ALIASES

from standpipe import contract
from standpipe_bench.sayings import SAYINGS
from standpipe_server.rpc.model_calls import MODEL_CALLS
from standpipe_server.rpc.server import SERVICES
from standpipe_server.tasks import (
    LIVE_TASKS,
    MODEL_TASKS,
    PIECE_TASKS,
    STREAM_TASKS,
    TASKS,
    LiveTask,
    PieceTask,
    StreamTask,
    Task,
)

METHODS = {method.full_name: method for service in SERVICES for method in service.methods}
ANSWERED: list[Task | StreamTask | PieceTask | LiveTask] = [
    *TASKS,
    *STREAM_TASKS,
    *PIECE_TASKS,
    *LIVE_TASKS,
]
EXAMPLES = {path.stem: path for path in Path("protos/examples").glob("*.json")}


def test_every_rpc_of_the_protos_has_a_handler_an_example_and_a_place_in_the_demo() -> None:
    assert set(METHODS) == {task.rpc for task in ANSWERED} | set(MODEL_CALLS)
    assert {name.rpartition(".")[2] for name in METHODS} == set(EXAMPLES)
    assert {method.name for method in METHODS.values()} == set(SAYINGS)
    assert dict(contract.methods()) == METHODS


def test_every_proto_file_is_served() -> None:
    files = {service.file.name for service in SERVICES} | {"standpipe/v1/common.proto"}
    assert {str(path.relative_to("protos")) for path in Path("protos/standpipe").rglob("*.proto")} == files


def test_every_example_is_a_request_of_its_rpc() -> None:
    for name, method in METHODS.items():
        example = json.loads(EXAMPLES[name.rpartition(".")[2]].read_text(encoding="utf-8"))
        assert isinstance(example, list) is method.client_streaming
        for one in example if method.client_streaming else [example]:
            json_format.ParseDict(one, GetMessageClass(method.input_type)())


def test_every_task_s_request_names_a_model_and_its_response_carries_metadata() -> None:
    for task in ANSWERED:
        assert task.request.DESCRIPTOR.fields_by_name["model"].number == 1
        assert task.response.DESCRIPTOR.fields_by_name["metadata"].number == 15
        assert METHODS[task.rpc].input_type is task.request.DESCRIPTOR


def test_every_default_is_the_one_that_the_library_pins() -> None:
    """Tasks whose pipelines transformers 5 has dropped keep those of transformers 4; diffusers has none."""
    for task in MODEL_TASKS.values():
        pinned = SUPPORTED_TASKS.get(task.name)
        if pinned is not None:
            assert pinned["default"]["model"] == task.default
    dropped = {"question-answering", "summarization", "translation", "text2text-generation"}
    dropped |= {"image-to-text", "visual-question-answering"}
    # The library has one pipeline for speech and other sounds, under two names.
    assert "text-to-speech" in TASK_ALIASES
    drawing = {"text-to-image", "image-to-image", "inpainting", "text-to-video"}
    ours = dropped | drawing | {"text-ranking", "text-to-speech"}
    assert {name for name in MODEL_TASKS if name not in SUPPORTED_TASKS} == ours
    assert {("", "")} == {MODEL_TASKS[name].default for name in drawing}
    assert all(MODEL_TASKS[name].default[1] for name in dropped)


def test_every_task_of_a_model_has_parameters_of_its_own() -> None:
    """A model with several tasks knows by their class what is wanted."""
    assert len({task.parameters for task in TASKS}) == len(TASKS)


LIGHT = """
import sys

class OnlyBase:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        # typing_extensions comes with grpcio.
        known = ("standpipe", "google", "grpc", "numpy", "typing_extensions")
        if top not in sys.stdlib_module_names and top not in known:
            raise ModuleNotFoundError(f"No module named {name!r}", name=top)

sys.meta_path.insert(0, OnlyBase())
import standpipe
standpipe.Client("127.0.0.1:1").close()
heavy = {"torch", "transformers", "pydantic", "rich"}
print(*sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""


def test_the_client_imports_nothing_but_its_base() -> None:
    """With every package hidden that the base install doesn't have."""
    ended = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (0, "", "\n") == (ended.returncode, ended.stderr, ended.stdout)


def test_without_the_server_extra_the_command_says_what_to_install() -> None:
    hidden = LIGHT.partition("import standpipe\n")[0].replace(
        '"standpipe",', '"standpipe", "standpipe_server",'
    )
    code = f"{hidden}\nfrom standpipe_server.__main__ import main\nmain()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "pip install 'standpipe[server,openvino]'" in ended.stderr
    assert "Traceback" not in ended.stderr
