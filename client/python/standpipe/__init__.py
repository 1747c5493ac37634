"""The client of Standpipe, typed gRPC inference for Hugging Face pipelines.

>>> import standpipe
>>> with standpipe.Client("127.0.0.1:50051") as client:  # doctest: +SKIP
...     vectors = client.embed_text(["Water stands ready in the pipe."])  # float32, (1, 384)
...     ((best, *others),) = client.classify_text(["What a wonderful film!"])  # Label("POSITIVE", 0.99…)

Needs grpcio, protobuf and numpy only. The messages are in ``standpipe.v1``, and ``standpipe.contract`` lists
every RPC.
"""

from standpipe.aio import AsyncClient
from standpipe.client import Client
from standpipe.errors import CallError
from standpipe.results import Answer, ChatPrompt, Entity, Fill, Label, Ranked, TableAnswer, Token, Tokens

__all__ = [
    "Answer",
    "AsyncClient",
    "CallError",
    "ChatPrompt",
    "Client",
    "Entity",
    "Fill",
    "Label",
    "Ranked",
    "TableAnswer",
    "Token",
    "Tokens",
]
