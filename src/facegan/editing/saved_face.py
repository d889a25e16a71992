"""One face in a small file, which every command that changes faces takes and writes.

A safetensors file of a few kB: a style for each layer (or one for all), or a latent; the labels it was made with; and
in its metadata, as JSON, the model that makes it and where it came from. No pixel of it is stored.

Legend: L layers that take a style, W style, Z latent, A the 40 attributes, R resolution.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_COUNT
from facegan.errors import UserError, brief, check_not_denied
from facegan.files import check_regular, parse_json, write_bytes
from facegan.sampling.sampler import check_truncation

SUFFIX = ".safetensors"
_KEY = "facegan-face"
_MOST_DIGITS = 19
_FORMAT_VERSION = 1
_LARGEST_FILE = 1 << 20
"""Bytes; a face of ours has some ten thousand."""


@dataclass(frozen=True)
class FaceOrigin:
    """What a face was made from: a model, known by its weights' sha256, and a number of a seed, or a photo."""

    model: str = ""
    sha256: str = ""
    seed: int | None = None
    number: int | None = None
    truncation: float = 1.0
    edited: str = ""
    """What was done to it since, in words."""


@dataclass(frozen=True, eq=False)
class SavedFace:
    """A face of a model. Of a generator with styles ``style_LW`` is there, of others ``latent_Z`` alone.

    ``style_LW``: float32 [1, W], the same for all layers, or [L, W]. ``latent_Z`` float32 [Z] and ``labels_A`` float32
    [40], as the generator gets them, are there where the face came of them: editing by labels begins with them.
    """

    origin: FaceOrigin
    style_LW: np.ndarray | None = None
    latent_Z: np.ndarray | None = None
    labels_A: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.style_LW is None and self.latent_Z is None:
            raise UserError("a face has styles or a latent")

    def save(self, path: Path) -> None:
        """Write the face, whole or not at all.

        Raises:
            OSError: the file cannot be written.
        """
        arrays = {"styles": self.style_LW, "latent": self.latent_Z, "labels": self.labels_A}
        kept = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items() if array is not None}
        described = json.dumps({"format_version": _FORMAT_VERSION, **asdict(self.origin)})
        write_bytes(path, save(kept, {_KEY: described}))


def numbered_face(
    model: Model,
    seed: int,
    number: int,
    *,
    attributes: Mapping[str, float] | None = None,
    truncation: float = 1.0,
    labels: str = "prior",
) -> SavedFace:
    """Return face ``number`` of a seed, as ``Model.sample`` makes it.

    Raises:
        UserError: as ``Model.sample``.
    """
    origin = FaceOrigin(model.name, model.sha256, seed, number, truncation)
    check_truncation(truncation)
    latent_NZ = model.latents(seed, [number])
    labels_NA = model.labels(seed, [number], attributes, labels=labels)
    if not model.style_layers:
        return SavedFace(origin, latent_Z=latent_NZ[0] * np.float32(truncation))
    style_NW = model.numbered_styles(seed, [number], attributes, truncation=truncation, labels=labels)
    return SavedFace(origin, style_NW, latent_NZ[0], None if labels_NA is None else labels_NA[0])


def read_face(path: Path, model: Model) -> SavedFace:
    """Return the face in a file, which must be one of ``model``.

    Raises:
        UserError: there is no such file, it is no face of ours, or one of another model.
    """
    described, arrays = read_described(path, _KEY, "saved face", f"facegan sample --out face{SUFFIX} writes one")
    if described.get("format_version") != _FORMAT_VERSION:
        raise UserError(f"{path} has a format that this facegan does not read: it reads {_FORMAT_VERSION}")
    face = _checked(described, arrays, model, path)
    if face.origin.sha256 != model.sha256:
        raise UserError(f"{path} is a face of another model ({_named(face.origin)}): give that one, not {model.name}")
    return face


