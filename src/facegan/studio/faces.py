"""Faces over HTTP: numbered ones, those of styles or latents, placeholder pictures, films, photos.

Legend: N faces, A the 40 attributes, L layers that take a style, W style, Z latent, R resolution.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from facegan import __version__, pixels
from facegan.api import Model
from facegan.attributes import ATTRIBUTE_COUNT
from facegan.editing.directions import STEM as DIRECTIONS
from facegan.editing.film_file import save_film
from facegan.editing.invert import Inverter, read_photo
from facegan.editing.morph import morph
from facegan.editing.saved_face import FaceOrigin, SavedFace
from facegan.errors import UserError
from facegan.provenance import Provenance
from facegan.runs.folder import SHIPPED
from facegan.studio import wire

LARGEST_PHOTO = 20_000_000
"""Bytes of an upload."""
MOST_PHOTO_PIXELS = 40_000_000
STEPS = 300
"""Of the search for a photo's face."""
_MOST_FRAMES, _LARGEST_SIDE = 250, 512
_FILMS = {"webp": "image/webp", "avif": "image/avif", "gif": "image/gif"}


def numbered(model: Model, found: Mapping[str, Any]) -> Response:
    """Return what ``engine/model.js`` returns of numbered faces: pixels, styles, latents, labels; and D's scores."""
    seed = wire.whole_number(found, "seed", 0, 2**63 - 1, 0)
    index, settings = wire.numbers(found), wire.settings(found)
    latent_NZ = model.latents(seed, index)
    if not model.style_layers:
        if settings["attributes"]:
            raise UserError(f"the recipe {model.recipe.name} knows no attributes")
        faces = model.generate(latent_NZ, truncation=settings["truncation"])
        kept_NZ = latent_NZ * np.float32(settings["truncation"])
        return wire.arrays({"pixels": faces, "latents": kept_NZ, "scores": _scores(model, faces, None)})
    said = {"attributes": settings["attributes"], "labels": settings["labels"]}
    labels_NA = model.labels(seed, index, **said)
    style_NW = model.numbered_styles(seed, index, truncation=settings["truncation"], **said)
    faces = model.generate(styles=style_NW)
    scores_N = _scores(model, faces, labels_NA)
    return wire.arrays(
        {"pixels": faces, "styles": style_NW, "latents": latent_NZ, "labels": labels_NA, "scores": scores_N}
    )


def render(model: Model, found: Mapping[str, np.ndarray]) -> Response:
    """Return pictures of styles [N, W] or [N, L * W], or of latents [N, Z]; labels tell D what to look for."""
    rows = _rows(model, found)
    faces = model.generate(styles=rows) if model.style_layers else model.generate(rows)
    labels_NA = found.get("labels")
    if labels_NA is not None and labels_NA.shape[1:] != (ATTRIBUTE_COUNT,):
        raise UserError(f"labels: give [N, {ATTRIBUTE_COUNT}]")
    return wire.arrays({"pixels": faces, "scores": _scores(model, faces, labels_NA)})


def mapped(model: Model, found: Mapping[str, np.ndarray], query: Mapping[str, str]) -> Response:
    """Return styles [N, W] of latents [N, Z] and labels [N, 40]: ``?truncation=``."""
    if query.keys() - {"truncation"}:
        raise UserError("give truncation=, or nothing")
    try:
        truncation = float(query.get("truncation", "1"))
    except ValueError:
        raise UserError("truncation: give a number from 0 to 1") from None
    styles = model.styles(_named(found, "latents"), _named(found, "labels"), truncation=truncation)
    return wire.arrays({"styles": styles})


def directions(model: Model) -> Response:
    """Return the model's file of directions; nothing where it has none."""
    file = model.folder / f"{DIRECTIONS}.safetensors"
    return Response(file.read_bytes() if file.is_file() else b"", media_type="application/octet-stream")


