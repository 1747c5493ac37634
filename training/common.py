"""What the training commands share: options, a fixed seed, a progress line, and figures in the model card.

Not aware of any model or data.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

TRAINED = Path(__file__).resolve().parents[1] / "server" / "standpipe_server" / "demo_models" / "trained"
HELD_OUT = Path(__file__).resolve().parent / "held_out"
SEED = 2026
THREADS = 2

_BEGIN, _END = "<!-- figures: by the training command -->", "<!-- end of figures -->"

Figures = dict[str, str]
"""What was measured, and what came out."""


@dataclass(frozen=True, slots=True)
class Model:
    """One of the models that are trained here.

    Attributes:
        name: Of its folder in `TRAINED`.
        about: One line for the command's help.
        train: Trains and writes weights and config into the folder.
        measure: Measures what lies in the folder, on what is held out.
    """

    name: str
    about: str
    train: Callable[[Path], None]
    measure: Callable[[Path], Figures]


def parser(about: str) -> argparse.ArgumentParser:
    """The options that each command has."""
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--output", type=Path, help="folder to write; by default the one that is checked in")
    options.add_argument(
        "--evaluate", action="store_true", help="only measure the weights that are there, against their card"
    )
    return options


def run(model: Model, output: Path | None, *, only_evaluate: bool) -> None:
    """Train and measure, or measure alone; exits with 1 where the card says something else."""
    settle()
    checked_in = TRAINED / model.name
    folder = output or checked_in
    took = ""
    if not only_evaluate:
        folder.mkdir(parents=True, exist_ok=True)
        started, worked = time.monotonic(), time.process_time()
        model.train(folder)
        took = f"{time.monotonic() - started:.0f} s ({time.process_time() - worked:.0f} s of processor time)"
    figures = model.measure(folder)
    for name, value in figures.items():
        print(f"{name}: {value}")
    card = folder / "README.md"
    if took:
        if not card.exists():
            shutil.copy(checked_in / "README.md", card)
        figures["Training time on two cores"] = took
        card.write_text(with_figures(card.read_text("utf-8"), figures), "utf-8")
    elif not figures.items() <= card_figures(card.read_text("utf-8")).items():
        sys.exit(f"{card} says something else")


def settle() -> None:
    """Make what follows repeatable, and keep the libraries from talking over the progress line."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(SEED)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)


def with_figures(card: str, figures: Figures) -> str:
    """The card with these figures in the place of those that it has."""
    before, _, rest = card.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    rows = [("measured", ""), ("---", "---"), *figures.items()]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}"


def card_figures(card: str) -> Figures:
    """The figures that a card states."""
    table = card.partition(_BEGIN)[2].partition(_END)[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    return {name.strip(): value.strip() for name, value in rows}


def share(right: int, whole: int) -> str:
    """A share in a form that says of how many."""
    return f"{100 * right / whole:.1f} % ({right} of {whole})"


def size(path: Path) -> str:
    """A file's size as the cards state it."""
    return f"{path.stat().st_size / 1e6:.2f} MB"


def steps(count: int) -> Iterator[int]:
    """Number the steps of a training, and show how far it is on one line."""
    started = time.monotonic()
    for step in range(count):
        yield step
        if step % 20 == 19 or step == count - 1:
            line = f"\rstep {step + 1} of {count}, {time.monotonic() - started:.0f} s"
            print(line, end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
