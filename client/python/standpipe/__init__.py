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
from standpipe.results import (
    Answer,
    ChatAnswer,
    ChatDelta,
    ChatPrompt,
    Entity,
    Fill,
    GeneratedText,
    Label,
    Ranked,
    StreamEnd,
    TableAnswer,
    TextDelta,
    Token,
    TokenLogprob,
    Tokens,
    ToolCall,
    Usage,
)
from standpipe.streams import AsyncMessageStream, AsyncStream, MessageStream, Stream

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncMessageStream",
    "AsyncStream",
    "CallError",
    "ChatAnswer",
    "ChatDelta",
    "ChatPrompt",
    "Client",
    "Entity",
    "Fill",
    "GeneratedText",
    "Label",
    "MessageStream",
    "Ranked",
    "Stream",
    "StreamEnd",
    "TableAnswer",
    "TextDelta",
    "Token",
    "TokenLogprob",
    "Tokens",
    "ToolCall",
    "Usage",
]
