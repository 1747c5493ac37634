"""A gRPC server that has nothing of this project, on a port that it prints."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Lets in who knows the token."""

    def __init__(self, token: str) -> None:
        self._expected = ("authorization", token)

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        if self._expected in [tuple(header) for header in details.invocation_metadata]:
            return await continuation(details)

        async def refuse(requests: Any, context: Any) -> AsyncIterator[bytes]:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            yield b""

        return grpc.stream_stream_rpc_method_handler(refuse)


def servicer(messages: Any, services: Any) -> Any:
    class Library(services.LibraryServiceServicer):  # type: ignore[misc] # made when the test runs
        async def FindBooks(self, request: Any, context: Any) -> Any:  # noqa: N802
            if not request.titles:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no titles")
            return messages.FindBooksResponse(places=[f"shelf {len(title)}" for title in request.titles])

        async def ReadBook(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
            for number in range(request.pages):
                yield messages.Page(text=f"{request.title}, page {number}")

    return Library()


def add_reflection(server: grpc.aio.Server, version: str, names: list[str]) -> None:
    # Version 1 is version 1alpha under another name; the library has only the older one.
    service = f"grpc.reflection.{version}.ServerReflection"
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(service_names=[*names, service]).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": handler}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


async def serve(options: argparse.Namespace) -> None:
    sys.path.insert(0, options.generated)
    messages: Any = importlib.import_module("library_pb2")
    services: Any = importlib.import_module("library_pb2_grpc")
    server = grpc.aio.server(interceptors=[Doorkeeper(options.token)] if options.token else [])
    services.add_LibraryServiceServicer_to_server(servicer(messages, services), server)
    if options.reflection:
        add_reflection(server, options.reflection, ["acme.library.v1.LibraryService"])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("generated")
    parser.add_argument("--reflection", default="")
    parser.add_argument("--token", default="")
    asyncio.run(serve(parser.parse_args()))
