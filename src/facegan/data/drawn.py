"""Drawn faces in CelebA's layout, labelled by construction: for demonstrations and tests, nobody real in them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from facegan.data.drawing import Colour, Face, Painting, mix, shade
from facegan.data.features import paint_body, paint_features, paint_head
from facegan.data.hair import LONG_STYLES, SHORT_STYLES, paint_back_hair, paint_front_hair, paint_hat
from facegan.randomness import Stream

FACES_OF_A_PERSON = 4
_DRAWS = 64
# fmt: off
_SKINS: tuple[Colour, ...] = (
    (255, 226, 204), (248, 210, 180), (238, 192, 154), (222, 168, 126), (196, 138, 98), (160, 106, 74), (124, 80, 56),
)
_BLOND: tuple[Colour, ...] = ((238, 206, 122), (226, 188, 98), (248, 224, 160), (232, 198, 116))
_NOT_BLOND: tuple[Colour, ...] = (
    (36, 30, 34), (52, 38, 34), (74, 48, 36), (100, 64, 42), (46, 34, 36), (122, 76, 48), (138, 66, 40), (168, 80, 44),
    (92, 42, 38), (150, 150, 156),
)
_IRISES: tuple[Colour, ...] = (
    (92, 58, 34), (70, 44, 28), (72, 120, 170), (84, 136, 96), (120, 128, 140), (140, 100, 50),
)
_CLOTHES: tuple[Colour, ...] = (
    (52, 72, 108), (150, 54, 58), (64, 110, 92), (228, 222, 212), (44, 44, 52), (196, 148, 70), (120, 84, 132),
    (92, 140, 176),
)
_HATS: tuple[Colour, ...] = ((186, 52, 52), (44, 86, 140), (56, 122, 84), (214, 162, 56), (62, 62, 72), (140, 78, 140))
_RIMS: tuple[Colour, ...] = ((30, 28, 32), (92, 52, 32), (140, 36, 44), (44, 60, 110), (176, 144, 84))
_BACKDROPS: tuple[Colour, ...] = (
    (88, 118, 156), (150, 170, 190), (120, 150, 120), (196, 168, 140), (70, 74, 90), (186, 128, 120), (222, 216, 206),
    (108, 90, 130), (64, 120, 124), (208, 178, 110),
)
# fmt: on


class _Chance:
    """The random numbers of one index of a stream, one after another."""

    def __init__(self, seed: int, stream: str, index: int) -> None:
        self._left = iter(Stream(seed, stream).uniform(np.array([index]), _DRAWS)[0].tolist())

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * next(self._left)

    def happens(self, probability: float) -> bool:
        return next(self._left) < probability

    def style(self, choices: tuple[str, ...]) -> str:
        return choices[int(next(self._left) * len(choices))]

    def colour(self, choices: tuple[Colour, ...], jitter: float = 0.08) -> Colour:
        chosen = choices[int(next(self._left) * len(choices))]
        return shade(chosen, self.between(1 - jitter, 1 + jitter))


def draw_face(seed: int, number: int, size: tuple[int, int] = (178, 218)) -> tuple[Image.Image, dict[str, int], int]:
    """Return face ``number`` (0, 1, 2 ...) of ``seed``: its picture (RGB of ``size``), attributes, and identity.

    The attributes are the six that are true by construction, as -1 or 1.
    """
    face, identity = invent_face(seed, number)
    return paint_face(face, size), shown_attributes(face), identity


def shown_attributes(face: Face) -> dict[str, int]:
    """Return what can be seen in the face, as -1 or 1, by CelebA's names."""
    shown = {
        "Bangs": face.bangs,
        "Blond_Hair": face.blond,
        "Eyeglasses": face.glasses is not None,
        "Male": face.male,
        "Smiling": face.smiling,
        "Wearing_Hat": face.hat is not None,
    }
    return {name: 1 if present else -1 for name, present in shown.items()}


def paint_face(face: Face, size: tuple[int, int]) -> Image.Image:
    """Return the picture of a face, RGB of ``size`` (width, height)."""
    painting = Painting(face, size)
    paint_back_hair(painting)
    paint_body(painting)
    paint_head(painting)
    paint_features(painting)
    paint_front_hair(painting)
    paint_hat(painting)
    return painting.picture()


def invent_face(seed: int, number: int) -> tuple[Face, int]:
    """Return face ``number`` of ``seed``, and its identity.

    Faces of one identity share skin, hair and features; pose, expression, light, backdrop, clothes, fringe, glasses
    and hat change.
    """
    identity = number // FACES_OF_A_PERSON + 1
    person = _Chance(seed, "drawn/person", identity)
    now = _Chance(seed, "drawn/face", number)

    male, blond = person.happens(0.5), person.happens(0.27)
    tone = person.between(0, len(_SKINS) - 1)
    skin = mix(_SKINS[int(tone)], _SKINS[int(tone) + 1], tone % 1)
    hair = person.colour(_BLOND, 0.05) if blond else person.colour(_NOT_BLOND if tone < 3.5 else _NOT_BLOND[:5])
    rouge = 0.0 if male else person.between(0.05, 0.6)
    hatted = now.happens(0.15)
    wall, other_wall = now.colour(_BACKDROPS, 0.15), now.colour(_BACKDROPS, 0.15)
    face = Face(
        skin=skin,
        hair=hair,
        iris=person.colour(_IRISES if tone < 3.5 else _IRISES[:2]),
        lips=mix(mix(skin, (176, 70, 70), 0.45), (200, 40, 70), rouge),
        clothes=now.colour(_CLOTHES),
        backdrop=(
            shade(wall, now.between(0.9, 1.2)),
            shade(mix(wall, other_wall, now.between(0, 0.8)), now.between(0.9, 1.2)),
            shade(mix(wall, other_wall, 0.3), now.between(0.6, 1)),
            shade(mix(wall, other_wall, now.between(0.2, 1)), now.between(0.6, 1)),
        ),
        lamps=tuple(
            (
                now.between(0, 178),
                now.between(0, 218),
                now.between(6, 22),
                shade(mix(wall, other_wall, 0.6), now.between(0.95, 1.4)),
            )
            for _ in range(5)
        ),
        hat=now.colour(_HATS) if hatted else None,
        glasses=now.colour(_RIMS) if now.happens(0.22) else None,
        sunglasses=now.happens(0.25),
        blond=blond,
        male=male,
        smiling=now.happens(0.5),
        teeth=now.happens(0.65),
        bangs=now.happens(0.35) and not hatted,  # a hat would hide it, and the label be a lie
        hair_style=person.style(SHORT_STYLES if male else LONG_STYLES),
        wave=person.between(0, 1),
        volume=person.between(1, 9),
        parting=person.between(-1, 1),
        width=person.between(0.95, 1.05) * (1.02 if male else 0.98),
        jaw=person.between(0.6, 1.0) if male else person.between(0, 0.4),
        chin=person.between(-2, 3) + (1.5 if male else -1.5),
        nose=person.between(0.85, 1.2),
        eye_size=person.between(0.92, 1.1),
        brow=person.between(0.8, 1.25),
        beard=person.between(0, 1) * male,
        freckled=person.happens(0.2) and tone < 3,
        yaw=now.between(-1, 1),
        pitch=now.between(-1, 1),
        tilt=now.between(-4, 4),
        light=now.between(-1, 1),
    )
    return face, identity
