"""Painting one face with Pillow: smooth shapes in the 178x218 frame, drawn at twice the size and reduced.

Coordinates are pixels of CelebA's frame, in which the eyes stand at (69, 111) and (108, 111) and the mouth at
y = 152, as in its aligned photographs. Colours are (red, green, blue) from 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from facegan.data.celeba import FRAME_WIDTH

Colour: TypeAlias = tuple[float, float, float]
CENTRE_X, EYE_Y, MOUTH_Y = 88.5, 111.0, 152.0
EYE_DISTANCE = 39.0
_SOFT_SCALE = 0.4
"""Size of the layers that hold only gradients, as a part of the picture: enlarging them makes them smooth."""


@dataclass(frozen=True)
class Face:
    """Everything that a drawn face shows. ``yaw`` (to the right) and ``pitch`` (down) run from -1 to 1."""

    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    clothes: Colour
    backdrop: tuple[Colour, Colour, Colour, Colour]
    """The corners: top left, top right, bottom left, bottom right."""
    lamps: tuple[tuple[float, float, float, Colour], ...]
    """Blurred lights in the backdrop: x, y, radius, colour."""
    hat: Colour | None
    glasses: Colour | None
    sunglasses: bool
    blond: bool
    male: bool
    smiling: bool
    teeth: bool
    bangs: bool
    hair_style: str
    wave: float
    volume: float
    """Height of the hair over the head in pixels."""
    parting: float
    """Where the hair parts: -1 (left) to 1 (right)."""
    width: float
    jaw: float
    """0 (pointed) to 1 (square)."""
    chin: float
    nose: float
    eye_size: float
    brow: float
    beard: float
    """Below 0.3: none; below 0.65: stubble; above: a beard."""
    freckled: bool
    yaw: float
    pitch: float
    tilt: float
    """Degrees."""
    light: float
    """From the left (-1) to the right (1)."""


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """Return ``one`` with ``part`` (0 to 1) of ``other`` in it."""
    return (
        one[0] + (other[0] - one[0]) * part,
        one[1] + (other[1] - one[1]) * part,
        one[2] + (other[2] - one[2]) * part,
    )


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour darkened (factor < 1) or lit (factor > 1), kept in range."""
    return min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor)


def curve(points: np.ndarray, steps: int = 6, *, closed: bool = True) -> np.ndarray:
    """Return float [K, 2]: a Catmull-Rom spline through ``points`` (float [P, 2])."""
    around = (points[-1:], points, points[:2]) if closed else (points[:1], points, points[-1:])
    padded = np.concatenate(around)
    spline = (_spline_weights(steps) @ padded[_neighbours(len(padded) - 3)]).reshape(-1, 2)
    return spline if closed else np.concatenate([spline, points[-1:]])


@cache
def _spline_weights(steps: int) -> np.ndarray:
    """Return float [steps, 4]: weights of the points before, at the start, at the end and after, along one piece."""
    t = np.arange(steps) / steps
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
    return 0.5 * np.stack(weights, axis=1)


@cache
def _neighbours(pieces: int) -> np.ndarray:
    """Return int [pieces, 4]: the four points that shape each piece."""
    return np.arange(pieces)[:, None] + np.arange(4)


_ROUND = np.linspace(0, 2 * np.pi, 40)
_CIRCLE = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1)


def ellipse(x: float, y: float, x_radius: float, y_radius: float) -> np.ndarray:
    """Return float [40, 2]: the outline of an ellipse, clockwise from its right end."""
    return _CIRCLE * (x_radius, y_radius) + np.array([x, y])


