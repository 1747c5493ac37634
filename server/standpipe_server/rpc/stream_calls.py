"""One generic handler for every task whose answer is sent while it is written."""

from __future__ import annotations

from typing import Any

from standpipe_server.engine.registry import Registry
from standpipe_server.errors import InvalidInputError, ModelFailedError, ServingError
from standpipe_server.rpc.metadata import fill
from standpipe_server.rpc.status import Context, abort
from standpipe_server.rpc.task_calls import parse
from standpipe_server.tasks import InputLimits, StreamTask


class StreamCalls:
    """Answers one RPC; what gRPC has no room for yet waits here, and nobody else waits for it.

    Args:
        task: What to do.
        registry: Where its models are.
        limits: What one call may hold.
        default_timeout: Seconds for a call whose client set no deadline: nobody waits for ever.
    """

    def __init__(
        self, task: StreamTask, registry: Registry, limits: InputLimits, default_timeout: float
    ) -> None:
        self._task = task
        self._registry = registry
        self._limits = limits
        self._default_timeout = default_timeout

    async def answer(self, data: bytes, context: Context) -> None:
        try:
            await self._answer(data, context)
        except Exception as error:
            await abort(context, error, rpc=self._task.rpc)
            raise

    async def _answer(self, data: bytes, context: Context) -> None:
        task = self._task
        request: Any = parse(task.request, data)
        model = self._registry.find(task.task.model_task, request.model)
        served = model.ready()
        call = task.decode(request, self._limits)
        remaining = context.time_remaining()
        timeout = self._default_timeout if remaining is None else remaining
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
