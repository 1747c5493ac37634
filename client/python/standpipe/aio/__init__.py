"""The asynchronous client."""

from standpipe.aio.audio import AsyncAudioMethods
from standpipe.aio.generation import AsyncGenerationMethods
from standpipe.aio.image_generation import AsyncImageGenerationMethods
from standpipe.aio.models import AsyncModelMethods
from standpipe.aio.text import AsyncTextMethods
from standpipe.aio.tokenizers import AsyncTokenizerMethods
from standpipe.aio.vision import AsyncVisionMethods


class AsyncClient(
    AsyncTextMethods,
    AsyncGenerationMethods,
    AsyncTokenizerMethods,
    AsyncVisionMethods,
    AsyncAudioMethods,
    AsyncImageGenerationMethods,
    AsyncModelMethods,
):
    """Calls a Standpipe server from asyncio; the twin of Client, whose docstrings hold here.

    Args:
        address: ``host:port``, a list of them that calls are spread over, or any gRPC target.
        timeout: Seconds that a call may take unless it says otherwise.
        credentials: For TLS, with one address; None for plain text.
        retry: Retry calls that met UNAVAILABLE.
        metadata: Sent with every call, such as an authorization header.
    """
