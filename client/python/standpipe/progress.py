"""A progress bar for long work, where rich is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(shown: bool, description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; yields what to call with each advance.

    Raises:
        ModuleNotFoundError: It is to be shown, and rich isn't installed.
    """
    if not shown:
        yield lambda _: None
        return
    try:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("progress=True needs rich: pip install 'standpipe[progress]'") from error
    columns = (SpinnerColumn(), *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(description, total=total)
        yield lambda count: progress.advance(bar, count)
