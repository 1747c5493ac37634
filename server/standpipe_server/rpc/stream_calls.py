"""One generic handler for every task whose answer is sent while it is written."""

from __future__ import annotations

from typing import Any

from standpipe_server.errors import InvalidInputError, ModelFailedError, ServingError
from standpipe_server.rpc.handling import Handling
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context
from standpipe_server.tasks import StreamTask


class StreamCalls:
    """Answers one RPC; what gRPC has no room for yet waits here, and nobody else waits for it.

    Args:
        task: What to do.
        handling: What all handlers share.
    """

    def __init__(self, task: StreamTask, handling: Handling) -> None:
        self._task = task
        self._handling = handling

    async def answer(self, data: bytes, context: Context) -> None:
        task = self._task
        request = await self._handling.parsed(task.request, data)
        model = self._handling.registry.find(task.task.model_task, request.model)
        served = model.ready()
        timeout = await self._handling.complete(request, context.time_remaining())
        call = await self._handling.decoded(task.decode, request)
        encoder = task.encoder(request)
        # One message for each step of the model: a reader that lags gets them one by one later, from a buffer
        # that what a call may write bounds.
        try:
            async with served.streams().open(call, timeout) as stream:
                async for chunk in stream:
                    messages: Any = encoder.add(chunk)
                    if chunk.finish is not None:
                        tokens = chunk.finish.prompt_tokens
                        fill(messages[-1].metadata, model.spec.name, served.info, stream.answer, tokens)
                    for message in messages:
                        await context.write(message.SerializeToString())
        except InvalidInputError as error:
            raise type(error)(str(error), error.field or call.field, **error.details) from error
        except ServingError:
            raise
        except Exception as error:
            raise ModelFailedError(
                f"the model failed on {call.field}; the server's log has the cause"
            ) from error
