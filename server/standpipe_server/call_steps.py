"""How far a call is that takes many steps, as a person sees it. Not aware of how it is called."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_PROGRESS = "standpipe.v1.DiffusionProgress"


class StepsBar:
    """A bar that moves with the steps of a call, and makes way for whatever else is to be read.

    Args:
        name: Of what is called.
        console: Where it is shown, if that is a terminal.
    """

    def __init__(self, name: str, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"))
        # What is printed goes where it is printed to: the bar is gone by then.
        self._bar = Progress(
            *columns,
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(name, total=None)
        self._seen = console.is_interactive
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()

    def take(self, response: Message) -> bool:
        """Show what a message tells of steps; else make way for it.

        Returns:
            Whether it is shown.
        """
        steps = _steps(response)
        if steps is None or not self._seen:
            self._hide()
            return False
        self._bar.update(self._task, completed=steps.step, total=steps.num_steps)
        if not self._shown:
            self._bar.start()
            self._shown = True
        return True

    def _hide(self) -> None:
        if self._shown:
            self._bar.stop()
            self._shown = False


def _steps(response: Message) -> Any:
    """What a message tells of steps; None where it tells something else."""
    field = response.DESCRIPTOR.fields_by_name.get("progress")
    if field is None or field.message_type is None or field.message_type.full_name != _PROGRESS:
        return None
    return getattr(response, field.name) if response.HasField(field.name) else None