def read_described(path: Path, key: str, what: str, advice: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the JSON object in a small safetensors file's metadata under ``key``, and its arrays.

    Raises:
        UserError: there is no such file, or it is no ``what``; ``advice`` says where one comes from.
    """
    try:
        if check_regular(path).st_size > _LARGEST_FILE:
            raise ValueError(f"it is larger than {_LARGEST_FILE:,} bytes")
        with safe_open(path, framework="np") as opened:
            described = parse_json(((opened.metadata() or {}).get(key) or "null").encode())
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist: give a {what}; {advice}") from None
    except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
        check_not_denied(error)
        raise UserError(f"{path} is no {what} ({brief(error)}): {advice}") from None
    if not isinstance(described, dict):
        raise UserError(f"{path} is a safetensors file and no {what}: {advice}")
    return described, arrays


def _named(origin: FaceOrigin) -> str:
    return f"{origin.model!r:.60}, weights {origin.sha256[:16]}"


def _checked(described: dict[str, Any], arrays: Mapping[str, np.ndarray], model: Model, path: Path) -> SavedFace:
    fields = {name: described[name] for name in FaceOrigin.__dataclass_fields__ if name in described}
    kinds: dict[str, Any] = {"model": str, "sha256": str, "edited": str, "truncation": (int, float)}
    for name, value in fields.items():
        if not isinstance(value, kinds.get(name, (int, type(None)))) or isinstance(value, bool):
            raise UserError(f"{path} is damaged: {name} is {value!r:.40}")
    if not 0 <= fields.get("truncation", 1) <= 1:
        raise UserError(f"{path} is damaged: truncation is {fields['truncation']!r:.40}, and not from 0 to 1")
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "latent": ((model.recipe.latent_size,),),
        "labels": ((ATTRIBUTE_COUNT,),),
    }
    if model.style_layers:
        shapes["styles"] = tuple((rows, model.style_size) for rows in (1, model.style_layers))
    same_model = fields.get("sha256") == model.sha256
    for name, array in arrays.items():
        unlike = array.dtype != np.float32 or (same_model and array.shape not in shapes.get(name, ()))
        if unlike:
            raise UserError(f"{path} is damaged: {name} is {array.dtype} {list(array.shape)}")
        if not np.isfinite(array).all():
            raise UserError(f"{path} is damaged: {name} holds numbers that are not finite")
    if same_model and ("styles" in arrays) != bool(model.style_layers):
        raise UserError(
            f"{path} is damaged: a face of {model.name} has {'styles' if model.style_layers else 'a latent'}"
        )
    return SavedFace(FaceOrigin(**fields), arrays.get("styles"), arrays.get("latent"), arrays.get("labels"))


def named_face(
    model: Model,
    text: str,
    seed: int = 0,
    *,
    attributes: Mapping[str, float] | None = None,
    truncation: float = 1.0,
    labels: str = "prior",
) -> SavedFace:
    """Return the face that a user names: a number of the seed, ``SEED:NUMBER``, or the path of a saved face.

    ``attributes``, ``truncation`` and ``labels`` are those of numbered faces; a saved face stays as it is.

    Raises:
        UserError: as ``numbered_face`` and ``read_face``.
    """
    before, colon, after = text.rpartition(":")
    if after.isascii() and after.isdigit() and (not colon or (before.isascii() and before.isdigit())):
        if len(after) > _MOST_DIGITS or len(before) > _MOST_DIGITS:
            raise UserError(f"{text:.60}: faces are numbered from 0 to 2^62, and seeds to 2^63")
        chosen_seed = int(before) if colon else seed
        return numbered_face(
            model, chosen_seed, int(after), attributes=attributes, truncation=truncation, labels=labels
        )
    if not text.endswith(SUFFIX) and not Path(text).exists():
        raise UserError(
            f"{text:.200} names no face: give its number, SEED:NUMBER, or the path of a saved face ({SUFFIX})"
        )
    return read_face(Path(text), model)


def layered_styles(model: Model, faces: Sequence[SavedFace]) -> np.ndarray:
    """Return float32 [N, L, W]: the faces' styles, one for each layer.

    Raises:
        UserError: the model has no styles.
    """
    if not model.style_layers:
        raise UserError(f"the recipe {model.recipe.name} has no styles: only latents of its faces can be changed")
    rows = [face.style_LW for face in faces]
    return np.stack([np.repeat(row, model.style_layers // len(row), axis=0) for row in rows if row is not None])


def pictures(model: Model, faces: Sequence[SavedFace]) -> np.ndarray:
    """Return uint8 [N, R, R, 3]."""
    if model.style_layers:
        return model.generate(styles=layered_styles(model, faces))
    return model.generate(np.stack([face.latent_Z for face in faces if face.latent_Z is not None]))
