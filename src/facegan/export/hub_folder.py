"""A folder as the Hugging Face hub has models: weights, settings, card, licence, and a page to try the model on.

``facegan.load`` takes the folder, and after the upload ``hf:USER/NAME``. No tensor is anything but safetensors, so that
whoever loads it runs no code of others.
"""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from facegan import __version__, pixels
from facegan.api import Model
from facegan.config import to_dict
from facegan.errors import UserError
from facegan.files import NewFolder, file_sha256
from facegan.runs.folder import SHIPPED
from facegan.runs.snapshot import EXPORTED_FILE, EXPORTED_STEM, LABEL_PRIOR

_SAMPLES = 64
_BESIDE = (LABEL_PRIOR, "directions")
"""Stems of files that go with the weights, where the model has them."""


def export_hub(model: Model, out: Path, *, name: str) -> list[str]:
    """Write ``out``, which must be new, and return the names of its files. ``name``: USER/NAME on the hub.

    Raises:
        UserError: ``out`` exists already, or cannot be written.
    """
    source = model.folder
    with NewFolder(out) as partial:
        folder = partial.folder
        shutil.copyfile(source / f"{model.stem}.safetensors", folder / f"{EXPORTED_STEM}.safetensors")
        for stem in _BESIDE:
            if (source / f"{stem}.safetensors").is_file():
                shutil.copyfile(source / f"{stem}.safetensors", folder / f"{stem}.safetensors")
        weights = sorted(file.name for file in folder.glob("*.safetensors"))
        (folder / EXPORTED_FILE).write_text(json.dumps(_config(model, folder, weights), indent=1) + "\n", "utf-8")
        faces = model.sample(_SAMPLES, seed=0, truncation=0.7)
        provenance = model.provenance(_SAMPLES, seed=0, truncation=0.7, sheet=True)
        pixels.save_png(folder / "samples.png", pixels.grid(faces), provenance)
        values = _values(model, name)
        for template, target in (
            ("card.md", "README.md"),
            ("app.py.txt", "app.py"),
            ("requirements.txt", "requirements.txt"),
            ("licence.txt", "LICENSE"),
        ):
            text = files("facegan.export").joinpath("templates", template).read_text("utf-8")
            (folder / target).write_text(Template(text).substitute(values), "utf-8")
        names = sorted(file.name for file in folder.iterdir() if file.name != "lock")
        partial.put_in_place()
    return names


def _config(model: Model, folder: Path, weights: list[str]) -> dict[str, Any]:
    """Return what ``snapshot.json`` of a snapshot says, and what the hub wants to know."""
    return {
        "library_name": "facegan",
        "model_type": model.recipe.network,
        "format_version": model.info.version,
        "nimg": model.nimg,
        "config": to_dict(model.config),
        "state": {},
        "sha256": {file: file_sha256(folder / file) for file in weights},
        "facegan": __version__,
    }


_TERMS_OF_CELEBA = "CelebA is for non-commercial research, and so are these weights (LICENSE)."
_TERMS = (
    "Weights that were learned from CelebA are for non-commercial research only (LICENSE); of others, the terms of\n"
    "their photographs hold."
)
_FIRST_WORDS = (
    "Write here which photographs the network weights in this folder were trained on, and their terms. If they were\n"
    "faces"
)


def _values(model: Model, name: str) -> dict[str, str]:
    if name.count("/") != 1:
        raise UserError(f"--name {name}: write it as USER/NAME, as it will be called on the hub")
    labels = "It takes CelebA's 40 attributes." if model.recipe.attributes else "It takes no attributes."
    of_celeba = model.name in SHIPPED
    slider = ', gradio.Slider(-1, 1, 0, label="smiling")' if model.recipe.attributes else ""
    return {
        "licence": "celeba-non-commercial" if of_celeba else "terms-of-its-photographs",
        "of_celeba": " of CelebA" if of_celeba else "",
        "terms": _TERMS_OF_CELEBA if of_celeba else _TERMS,
        "first_words": "The network weights in this folder were trained on faces" if of_celeba else _FIRST_WORDS,
        "slider": slider,
        "arguments": "seed, truncation, smiling" if model.recipe.attributes else "seed, truncation",
        "name": name,
        "title": name.split("/")[1],
        "recipe": model.recipe.name,
        "resolution": str(model.resolution),
        "nimg": f"{model.nimg:,}",
        "labels": labels,
        "attributes": '{"Smiling": smiling} if smiling else None' if model.recipe.attributes else "None",
        "version": __version__,
        "sha256": model.sha256,
    }
