"""Digits that are asked for in words, drawn as a newcomer's server draws them; a judge says what they show.

The judge is a support vector machine that learned from digits that the model has never seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from standpipe import AsyncClient
from standpipe.image_generation.options import GenerateImageOptions
from standpipe_bench.server_process import ServerProcess
from training import digits_data
from training.digits_figures import ASKED, GUIDANCE, PLAIN, STEPS

SIDE = digits_data.SIDE
EACH_ONCE = np.arange(10)


@pytest.fixture(scope="module")
def held_out() -> digits_data.Digits:
    """Real digits that the model has never seen."""
    return digits_data.digits()[1]


@pytest.fixture
async def client(default_server: ServerProcess) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(default_server.address, retry=False, timeout=100) as client:
        yield client


def how(seed: int) -> GenerateImageOptions:
    return {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, "seed": seed}


def asking(digit: int) -> str:
    return digits_data.prompt(PLAIN, digit)


def pixels(images: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures as the training has them: [pictures, 3, rows, columns] from -1 to 1."""
    levels = np.stack([np.asarray(image.convert("RGB"), np.float32) for image in images])
    return torch.from_numpy(levels / 127.5 - 1).permute(0, 3, 1, 2)


def named(images: Sequence[Image.Image], known: digits_data.Digits) -> NDArray[np.int64]:
    """What the judge takes them for."""
    return digits_data.name(digits_data.judge(known), digits_data.coarse(pixels(images)))


def real(known: digits_data.Digits) -> list[Image.Image]:
    """A digit of each kind that a person wrote."""
    chosen = [int(np.flatnonzero(known.names == digit)[0]) for digit in EACH_ONCE]
    levels = (digits_data.pictures(known.coarse[chosen]) + 1) * 127.5
    return [
        Image.fromarray(level.permute(1, 2, 0).round().to(torch.uint8).numpy().copy()) for level in levels
    ]


async def test_nine_in_ten_of_a_hundred_digits_that_are_asked_for_at_once_are_drawn(
    client: AsyncClient, held_out: digits_data.Digits
) -> None:
    drawn = await asyncio.gather(
        *(client.generate_image(asking(digit), **how(seed)) for seed, digit in enumerate(ASKED.tolist()))
    )
    images = [image for (image,) in drawn]
    assert {(SIDE, SIDE)} == {image.size for image in images}
    assert 100 == len({image.tobytes() for image in images})
    assert (named(images, held_out) == ASKED).sum() >= 90


async def test_a_digit_that_a_person_wrote_is_made_into_the_next(
    client: AsyncClient, held_out: digits_data.Digits
) -> None:
    following = (EACH_ONCE + 1) % 10
    drawn = await asyncio.gather(
        *(
            client.transform_image(image, asking(digit), strength=0.8, **how(digit))
            for image, digit in zip(real(held_out), following.tolist(), strict=True)
        )
    )
    assert (named([image for (image,) in drawn], held_out) == following).sum() >= 9


async def test_half_a_digit_that_a_person_wrote_is_drawn_anew_and_the_other_half_is_kept(
    client: AsyncClient, held_out: digits_data.Digits
) -> None:
    given = real(held_out)
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[:, SIDE // 2 :] = True
    drawn = await asyncio.gather(
        *(
            client.inpaint_image(image, mask, asking(digit), **how(digit))
            for image, digit in zip(given, EACH_ONCE.tolist(), strict=True)
        )
    )
    images = [image for (image,) in drawn]
    change = (pixels(images) - pixels(given)).abs().mean((0, 1, 2)) / 2
    kept, anew = change[: SIDE // 2].mean().item(), change[SIDE // 2 :].mean().item()
    assert (named(images, held_out) == EACH_ONCE).sum() >= 9
    assert kept <= 0.05 <= anew
