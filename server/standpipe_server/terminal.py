"""What a person sees on the terminal while a server runs."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from standpipe_server import demo_models, interfaces
from standpipe_server.demo_models import Recipe
from standpipe_server.engine.registry import Model
from standpipe_server.interfaces import ModelSpec


class TerminalReporter:
    """Prints one line per model, and a bar that moves while one loads.

    Loading reports to standard error when that is a terminal; the lines go to standard output at once, also
    into a pipe.
    """

    def __init__(self) -> None:
        self._out = Console(soft_wrap=True, highlight=False)
        self._bars: Progress | None = None

    def loading(self, spec: ModelSpec) -> interfaces.Progress:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bars = bars = _bars(*columns)
        bar = bars.add_task(f"{spec.name}: loading", total=None)
        bars.start()
        return lambda step: bars.update(bar, description=f"{spec.name}: {step}")

    def ready(self, model: Model) -> None:
        self.close()
        if model.served is not None:
            info = model.served.info
            form = f"{info.backend} {info.device} {info.dtype}"
            self._out.print(
                f"[bold]{escape(model.spec.name)}[/]  {', '.join(model.spec.tasks)}  {form}  "
                f"loaded in {model.served.load_seconds:.1f} s  [dim]{escape(info.reason)}[/]"
            )

    def listening(self, address: str) -> None:
        self._out.print(f"listening on {address}")

    def draining(self, signal_name: str) -> None:
        self.close()
        self._out.print(f"{signal_name}: finishing the calls that were accepted")

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def _bars(*columns: ProgressColumn) -> Progress:
    """Bars on standard error, which go away; none where it isn't a terminal."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def fetch_demo_models() -> list[ModelSpec]:
    """The demo models, fetched and converted where they aren't there yet, with a bar.

    Raises:
        FetchError: One can't be had.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
    with _bars(*columns, TimeElapsedColumn()) as bars:
        return [_fetch(recipe, bars) for recipe in demo_models.RECIPES if recipe.able]


def _fetch(recipe: Recipe, bars: Progress) -> ModelSpec:
    def say(what: str) -> None:
        # A bar of its own for each step: one whose total is known can't forget it.
        for step in bars.task_ids:
            bars.remove_task(step)
        bars.add_task(what, total=None, amount="")

    def advance(done: int, total: int) -> None:
        amount = f"{done / 1e6:.0f}/{total / 1e6:.0f} MB"
        bars.update(bars.task_ids[-1], completed=done, total=total, amount=amount)

    folder = demo_models.fetch(recipe, advance, say)
    return ModelSpec(name=recipe.name, source=str(folder), tasks=recipe.tasks, revision=recipe.source.origin)
