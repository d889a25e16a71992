"""Be the discriminator: faces of which some are made; a player marks those, and D is asked the same.

As in ``facegan blind``: from a quarter to three quarters are made, how many is not told; photographs are of held-out
people, each of another; no two players see the same faces. Without photographs an early snapshot stands against a
late one, and the early faces are to be marked.

D does not know where its scores part either: where they do is found on other faces, half of each kind.

Legend: N faces of a round, R resolution.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from facegan.api import Model
from facegan.data.order import evenly
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.evaluation.blind import draw_up, first_sample, most_of_a_kind

FACES = 20
_PRACTICE = 64
"""Faces of each kind on which D's threshold is found."""
MOST_ROUNDS = 64
_MOST_SNAPSHOTS = 8


@dataclass(frozen=True, eq=False)
class Round:
    """What a player sees, and what is known of it."""

    id: str
    kind: str
    """photographs or snapshots."""
    image_NHWC: np.ndarray
    """uint8 [20, R, R, 3]."""
    made_N: np.ndarray
    """bool [20]: made, or made by the early snapshot."""
    practice: tuple[np.ndarray, np.ndarray]
    """uint8 [64, R, R, 3] each: made ones, and others, that are not in the round."""
    model: str


def against_photographs(name: str, model: Model, view: DataView) -> Round:
    """Return a round of made faces among photographs of held-out people.

    Raises:
        UserError: too few people, or photographs of another size.
    """
    seed = secrets.randbelow(2**31)
    of = f"{model.sha256}/studio"
    first = first_sample(seed, of)
    most = most_of_a_kind(1, FACES)
    made = model.sample(most + _PRACTICE, seed=seed, first=first)
    test = draw_up(made[:most], view, first=first, sheets=1, faces=FACES, seed=seed, of=of)
    shown = {(cell.dataset, cell.place) for cell in test.cells if not cell.made}
    rows = [zip(*view.places(number), strict=True) for number in range(len(view.datasets))]
    others = [int(at) for number, pairs in enumerate(rows) for at, row in pairs if (number, int(row)) not in shown]
    practice = np.random.default_rng(seed).choice(others, min(_PRACTICE, len(others)), replace=False)
    kinds = iter(made)
    images = [next(kinds) if cell.made else view.datasets[cell.dataset or 0].images[cell.place] for cell in test.cells]
    made_N = np.array([cell.made for cell in test.cells])
    pairs = (made[most:], view.images(practice))
    return Round(secrets.token_hex(8), "photographs", np.stack(images), made_N, pairs, name)


def against_snapshots(name: str, early: Model, late: Model) -> Round:
    """Return a round of an early snapshot's faces among a late one's."""
    seed, random = secrets.randbelow(2**31), np.random.default_rng(secrets.randbits(64))
    count = int(random.integers(FACES // 4, 3 * FACES // 4 + 1))
    made_N = np.zeros(FACES, bool)
    made_N[random.permutation(FACES)[:count]] = True
    faces = {kind: model.sample(FACES + _PRACTICE, seed=seed) for kind, model in ((True, early), (False, late))}
    images = np.stack([faces[bool(made)][place] for place, made in enumerate(made_N)])
    pairs = (faces[True][FACES:], faces[False][FACES:])
    return Round(secrets.token_hex(8), "snapshots", images, made_N, pairs, name)


def answered(found: Round, marked: Sequence[int], models: Sequence[tuple[int, Model]]) -> dict[str, Any]:
    """Return what was made, how many a player got right who marked these places, and how many D did: that of the
    newest model, and of every other. ``models``: (images seen, model), one or more, oldest first; those without a
    discriminator are left out, and where none has one, so is all that D says.

    Raises:
        UserError: a place that is not there.
    """
    if any(type(place) is not int or not 0 <= place < FACES for place in marked) or len(set(marked)) != len(marked):
        raise UserError(f"made: give places from 0 to {FACES - 1}, each once")
    said_N = np.isin(np.arange(FACES), list(marked))
    history, scores_N = [], np.zeros(0)
    for nimg, model in models:
        if not model.has_discriminator:
            continue
        scores_N = model.score(found.image_NHWC)
        called_N = scores_N < threshold(*(model.score(images) for images in found.practice))
        history.append({"nimg": nimg, "right": int((called_N == found.made_N).sum())})
    return {
        "made": found.made_N.tolist(),
        "right": int((said_N == found.made_N).sum()),
        "scores": [round(float(score), 4) for score in scores_N],
        "D_right": history[-1]["right"] if history else None,
        "history": history,
        "faces": FACES,
        "practice": sum(len(images) for images in found.practice),
    }


def threshold(made_N: np.ndarray, other_N: np.ndarray) -> float:
    """Return the score below which a face is called made, so that as many as can be of both kinds are right."""
    values = np.unique(np.concatenate([made_N, other_N]))
    edges = np.concatenate([values[:1] - 1, (values[1:] + values[:-1]) / 2, values[-1:] + 1])
    right = [(made_N < edge).mean() + (other_N >= edge).mean() for edge in edges]
    return float(edges[int(np.argmax(right))])


def some_of(snapshots: Sequence[int]) -> list[int]:
    """Return at most eight snapshots, evenly spaced, with the first and the last."""
    return [snapshots[place] for place in evenly(len(snapshots), _MOST_SNAPSHOTS)]
