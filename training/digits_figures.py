"""Measures the painter of digits: what an independent judge makes of its pictures, and how they differ.

Not aware of how it was trained; it loads the folder as anybody would.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray

from training import common, digits_data
from training.digits_data import Digits

THREADS = 1
STEPS = 20
GUIDANCE = 3.0
PLAIN = "a handwritten {word}"
ASKED = np.repeat(np.arange(10), 10)
"""What is asked for where nothing else is said: each digit ten times."""
OTHER_GUIDANCE = (1.0, 2.0, 5.0, 7.5)
OTHER_STEPS = (10, 50)
OTHER_SCHEDULERS = ("DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "PNDMScheduler")


def measure(folder: Path) -> common.Figures:
    """Figures of the pipeline in a folder."""
    torch.set_num_threads(THREADS)
    known, held = digits_data.digits()
    painter, jury = Painter(folder), Jury(digits_data.judge(held))
    plain = painter.paint()
    figures = {f"Asked digit drawn, {STEPS} steps, guidance {GUIDANCE:g}": jury.share(plain)}
    for guidance in OTHER_GUIDANCE:
        figures[f"With guidance {guidance:g}"] = jury.share(painter.paint(guidance_scale=guidance))
    for steps in OTHER_STEPS:
        figures[f"With {steps} steps"] = jury.share(painter.paint(num_inference_steps=steps))
    for name in OTHER_SCHEDULERS:
        figures[f"With {name}"] = jury.share(Painter(folder, name).paint())
    figures["In all phrasings of the training"] = _phrased(painter, jury, digits_data.PHRASINGS)
    figures["In phrasings held out"] = _phrased(painter, jury, digits_data.HELD_OUT_PHRASINGS)
    figures["Where the phrasing names one besides"] = _phrased(painter, jury, (digits_data.TWO_NAMES,))
    figures |= _led_away(painter, jury)
    figures |= _from_pictures(painter, jury, held)
    figures["Real digits that the judge names right"] = jury.share(
        digits_data.pictures(known.coarse), known.names
    )
    figures |= _variety(digits_data.coarse(plain), known, held)
    again = (painter.paint() == plain).flatten(1).all(1)
    figures["Pictures that come again with their seeds"] = common.share(int(again.sum()), len(again))
    figures["Parameters"] = f"{painter.parameters():,}"
    return figures | {"Size of all files": size(folder)}


def size(folder: Path) -> str:
    """What a folder takes, without its card."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return f"{sum(path.stat().st_size for path in files) / 1e6:.2f} MB"


class Painter:
    """The pipeline of a folder, and what is asked of it."""

    def __init__(self, folder: Path, scheduler: str = "") -> None:
        self.stock: Any = diffusers.AutoPipelineForText2Image.from_pretrained(folder)
        self.stock.set_progress_bar_config(disable=True)
        if scheduler:
            self.stock.scheduler = getattr(diffusers, scheduler).from_config(self.stock.scheduler.config)

    def paint(
        self, phrasing: str = PLAIN, asked: NDArray[np.int64] = ASKED, *, by: Any = None, **how: Any
    ) -> torch.Tensor:
        """A picture for each digit asked for, from -1 to 1, each from a seed of its own.

        Args:
            phrasing: How to ask for them.
            asked: Digits.
            by: The pipeline that paints; by default the one from words to pictures.
            how: Arguments of that pipeline.
        """
        given = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "output_type": "pt"} | how
        seeds = [torch.Generator().manual_seed(common.SEED + number) for number in range(len(asked))]
        prompts = [digits_data.prompt(phrasing, digit) for digit in asked.tolist()]
        return 2 * torch.as_tensor((by or self.stock)(prompts, generator=seeds, **given).images) - 1

    def parameters(self) -> int:
        """Of all its parts."""
        parts = (self.stock.vae, self.stock.unet, self.stock.text_encoder)
        return sum(weights.numel() for part in parts for weights in part.parameters())


