"""``standpipe call`` as it is typed, against a server in this process that answers from a table."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from client_fakes import ANSWERS
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from image_generation_answers import IMAGES

from standpipe import contract
from standpipe.v1 import image_generation_pb2, text_pb2, vision_pb2

with warnings.catch_warnings():
    # typer's own, about click.
    warnings.simplefilter("ignore", DeprecationWarning)
    from click.testing import Result
    from typer.testing import CliRunner

    from standpipe_server.cli import app

RPCS = list(contract.methods().values())
DETAILS: tuple[Message, ...] = (
    error_details_pb2.ErrorInfo(reason="QUEUE_FULL", metadata={"limit": "max_queue"}),
    error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field="texts[0]", description="no good"),
            error_details_pb2.BadRequest.FieldViolation(field="top_k", description="too many"),
        ]
    ),
    error_details_pb2.RetryInfo(retry_delay=Duration(nanos=500_000_000)),
)


class TableServer(grpc.GenericRpcHandler):
    """Answers as ANSWERS says; "bad" it refuses with every detail there is, in a stream after a message."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Message]] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        rpc = contract.find(details.method)

        def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
            request = self._read(rpc, data)
            if "bad" in getattr(request, "texts", ()):
                _refuse(context)
            answer: bytes = ANSWERS[rpc.name].SerializeToString()
            return answer

        def stream(data: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            request = self._read(rpc, data)
            for message in ANSWERS[rpc.name]:
                yield message.SerializeToString()
                if "bad" == getattr(request, "prompt", ""):
                    _refuse(context)

        if rpc.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)

    def _read(self, rpc: MethodDescriptor, data: bytes) -> Message:
        request = contract.empty_request(rpc)
        request.ParseFromString(data)
        self.requests.append((rpc.name, request))
        return request


def _refuse(context: grpc.ServicerContext) -> None:
    status = status_pb2.Status(code=8, message="no good")
    for detail in DETAILS:
        status.details.append(AnyMessage())
        status.details[-1].Pack(detail)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no good")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[TableServer, str]]:
    handler = TableServer()
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads, handlers=[handler])
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield handler, address
        server.stop(None).wait()


@pytest.fixture
def server(served: tuple[TableServer, str]) -> TableServer:
    served[0].requests.clear()
    return served[0]


@pytest.fixture
def address(served: tuple[TableServer, str]) -> str:
    return served[1]


def response_of(rpc: MethodDescriptor) -> Message:
    """An empty one."""
    return GetMessageClass(rpc.output_type)()


def typed(*words: str, stdin: bytes = b"") -> Result:
    result = CliRunner().invoke(app, ["call", *words], input=stdin, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_without_a_name_every_rpc_is_listed_with_what_it_does() -> None:
    said = typed().stdout
    assert all(f" {rpc.name} " in said for rpc in RPCS)
    assert "standpipe.v1.TokenizerService" in said
    assert "Turns token ids back into text." in said


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_the_example_of_any_rpc_is_sent_and_answered(
    server: TableServer, address: str, rpc: MethodDescriptor
) -> None:
    result = typed(rpc.name, "--example", "--address", address)
    assert (0, "") == (result.exit_code, result.stderr)
    assert [(rpc.name, contract.example(rpc))] == server.requests
    if rpc.server_streaming:
        # A line each.
        answers = [json_format.Parse(line, response_of(rpc)) for line in result.stdout.splitlines()]
        assert ANSWERS[rpc.name] == answers
    else:
        assert ANSWERS[rpc.name] == json_format.Parse(result.stdout, response_of(rpc))


def test_a_request_in_json_is_answered_in_json_zeros_too(server: TableServer, address: str) -> None:
    request = '{"query": "q", "texts": ["a", "ü"], "topK": 2}'
    result = typed("standpipe.v1.TextService.RerankText", "--json", request, "--address", address)
    assert [
        ("RerankText", text_pb2.RerankTextRequest(query="q", texts=["a", "ü"], top_k=2))
    ] == server.requests
    assert {"index": 0, "score": 0.5, "text": "a"} == json.loads(result.stdout)["results"][1]
    assert '\n  "results": [' in result.stdout


def test_a_request_may_come_from_a_file_or_standard_input(
    server: TableServer, address: str, tmp_path: Path
) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"texts": ["ü"]}', encoding="utf-8")
    typed("ClassifyText", "--json", f"@{file}", "--address", address)
    typed("ClassifyText", "--json", "-", "--address", address, stdin=' {"texts": ["ü"]}\n'.encode())
    assert [("ClassifyText", text_pb2.ClassifyTextRequest(texts=["ü"]))] * 2 == server.requests