def _named(found: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in found:
        raise UserError(f"give {name}")
    return found[name]


def _rows(model: Model, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return what faces are made of: styles [N, W] or [N, L, W], or latents [N, Z]."""
    layers, width = model.style_layers, model.style_size
    name, size = ("styles", width) if layers else ("latents", model.recipe.latent_size)
    array = _named(found, name)
    if layers and array.shape[1:] == (layers * width,):
        return array.reshape(-1, layers, width)
    if array.shape[1:] != (size,) and (not layers or array.shape[1:] != (layers, width)):
        raise UserError(f"{name} of shape {list(array.shape)}: this model takes [N, {size}]")
    return array


def _scores(model: Model, faces: np.ndarray, labels_NA: np.ndarray | None) -> np.ndarray | None:
    if "discriminator.safetensors" not in model.info.sha256:
        return None
    return model.score(faces, None if labels_NA is None else labels_NA.clip(-1, 1))


def placeholder(model: Model, seed: int, query: Mapping[str, str], known: str = "") -> Response:
    """Return a PNG of one face: ``?number=``, ``?size=``, ``?truncation=``, and attributes by their names.

    The same address is the same face as long as the model stays: browsers may keep it. ``known``: the tag of what a
    browser has.
    """
    asked = dict(query)
    asked.pop("token", None)
    model_name = asked.pop("model", "")
    number = wire.whole_number({"number": asked.pop("number", "0")}, "number", 0, 2**62)
    side = wire.whole_number({"size": asked.pop("size", str(model.resolution))}, "size", 16, 1024)
    values = {"truncation": "1", **asked}
    try:
        attributes = {name: float(value) for name, value in values.items()}
    except ValueError:
        raise UserError("give numbers, such as ?Smiling=1&truncation=0.7&size=256") from None
    truncation = attributes.pop("truncation")
    kept = "public, max-age=86400" if model_name in SHIPPED else "no-cache"  # other names are places in a list
    headers = {"cache-control": kept, "etag": f'"{model.sha256[:16]}-{__version__}"'}
    if known == headers["etag"]:
        return Response(status_code=304, headers=headers)
    [face] = model.sample(1, seed=seed, first=number, attributes=attributes or None, truncation=truncation)
    provenance = model.provenance(seed=seed, first=number, attributes=attributes, truncation=truncation)
    if side != model.resolution:
        from PIL import Image

        face = np.asarray(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
    return Response(pixels.encode_png(face, provenance), media_type="image/png", headers=headers)


def film(model: Model, found: Mapping[str, np.ndarray], query: Mapping[str, str]) -> Response:
    """Return a film through faces, given as ``render`` takes them: ``?kind=webp&frames=75&scale=4``."""
    kind = query.get("kind", "webp")
    if kind not in _FILMS:
        raise UserError(f"kind={kind[:20]!r}: choose {', '.join(_FILMS)}")
    frames = wire.whole_number({"frames": query.get("frames", "75")}, "frames", 2, _MOST_FRAMES)
    most = max(1, _LARGEST_SIDE // model.resolution)
    scale = wire.whole_number({"scale": query.get("scale", str(min(4, most)))}, "scale", 1, most)
    origin = FaceOrigin(model.name, model.sha256)
    rows = _rows(model, found)
    if model.style_layers:
        faces = [SavedFace(origin, row if row.ndim == 2 else row[None]) for row in rows]
    else:
        faces = [SavedFace(origin, latent_Z=row) for row in rows]
    pictures = morph(model, faces, frames=frames)
    provenance = Provenance(model=model.name, nimg=model.nimg, sha256=model.sha256)
    with tempfile.TemporaryDirectory(prefix="facegan-film-") as folder:
        file = Path(folder) / f"film.{kind}"
        larger = (pixels.enlarge(picture[None], scale)[0] for picture in pictures)
        save_film(file, larger, provenance, count=frames, rate=25)
        return Response(file.read_bytes(), media_type=_FILMS[kind])


async def read_upload(request: Request) -> np.ndarray:
    """Return an uploaded photo, uint8 [H, W, 3]. It is never on a disk.

    Raises:
        UserError: it is no photo, or too large.
    """
    content = io.BytesIO(await wire.read_body(request, LARGEST_PHOTO))
    return await run_in_threadpool(lambda: read_photo(content, "this file", most_pixels=MOST_PHOTO_PIXELS))


def invert(model: Model, photo: np.ndarray, report: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Return the face that is most like the one in a photo, and how alike they are."""
    found = Inverter(model).invert(photo, steps=STEPS, report=report)
    assert found.face.style_LW is not None
    return {
        "styles": found.face.style_LW.reshape(1, -1),
        "pixels": np.stack([found.made, found.photo]),
        "psnr": round(found.psnr, 1),
        "kept": found.attributes_kept,
        "failed": found.failed,
        "placed": found.placed,
    }
