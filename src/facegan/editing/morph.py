"""Ways from face to face: straight in styles, along great circles in latents; and mixtures of two faces' layers.

Legend: F frames, N faces, L layers that take a style, W style, Z latent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_COUNT
from facegan.editing.saved_face import FaceOrigin, SavedFace, layered_styles
from facegan.errors import UserError

MOST_FRAMES = 100_000
_BATCH = 64

_Curve = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def morph(
    model: Model, faces: Sequence[SavedFace], *, frames: int, loop: bool = True, in_latents: bool = False
) -> Iterator[np.ndarray]:
    """Return an iterator of pictures, uint8 [R, R, 3], on the way through all faces; what cannot be is refused at once.

    Each stretch is straight in styles (the faces halfway are like both), or, ``in_latents`` and for generators without
    styles, along a great circle, on which latents keep their length (Shoemake 1985; White 2016). The speed rises and
    falls smoothly, so that the film rests at each face. In a ``loop`` it comes back: frame F would be frame 0.

    Raises:
        UserError: fewer than two faces, fewer frames than faces, or faces that were not made of a latent where these
            are walked through.
    """
    if len(faces) < 2:
        raise UserError("a film goes from face to face: name two or more")
    if not len(faces) <= frames <= MOST_FRAMES:
        raise UserError(f"{frames:,} frames for {len(faces)} faces: choose from {len(faces)} to {MOST_FRAMES:,}")
    way = _Way.through(len(faces), frames, loop)
    if model.style_layers and not in_latents:
        point_NLW = layered_styles(model, faces)
        return _pictures(lambda at: model.generate(styles=way.points(point_NLW, at)), frames)
    latent_NZ = _latents(faces)
    curve = _on_circle if model.recipe.latent == "normal" else _straight
    if not model.style_layers:
        return _pictures(lambda at: model.generate(way.points(latent_NZ, at, curve)), frames)
    none_A = np.zeros(ATTRIBUTE_COUNT, np.float32)
    label_NA = np.stack([none_A if face.labels_A is None else face.labels_A for face in faces])
    truncation_N1 = np.array([[face.origin.truncation] for face in faces], np.float32)

    def mapped(latent_NZ: np.ndarray, label_NA: np.ndarray, truncation_N1: np.ndarray) -> np.ndarray:
        said_NA = label_NA if model.recipe.attributes else None
        style_NW = model.styles(latent_NZ, said_NA)
        if (truncation_N1 == 1).all():
            return style_NW[:, None]
        mean_NW = model.mean_styles(said_NA)
        return (mean_NW + truncation_N1 * (style_NW - mean_NW))[:, None]

    # What is left of edits, which the latent and the labels do not say.
    rest_NLW = layered_styles(model, faces) - mapped(latent_NZ, label_NA, truncation_N1)

    def made(at: slice) -> np.ndarray:
        moving = mapped(way.points(latent_NZ, at, curve), way.points(label_NA, at), way.points(truncation_N1, at))
        return model.generate(styles=moving + way.points(rest_NLW, at))

    return _pictures(made, frames)


def _pictures(made: Callable[[slice], np.ndarray], frames: int) -> Iterator[np.ndarray]:
    for start in range(0, frames, _BATCH):
        yield from made(slice(start, start + _BATCH))


def _latents(faces: Sequence[SavedFace]) -> np.ndarray:
    latents = [face.latent_Z for face in faces if face.latent_Z is not None]
    if len(latents) < len(faces):
        raise UserError("not all of these faces were made of a latent (one of a photo, or edited): walk through styles")
    return np.stack(latents).astype(np.float64)


def _straight(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    return (1 - share) * a + share * b


def _on_circle(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Return the point of the great circle through the directions of a and b; its length goes from one's
    to the other's."""
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    cosine = np.clip(a @ b / max(length_a * length_b, 1e-12), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6 or not length_a or not length_b:
        return _straight(a, b, share)
    unit = (np.sin((1 - share) * angle) * a / length_a + np.sin(share * angle) * b / length_b) / np.sin(angle)
    return unit * ((1 - share) * length_a + share * length_b)


@dataclass(frozen=True, eq=False)
class _Way:
    """Between which two faces each frame is, and how far from the first to the second."""

    start_F: np.ndarray
    end_F: np.ndarray
    share_F: np.ndarray

    @classmethod
    def through(cls, faces: int, frames: int, loop: bool) -> _Way:
        stretches = faces if loop else faces - 1
        place_F = np.arange(frames) * (stretches / (frames if loop else frames - 1))
        start_F = np.minimum(place_F.astype(int), stretches - 1)
        share_F = place_F - start_F
        return cls(start_F, (start_F + 1) % faces, share_F * share_F * (3 - 2 * share_F))

    def points(self, point_N: np.ndarray, at: slice, curve: _Curve = _straight) -> np.ndarray:
        """Return float32 [n, ...]: where the n frames ``at`` are on the way through points [N, ...]."""
        ends = zip(self.start_F[at], self.end_F[at], self.share_F[at], strict=True)
        return np.stack([curve(point_N[a], point_N[b], share) for a, b, share in ends]).astype(np.float32)


def default_layer(model: Model) -> int:
    """Return the first layer after the two smallest sizes, such as 4 and 8 px.

    Raises:
        UserError: the model has no styles.
    """
    if not model.style_layers:
        raise UserError(f"the recipe {model.recipe.name} has no styles, and mixtures are made of styles")
    return int(model.generator.ends[1]) + 1  # type: ignore[index]


def mixed_face(model: Model, coarse: SavedFace, fine: SavedFace, layer: int) -> SavedFace:
    """Return a face with the styles of ``coarse`` in the layers before ``layer``, and of ``fine`` from there on.

    Coarse layers decide pose and shape of a face, fine ones its colours (Karras et al. 2019, section 3.1).

    Raises:
        UserError: the model has no styles, or no such layer between its first and last.
    """
    coarse_LW, fine_LW = layered_styles(model, [coarse, fine])
    if not 0 < layer < model.style_layers:
        raise UserError(f"layer {layer}: this model mixes from layer 1 to {model.style_layers - 1}")
    origin = FaceOrigin(
        model.name, model.sha256, edited=f"mixed: {_said(coarse)} before layer {layer}, then {_said(fine)}"
    )
    return SavedFace(origin, np.concatenate([coarse_LW[:layer], fine_LW[layer:]]))


def _said(face: SavedFace) -> str:
    origin = face.origin
    return f"{origin.seed}:{origin.number}" if origin.number is not None and not origin.edited else "a saved face"