def test_without_a_request_an_empty_one_is_sent(server: TableServer, address: str) -> None:
    typed("ClassifyText", "--address", address)
    assert [("ClassifyText", text_pb2.ClassifyTextRequest())] == server.requests


def test_the_model_can_be_said_beside_the_request(server: TableServer, address: str) -> None:
    typed("FillMask", "--example", "--model", "mine", "--address", address)
    ((_, request),) = server.requests
    expected: Any = contract.example(contract.find("FillMask"))
    expected.model = "mine"
    assert expected == request


def test_what_is_sent_can_be_shown_without_disturbing_the_answer(server: TableServer, address: str) -> None:
    result = typed("GetModel", "--example", "--verbose", "--address", address)
    assert "standpipe.v1.ModelService.GetModel {" in result.stderr
    assert '"model": "all-MiniLM-L6-v2"' in result.stderr
    assert "model" in json.loads(result.stdout)


def test_a_refusal_tells_the_status_the_field_and_the_reason(server: TableServer, address: str) -> None:
    result = typed("ClassifyText", "--json", '{"texts": ["bad"]}', "--address", address)
    assert (1, "") == (result.exit_code, result.stdout)
    assert [
        "standpipe: RESOURCE_EXHAUSTED: no good",
        "  field: texts[0]",
        "  field: top_k: too many",
        "  reason: QUEUE_FULL (limit max_queue)",
        "  worth a retry after 0.5 s",
    ] == result.stderr.splitlines()


def test_a_stream_that_is_refused_in_the_middle_keeps_what_came(server: TableServer, address: str) -> None:
    result = typed("StreamGenerateText", "--json", '{"prompt": "bad"}', "--address", address)
    (line,) = result.stdout.splitlines()
    assert " wa" == json.loads(line)["delta"]["text"]
    assert 1 == result.exit_code
    assert result.stderr.startswith("standpipe: RESOURCE_EXHAUSTED: no good\n")


def test_no_server_at_all_is_told_at_once() -> None:
    result = typed("ListTasks", "--address", "127.0.0.1:1", "--timeout", "5")
    assert 1 == result.exit_code
    assert result.stderr.startswith("standpipe: UNAVAILABLE: ")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ('{"texts": ["a"', "Expecting"),
        ('["a"]', "a request is a JSON object"),
        ("null", "a request is a JSON object"),
        ('{"text": ["a"]}', 'no field named "text"'),
        ('{"texts": "a"}', "repeated field texts must be in []"),
        ('{"texts": ["a"], "texts": ["b"]}', "duplicate key texts"),
        ('{"topK": -1}', "out of range"),
        ('{"functionToApply": "SOFTMAX"}', "Invalid enum value SOFTMAX"),
        (r'{"texts": ["\ud800"]}', "surrogate"),
        ('{"texts": ' + "[" * 100_000, "recursion"),
        ("@no/such/file.json", "no/such/file.json: No such file or directory"),
        ("@", "Is a directory"),
    ],
)
def test_a_mistake_in_the_json_is_told_in_one_line(
    server: TableServer, address: str, given: str, problem: str
) -> None:
    result = typed("ClassifyText", "--json", given, "--address", address)
    assert (2, "") == (result.exit_code, result.stdout)
    (line,) = result.stderr.splitlines()
    assert line.startswith("standpipe: --json: ")
    assert problem in line
    assert [] == server.requests


def test_a_lone_surrogate_is_no_traceback_where_a_struct_holds_it(address: str) -> None:
    request = r'{"templateVariables": {"a": "\ud800"}}'
    result = typed("ApplyChatTemplate", "--json", request, "--address", address)
    assert 2 == result.exit_code
    assert "surrogates not allowed" in result.stderr


def test_standard_input_that_is_no_text_is_told(address: str) -> None:
    result = typed("ClassifyText", "--json", "-", "--address", address, stdin=b'{"texts": ["\xff"]}')
    assert 2 == result.exit_code
    assert "isn't UTF-8" in result.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["ClasifyText"], "no RPC is called 'ClasifyText'; near: ClassifyText"),
        (["xyzzy"], "no RPC is called 'xyzzy'; `standpipe call` lists them all"),
        (["EmbedText", "--json", "{}", "--example"], "--json and --example exclude each other"),
        (["ListTasks", "--model", "m"], "--model: ListTasks names no model"),
        (["EmbedText", "--model", "\udcff"], "--model: '\\udcff' isn't UTF-8"),
    ],
)
def test_a_mistake_in_what_is_typed_is_told(words: list[str], problem: str) -> None:
    result = typed(*words)
    assert (2, "") == (result.exit_code, result.stdout)
    assert problem in result.stderr


