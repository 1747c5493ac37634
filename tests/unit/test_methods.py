"""RPCs of any server, by name: where they are looked for, and what is said where they aren't."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from standpipe import contract
from standpipe_bench.targets import methods
from standpipe_bench.targets.grpc import Connection, Requests
from standpipe_bench.targets.methods import MethodError, calling, find_method

PROTO = Path(__file__).parents[1] / "foreign" / "library.proto"
FIND_BOOKS = "acme.library.v1.LibraryService.FindBooks"
READ_BOOK = "acme.library.v1.LibraryService.ReadBook"
EMBED_TEXT = "standpipe.v1.TextService.EmbedText"

SERVICE = """
service {name} {{
  rpc Ask(Nothing) returns (Nothing);
}}
"""


@pytest.fixture(scope="session")
def library_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The foreign contract, compiled."""
    path = tmp_path_factory.mktemp("set") / "library.binpb"
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", "--include_imports"]
    subprocess.run([*compiler, f"--descriptor_set_out={path}", str(PROTO)], check=True)
    return path


@pytest.fixture
def mute() -> Iterator[str]:
    """Address of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'syntax = "proto3";\npackage acme;\n{text}', encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name",
    [
        FIND_BOOKS,
        "acme.library.v1.LibraryService/FindBooks",
        "/acme.library.v1.LibraryService/FindBooks",
        "LibraryService.FindBooks",
        "LibraryService/FindBooks",
        "FindBooks",
    ],
)
def test_an_rpc_is_found_in_a_description_by_any_of_its_names(name: str, library_set: Path) -> None:
    assert FIND_BOOKS == find_method(name, connection=None, proto=library_set).full_name


def test_a_proto_file_is_compiled() -> None:
    method = find_method("ReadBook", connection=None, proto=PROTO)
    assert ("acme.library.v1.Page", True) == (method.output_type.full_name, method.server_streaming)


@pytest.mark.parametrize("name", ["EmbedText", "TextService.EmbedText", EMBED_TEXT])
def test_an_rpc_of_the_contract_needs_neither_file_nor_server(name: str) -> None:
    assert EMBED_TEXT == find_method(name, connection=Connection("nobody.invalid:1")).full_name


def test_a_file_goes_before_the_contract(tmp_path: Path) -> None:
    proto = written(
        tmp_path, "other.proto", "message M {}\nservice Other {\n rpc EmbedText(M) returns (M);\n}"
    )
    assert "acme.Other.EmbedText" == find_method("EmbedText", connection=None, proto=proto).full_name


def test_imports_are_found_in_the_folders_that_are_named(tmp_path: Path) -> None:
    written(tmp_path / "root", "shared/nothing.proto", "message Nothing {}")
    text = 'import "shared/nothing.proto";' + SERVICE.format(name="Asker")
    proto = written(tmp_path / "root", "services/asker.proto", text)

    found = find_method("Ask", connection=None, proto=proto, includes=[tmp_path / "root"])
    assert "acme.Asker.Ask" == found.full_name
    with pytest.raises(
        MethodError, match=r"shared/nothing\.proto: File not found.*--include names the folders"
    ):
        find_method("Ask", connection=None, proto=proto)


def test_what_is_called_knows_its_stream_and_its_answers() -> None:
    method = find_method("ReadBook", connection=None, proto=PROTO)
    source = calling(method, Connection("here:1"), Requests([b""], [1]), timeout=5)
    assert (READ_BOOK, True, "acme.library.v1.Page", 5) == (
        source.rpc,
        source.streaming,
        source.response,
        source.timeout,
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FindBoks", f"no RPC of {{path}} is called 'FindBoks'; near: {FIND_BOOKS}"),
        ("library.FINDBOOKS", f"no RPC of {{path}} is called 'library.FINDBOOKS'; near: {FIND_BOOKS}"),
        (
            "Xyz",
            f"no RPC of {{path}} is called 'Xyz'; it has: {FIND_BOOKS}, {READ_BOOK}",
        ),
        (
            "StoreBooks",
            "acme.library.v1.LibraryService.StoreBooks takes a stream of requests; what can be called takes "
            "one, and answers once or with a stream",
        ),
    ],
)
def test_an_rpc_that_cannot_be_called_is_told_with_what_is_near(
    name: str, message: str, library_set: Path
) -> None:
    with pytest.raises(MethodError) as caught:
        find_method(name, connection=None, proto=library_set)
    assert message.format(path=library_set) == str(caught.value)


def test_a_name_that_several_rpcs_have_is_told_with_all_of_them(tmp_path: Path) -> None:
    services = SERVICE.format(name="First") + SERVICE.format(name="Second")
    proto = written(tmp_path, "two.proto", f"message Nothing {{}}\n{services}")
    with pytest.raises(MethodError) as caught:
        find_method("Ask", connection=None, proto=proto)
    assert f"several RPCs of {proto} are called 'Ask': acme.First.Ask, acme.Second.Ask" == str(caught.value)


def test_a_wrong_proto_file_is_told_with_the_line(tmp_path: Path) -> None:
    proto = written(tmp_path, "bad.proto", "message M {\n  strin name = 1;\n}")
    with pytest.raises(MethodError) as caught:
        find_method("Ask", connection=None, proto=proto)
    assert f'--proto: {proto}:4:3: "strin" is not defined.' == str(caught.value)


@pytest.mark.parametrize("name", ["gone.proto", "gone.binpb"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(MethodError) as caught:
        find_method("Ask", connection=None, proto=tmp_path / name)
    assert f"--proto {tmp_path / name}: No such file or directory" == str(caught.value)


def test_a_file_that_describes_nothing_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "words.pb"
    path.write_text("no descriptors", encoding="utf-8")
    with pytest.raises(MethodError) as caught:
        find_method("Ask", connection=None, proto=path)
    assert (
        f"--proto {path}: neither a .proto file by its name nor a FileDescriptorSet by what it holds"
        == str(caught.value)
    )


def test_a_description_without_its_imports_says_so(library_set: Path, tmp_path: Path) -> None:
    files = FileDescriptorSet.FromString(library_set.read_bytes()).file
    alone = tmp_path / "alone.binpb"
    alone.write_bytes(FileDescriptorSet(file=[files[-1]]).SerializeToString())
    with pytest.raises(MethodError) as caught:
        find_method("FindBooks", connection=None, proto=alone)
    assert (
        f"no RPC of {alone} is called 'FindBooks'; it has none; library.proto imports "
        "google/protobuf/duration.proto, google/protobuf/struct.proto, which isn't described"
        == str(caught.value)
    )


def test_a_proto_file_without_a_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "find_spec", lambda name: None)
    with pytest.raises(MethodError) as caught:
        find_method("FindBooks", connection=None, proto=PROTO)
    assert (
        f"--proto {PROTO}: a .proto file needs a compiler: pip install grpcio-tools, or give a "
        "FileDescriptorSet (protoc --include_imports --descriptor_set_out, or buf build -o)"
        == str(caught.value)
    )


def test_without_file_and_server_only_the_contract_is_known() -> None:
    with pytest.raises(MethodError) as caught:
        find_method("EmbedTexts", connection=None)
    near = "near: EmbedText, EmbedImage; --proto FILE describes another server's"
    assert f"no RPC is called 'EmbedTexts'; {near}" == str(caught.value)


def test_a_server_that_is_not_there_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
    with pytest.raises(MethodError, match=f"^no server answers at {address}: .*Connection refused"):
        find_method("FindBooks", connection=Connection(address))


def test_a_server_that_says_nothing_is_not_waited_for(mute: str) -> None:
    with pytest.raises(MethodError) as caught:
        find_method("FindBooks", connection=Connection(mute), timeout=0.2)
    assert f"the server at {mute} didn't describe itself within 0.2 s; --proto FILE does without it" == str(
        caught.value
    )


def test_certificates_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    connection = Connection("here:1", tls=True, roots=tmp_path / "roots.pem")
    with pytest.raises(MethodError) as caught:
        find_method("FindBooks", connection=connection)
    assert f"the certificates to trust, {tmp_path / 'roots.pem'}: No such file or directory" == str(
        caught.value
    )


ONE_REQUEST = [name for name, method in contract.methods().items() if not method.client_streaming]


@pytest.mark.parametrize("name", ONE_REQUEST)
def test_every_rpc_of_the_contract_can_be_called(name: str) -> None:
    assert name == find_method(name, connection=None).full_name
