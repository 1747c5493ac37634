"""The client of Standpipe, typed gRPC inference for Hugging Face pipelines.

>>> import standpipe
>>> with standpipe.Client("127.0.0.1:50051") as client:  # doctest: +SKIP
...     vectors = client.embed_text(["Water stands ready in the pipe."])  # float32, (1, 384)

Needs grpcio, protobuf and numpy only. The messages are in ``standpipe.v1``.
"""

from standpipe.aio import AsyncClient
from standpipe.client import Client
from standpipe.errors import CallError

__all__ = ["AsyncClient", "CallError", "Client"]
