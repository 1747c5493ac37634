"""What all tables of the terminal are made of."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from standpipe_bench.report import entries


def number(value: float | None) -> str:
    """A figure as the page writes it; nothing where there is none."""
    return "" if value is None else entries.number(value)


def table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table: columns of words, then columns of numbers."""
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading in words:
        # A model's name is shown whole, whatever the width.
        made.add_column(heading, overflow="fold")
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=True)
    return made