def test_files_join_the_list_of_media_that_a_request_has(
    server: TableServer, address: str, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    files = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert 0 == typed("ClassifyImage", *files, "--address", address).exit_code
    ((_, request),) = server.requests
    assert isinstance(request, vision_pb2.ClassifyImageRequest)
    assert [b"a.png", b"b.png"] == [image.content for image in request.images]


def test_a_file_takes_the_place_of_an_image_that_the_json_leaves_open(
    server: TableServer, address: str, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    text = '{"inputs": [{"question": "who?", "image": {}}]}'
    typed("AnswerImageQuestion", str(tmp_path / "a.png"), "--json", text, "--address", address)
    ((_, request),) = server.requests
    assert isinstance(request, vision_pb2.AnswerImageQuestionRequest)
    assert [("who?", b"a")] == [(one.question, one.image.content) for one in request.inputs]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ClassifyImage", "nowhere.png"], "nowhere.png: No such file"),
        (["ClassifyText", "README.md"], "ClassifyTextRequest has no list of files"),
        (["AnswerImageQuestion", "README.md"], 'say in --json where it goes, as "image": {}'),
    ],
)
def test_a_file_without_a_place_is_refused(words: list[str], why: str) -> None:
    result = typed(*words)
    assert 2 == result.exit_code
    assert why in result.stderr


def test_bytes_of_a_response_are_saved_and_their_paths_shown(
    served: tuple[TableServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = vision_pb2.Mask(width=2, height=2, png=b"\x89PNG...")
    segment = vision_pb2.Segment(label="hose", mask=mask)
    answer = vision_pb2.SegmentImageResponse(results=[vision_pb2.Segments(segments=[segment, segment])])
    monkeypatch.setitem(ANSWERS, "SegmentImage", answer)
    folder = tmp_path / "masks"
    result = typed("SegmentImage", "--example", "--address", served[1], "--save", str(folder))
    masks = [one["mask"]["png"] for one in json.loads(result.stdout)["results"][0]["segments"]]
    assert [str(folder / "SegmentImage-1.png"), str(folder / "SegmentImage-2.png")] == masks
    assert [b"\x89PNG..."] * 2 == [Path(path).read_bytes() for path in masks]


def test_pictures_are_saved_and_so_are_previews(address: str, tmp_path: Path) -> None:
    result = typed("GenerateImage", "--example", "--address", address, "--save", str(tmp_path))
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["progress", "progress", "preview", "progress", "result"] == [next(iter(one)) for one in messages]
    assert str(tmp_path / "GenerateImage-3-1.png") == messages[2]["preview"]["content"]
    drawn = [one["content"] for one in messages[4]["result"]["images"]]
    assert [str(tmp_path / f"GenerateImage-{number}.png") for number in (1, 2)] == drawn
    assert [one.content for one in IMAGES.images] == [Path(path).read_bytes() for path in drawn]


def test_files_fill_the_fields_of_a_request_in_their_order(
    server: TableServer, address: str, tmp_path: Path
) -> None:
    for name in ("photo", "mask"):
        (tmp_path / name).write_bytes(name.encode())
    files = [str(tmp_path / name) for name in ("photo", "mask")]
    typed("InpaintImage", *files, "--json", '{"prompt": "a hose"}', "--address", address)
    # What the request names without a source comes first.
    typed("InpaintImage", *files, "--json", '{"maskImage": {}}', "--address", address)
    for (_, request), expected in zip(
        server.requests, ([b"photo", b"mask"], [b"mask", b"photo"]), strict=True
    ):
        assert isinstance(request, image_generation_pb2.InpaintImageRequest)
        assert expected == [request.image.content, request.mask_image.content]


def test_a_folder_that_can_not_be_written_to_is_named(
    served: tuple[TableServer, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = typed("EmbedText", "--example", "--address", served[1], "--save", str(tmp_path / "file"))
    assert (2, True) == (result.exit_code, "--save: " in result.stderr)
