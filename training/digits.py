"""Trains a latent diffusion model from nothing to paint handwritten digits that are asked for in words.

`python -m training.digits [--output FOLDER] [--evaluate]`
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training import common, digits_data, digits_figures, digits_parts

THREADS = 1
COPIES = 16
"""How often each digit is there for training: once as it is, then moved about, in its own way each time."""
CODER_STEPS = 500
CODER_BATCH = 64
CODER_RATE = 4e-3
TIGHTNESS = 2e-6
"""Weight of the latents' distance from plain noise, beside the squared error of pixels."""
PAINTER_STEPS = 1500
PAINTER_BATCH = 128
PAINTER_RATE = 2e-3
WITHOUT_WORDS = 0.12
"""Share of the training without a prompt, so that guidance has something to lead away from."""


def train(folder: Path) -> None:
    """Train the autoencoder, then denoiser and text encoder together, and write a stock folder."""
    torch.set_num_threads(THREADS)
    source = torch.Generator().manual_seed(common.SEED)
    known, _ = digits_data.digits()
    plain = digits_data.pictures(known.coarse)
    pictures = torch.cat([plain, *(digits_data.moved(plain, source) for _ in range(COPIES - 1))])
    names = torch.from_numpy(known.names).repeat(COPIES)
    pieces = digits_parts.tokenizer()
    parts = {
        "tokenizer": pieces,
        "text_encoder": digits_parts.text_encoder(pieces),
        "vae": digits_parts.autoencoder(digits_data.SIDE),
        "unet": digits_parts.denoiser(digits_data.SIDE),
        "scheduler": digits_parts.scheduler(),
    }
    train_autoencoder(parts["vae"], pictures, source)
    train_painter(parts, latents(parts["vae"], pictures), names, source)
    write(parts, folder)


def train_autoencoder(coder: Any, pictures: torch.Tensor, source: torch.Generator) -> None:
    """Teach it to give pictures back, and note what brings its latents to the unit variance of noise."""

    def loss() -> Any:
        chosen = pictures[torch.randint(len(pictures), (CODER_BATCH,), generator=source)]
        read = coder.encode(chosen).latent_dist
        painted = coder.decode(read.sample(source)).sample
        pixels = torch.nn.functional.mse_loss(painted, chosen)
        return pixels + TIGHTNESS * read.kl().mean() / read.mean[0, 0].numel()

    fit(coder, loss, CODER_STEPS, CODER_RATE)
    coder.register_to_config(scaling_factor=1.0)
    spread = latents(coder, pictures[:2000]).std().item()
    coder.register_to_config(scaling_factor=round(1 / spread, 4))


@torch.no_grad()
def latents(coder: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Pictures as the denoiser sees them."""
    parts = torch.tensor_split(pictures, len(pictures) // 200)
    coded = torch.cat([coder.encode(part).latent_dist.mean for part in parts])
    scale: float = coder.config.scaling_factor
    return coded * scale


def train_painter(
    parts: dict[str, Any], known: torch.Tensor, names: torch.Tensor, source: torch.Generator
) -> None:
    """Teach denoiser and text encoder to tell noise from latents, by the prompt that asks for them."""
    words = random.Random(common.SEED)  # noqa: S311
    both = torch.nn.ModuleDict({"unet": parts["unet"], "text_encoder": parts["text_encoder"]})

    def loss() -> Any:
        chosen = torch.randint(len(known), (PAINTER_BATCH,), generator=source)
        prompts = [draw_prompt(digit, words) for digit in names[chosen].tolist()]
        ids = parts["tokenizer"](
            prompts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        clean = known[chosen]
        noise = torch.randn(clean.shape, generator=source)
        when = torch.randint(len(parts["scheduler"].betas), (len(clean),), generator=source)
        noisy = parts["scheduler"].add_noise(clean, noise, when)
        wanted = parts["scheduler"].get_velocity(clean, noise, when)
        found = both["unet"](noisy, when, both["text_encoder"](ids)[0]).sample
        return torch.nn.functional.mse_loss(found, wanted)

    fit(both, loss, PAINTER_STEPS, PAINTER_RATE)


def draw_prompt(digit: int, source: random.Random) -> str:
    """A prompt that asks for this digit, or now and then none."""
    return "" if source.random() < WITHOUT_WORDS else digits_data.draw_prompt(digit, source)


def fit(learner: torch.nn.Module, loss: Callable[[], Any], steps: int, peak: float) -> None:
    """Take so many steps down a loss, smaller and smaller ones."""
    learner.train()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=peak, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.05)
    for _ in common.steps(steps):
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    learner.eval()


def write(parts: dict[str, Any], folder: Path) -> None:
    """A stock folder; the large parts in half precision.

    The text encoder stays as it is, because transformers loads a model in the precision that it was saved in,
    where diffusers makes it 32 bits: the parts of the pipeline would not fit each other.
    """
    for large in ("vae", "unet"):
        parts[large].half()
    written = parts["tokenizer"].backend_tokenizer
    written.no_padding()  # both are state that training left behind, and would be saved with it
    written.no_truncation()
    digits_parts.pipeline(parts).save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.chmod(0o644)  # safetensors leaves it to its owner alone


MODEL = common.Model("digits", (__doc__ or "").splitlines()[0], train, digits_figures.measure)

if __name__ == "__main__":
    given = common.parser(MODEL.about).parse_args()
    common.run(MODEL, given.output, only_evaluate=given.evaluate)