@dataclass(frozen=True, slots=True)
class Jury:
    """Says how many pictures show what they should.

    Attributes:
        judge: Names digits.
    """

    judge: Any

    def named(self, painted: torch.Tensor) -> NDArray[np.int64]:
        """What the pictures are taken for."""
        return digits_data.name(self.judge, digits_data.coarse(painted))

    def share(self, painted: torch.Tensor, wanted: NDArray[np.int64] = ASKED) -> str:
        """How many are taken for what was wanted."""
        return common.share(int((self.named(painted) == wanted).sum()), len(wanted))


def _phrased(painter: Painter, jury: Jury, phrasings: tuple[str, ...]) -> str:
    painted = torch.cat([painter.paint(phrasing) for phrasing in phrasings])
    return jury.share(painted, np.tile(ASKED, len(phrasings)))


def _led_away(painter: Painter, jury: Jury) -> common.Figures:
    """How often a digit comes without a prompt, and how often where the negative prompt is that digit."""
    unwanted = [digits_data.prompt(PLAIN, digit) for digit in ASKED.tolist()]
    free = painter.paint("", negative_prompt=[""] * len(ASKED))
    away = painter.paint("", negative_prompt=unwanted)
    return {
        "A certain digit without a prompt (chance)": jury.share(free),
        "The same where the negative prompt is that digit": jury.share(away),
    }


def _from_pictures(painter: Painter, jury: Jury, held: Digits) -> common.Figures:
    """What becomes of real digits that were held out: made into the next one, or half painted anew."""
    chosen = np.concatenate([np.flatnonzero(held.names == digit)[:10] for digit in range(10)])
    pictures = digits_data.pictures(held.coarse[chosen])
    given = (pictures + 1) / 2
    following = (ASKED + 1) % 10
    redrawing = diffusers.AutoPipelineForImage2Image.from_pipe(painter.stock)
    mending = diffusers.AutoPipelineForInpainting.from_pipe(painter.stock)
    for derived in (redrawing, mending):
        derived.set_progress_bar_config(disable=True)
    turned = painter.paint(asked=following, by=redrawing, image=given, strength=0.8)
    hidden = torch.zeros_like(given[:, :1])
    hidden[..., digits_data.SIDE // 2 :] = 1
    mended = painter.paint(by=mending, image=given, mask_image=hidden, strength=1.0)
    kept = (mended - pictures)[..., : digits_data.SIDE // 2].abs().mean() / 2
    return {
        "Image to image, strength 0.8: a real digit made into the next": jury.share(turned, following),
        "Inpainting: the right half of a real digit painted anew": jury.share(mended),
        "Change of the other half, of the range from black to white": f"{100 * kept:.1f} %",
    }


def _variety(painted: NDArray[np.float32], known: Digits, held: Digits) -> common.Figures:
    """How far pictures are from each other and from those of the training, beside what real digits are."""
    chosen = np.concatenate([np.flatnonzero(held.names == digit)[:10] for digit in range(10)])
    real, learned = _flat(held.coarse[chosen]), _flat(known.coarse)
    return {
        "Distance between two painted of one digit": _apart(_flat(painted)),
        "Distance between two real of one digit": _apart(real),
        "Distance from a painted one to the nearest of the training": _nearest(_flat(painted), learned),
        "Distance from a real one held out to the nearest of the training": _nearest(real, learned),
    }


def _flat(coarse: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(coarse).flatten(1)


def _apart(ordered: torch.Tensor) -> str:
    """Mean distance within each digit, of as many each as `ASKED` has."""
    means = [torch.nn.functional.pdist(same).mean() for same in torch.tensor_split(ordered, 10)]
    return f"{torch.stack(means).mean():.1f}"


def _nearest(these: torch.Tensor, those: torch.Tensor) -> str:
    closest = torch.cdist(these, those).amin(1)
    return f"{closest.mean():.1f} (least {closest.min():.1f})"
