"""A client that never saw this repository finds everything by reflection."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from standpipe import Client, contract
from standpipe_bench.server_process import ServerProcess


def test_reflection_lists_every_service(client: Client) -> None:
    services = set(ProtoReflectionDescriptorDatabase(client.channel).get_services())
    assert services >= {
        "standpipe.v1.TextService",
        "standpipe.v1.GenerationService",
        "standpipe.v1.TokenizerService",
        "standpipe.v1.ModelService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_a_call_built_from_reflection_alone_succeeds(client: Client) -> None:
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(client.channel))
    method = pool.FindServiceByName("standpipe.v1.TextService").methods_by_name["EmbedText"]
    call: Any = client.channel.unary_unary(
        "/standpipe.v1.TextService/EmbedText",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    response = call(GetMessageClass(method.input_type)(texts=["water", "pipe"]), timeout=30)
    assert [32, 32] == [len(embedding.values) for embedding in response.embeddings]


# What the tiny server answers; it refuses the others in words.
ANSWERED = {"EmbedText", "Tokenize", "ListTasks", "ListModels", "GetModel"}
UNREADABLE = {"Detokenize", "ApplyChatTemplate"}


def buf_curl(server: ServerProcess, rpc: str, request: str) -> subprocess.CompletedProcess[str]:
    """Buf is an open-source client in Go; it asks for reflection version 1 first."""
    buf = shutil.which("buf") or str(Path(sys.executable).with_name("buf"))
    service = contract.find(rpc).containing_service.full_name
    command = [buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", request]
    command.append(f"http://{server.address}/{service}/{rpc}")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "example", sorted(Path("protos/examples").glob("*.json")), ids=lambda path: path.stem
)
def test_buf_curl_calls_every_example_through_reflection(tiny_server: ServerProcess, example: Path) -> None:
    read = json.loads(example.read_text(encoding="utf-8"))
    requests = read if isinstance(read, list) else [read]  # a list: the messages of a stream
    for request in requests:
        if request.get("model"):
            request["model"] = "tiny"
    ended = buf_curl(tiny_server, example.stem, "\n".join(map(json.dumps, requests)))
    if example.stem in ANSWERED:
        assert (0, "") == (ended.returncode, ended.stderr)
        assert json.loads(ended.stdout)
    else:
        refused = "invalid_argument" if example.stem in UNREADABLE else "not_found"
        assert refused == json.loads(ended.stderr)["code"]


def test_a_text_with_nul_is_a_text_like_any_other(tiny_server: ServerProcess) -> None:
    ended = buf_curl(tiny_server, "Tokenize", r'{"texts": ["a\u0000b"]}')
    assert (0, "") == (ended.returncode, ended.stderr)
    assert json.loads(ended.stdout)["results"][0]["tokens"]