class Pen:
    """Draws shapes given in frame pixels into an image of any size; turns everything by ``tilt`` degrees."""

    def __init__(self, image: Image.Image, tilt: float = 0.0) -> None:
        self._draw = ImageDraw.Draw(image)
        self._scale = image.width / FRAME_WIDTH
        angle = math.radians(tilt)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        pivot = np.array([CENTRE_X, EYE_Y + 15])
        self._turn = turn * self._scale
        self._shift = (pivot - pivot @ turn) * self._scale

    def shape(self, points: np.ndarray, colour: Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon(_pairs(self.place(points)), fill=_paint(colour))

    def stroke(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """Draw a line ``width`` frame pixels wide, with round ends."""
        placed = _pairs(self.place(points))
        thick = max(1, round(width * self._scale))
        self._draw.line(placed, fill=_paint(colour), width=thick, joint="curve" if thick > 3 else None)
        radius = thick / 2 - 0.5
        for x, y in (placed[0], placed[-1]) if thick > 2 else ():
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_paint(colour))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Return where the image has points of the frame: float [K, 2] in its own pixels."""
        return points @ self._turn + self._shift


def _pairs(points: np.ndarray) -> list[tuple[float, float]]:
    return list(map(tuple, points.tolist()))


def _paint(colour: Colour) -> tuple[int, int, int]:
    return round(colour[0]), round(colour[1]), round(colour[2])


def blurred(layer: Image.Image, radius: float) -> Image.Image:
    """Return the picture blurred by about ``radius`` frame pixels."""
    radius *= layer.width / FRAME_WIDTH
    return layer.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius))


class Painting:
    """One face on its way to a picture of ``size``: the canvas, the head's geometry and the shaded colours."""

    def __init__(self, face: Face, size: tuple[int, int]) -> None:
        self.face = face
        self.size = size
        self.canvas_size = (2 * size[0], 2 * size[1])
        # CelebA's alignment holds the eyes still, so a turned head moves against them.
        self.head_x = CENTRE_X - 5.0 * face.yaw
        self.half_width = 42.5 * face.width
        self.top_y, self.chin_y = 54.0, 181.0 + face.chin + 2.0 * face.pitch
        self.canvas = self._backdrop()
        self.pen = Pen(self.canvas, face.tilt)
        self.hair = self._shaded_hair()

    def picture(self) -> Image.Image:
        """Return the finished picture, RGB of ``size``."""
        return self.canvas.reduce(2)

    def outline(self, grow: float = 0.0, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
        """Return float [K, 2]: the head's outline, clockwise from ``start`` to ``stop`` (0 and 1: the crown).

        ``grow`` moves it outwards, in frame pixels.
        """
        angle = np.linspace(start, stop, max(8, round(64 * (stop - start)))) * 2 * np.pi
        up, across = np.cos(angle), np.sin(angle)
        jaw = self.face.jaw
        side = np.sign(across) * np.abs(across) ** np.where(up > 0, 0.80, 0.96 - 0.20 * jaw)
        taper = np.where(up < 0, 1 - (0.15 - 0.08 * jaw) * np.abs(up) ** 1.2, 1.0)
        depth = np.where(up > 0, EYE_Y + 6 - self.top_y, self.chin_y - EYE_Y - 6)
        x = self.head_x + side * taper * (self.half_width + grow)
        return np.stack([x, EYE_Y + 6 - up * (depth + grow)], axis=1)

    def fill(self, shapes: Sequence[np.ndarray], layer: Image.Image, opacity: float = 1.0) -> None:
        """Fill polygons with what ``layer`` shows there: a picture of the canvas's size, or a soft layer."""
        placed = [self.pen.place(points) for points in shapes]
        every = np.concatenate(placed)
        # Even numbers: the edges of the picture's own pixels, two of the canvas's.
        low = (np.floor(every.min(axis=0) / 2).clip(0) * 2).astype(int)
        high = np.minimum(np.ceil(every.max(axis=0) / 2) * 2 + 2, self.canvas_size).astype(int)
        box = (int(low[0]), int(low[1]), int(high[0]), int(high[1]))
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
        draw = ImageDraw.Draw(mask)
        for points in placed:
            draw.polygon(_pairs(points - low), fill=round(255 * opacity))
        shown = layer.crop(box) if layer.size == self.canvas_size else self._enlarge(layer, box)
        self.canvas.paste(shown, box, mask)

    def soft_layer(self, base: Colour) -> tuple[Image.Image, Pen]:
        """Return a small picture of one colour and a pen for it; blurred, it is a layer to fill with."""
        layer = Image.new("RGB", (round(self.size[0] * _SOFT_SCALE), round(self.size[1] * _SOFT_SCALE)), _paint(base))
        return layer, Pen(layer, self.face.tilt)

    def _enlarge(self, layer: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        """Return the part of a soft layer that lies in ``box`` of the canvas."""
        x, y = layer.width / self.canvas_size[0], layer.height / self.canvas_size[1]
        width, height = box[2] - box[0], box[3] - box[1]
        part = (box[0] * x, box[1] * y, box[2] * x, box[3] * y)
        # Smooth to the picture's size only: the canvas is reduced to that in the end, so doubling loses nothing.
        smooth = layer.resize((width // 2, height // 2), Image.Resampling.BILINEAR, box=part)
        return smooth.resize((width, height), Image.Resampling.NEAREST)

    def _backdrop(self) -> Image.Image:
        top_left, top_right, low_left, low_right = (np.array(colour) for colour in self.face.backdrop)
        y, x = np.mgrid[0:1:9j, 0:1:9j][..., None]
        colours = (top_left * (1 - x) + top_right * x) * (1 - y) + (low_left * (1 - x) + low_right * x) * y
        small = (max(8, self.size[0] // 4), max(8, self.size[1] // 4))
        layer = Image.fromarray(colours.round().astype(np.uint8)).resize(small, Image.Resampling.BILINEAR)
        pen = Pen(layer)
        for lamp_x, lamp_y, radius, colour in self.face.lamps:
            pen.shape(ellipse(lamp_x, lamp_y, radius, radius), colour)
        return self._enlarge(blurred(layer, 4.0), (0, 0, *self.canvas_size))

    def _shaded_hair(self) -> Image.Image:
        face, x = self.face, self.head_x
        layer, pen = self.soft_layer(face.hair)
        side = 1.0 if face.light > 0 else -1.0
        lit, dark = mix(face.hair, (255, 240, 215), 0.28), shade(face.hair, 0.68)
        pen.shape(ellipse(x - side * 50, 90, 18, 46), shade(face.hair, 0.8))
        for place in (-1, 1):
            pen.shape(ellipse(x + place * 40, 142, 9, 40), dark)
            pen.shape(ellipse(x + place * 55, 205, 20, 24), shade(face.hair, 0.82))
        pen.shape(ellipse(x + side * 15, 56, 31, 7), lit)
        pen.shape(ellipse(x + side * 57, 138, 3, 26), mix(face.hair, lit, 0.7))
        return blurred(layer, 4.0)
