"""Head, body, eyes, brows, nose, mouth, beard and glasses of a drawn face."""

from __future__ import annotations

import numpy as np
from PIL import Image

from facegan.data.drawing import (
    CENTRE_X,
    EYE_DISTANCE,
    EYE_Y,
    MOUTH_Y,
    Colour,
    Painting,
    Pen,
    blurred,
    curve,
    ellipse,
    mix,
    shade,
)

_INK: Colour = (38, 26, 26)
_WHITE: Colour = (255, 255, 255)


def paint_body(painting: Painting) -> None:
    """Paint shoulders, neck and collar."""
    face, pen, x = painting.face, painting.pen, painting.head_x
    reach, neck = (66.0, 21.0) if face.male else (56.0, 16.0)
    shoulders = [[-neck, 190], [-reach, 203], [-reach - 14, 232], [reach + 14, 232], [reach, 203], [neck, 190]]
    pen.shape(curve(np.array(shoulders) + np.array([x, 0])), face.clothes)
    throat = [[-neck, 150], [-neck, 186], [-24, 196], [0, 207], [24, 196], [neck, 186], [neck, 150]]
    pen.shape(curve(np.array(throat) + np.array([x, 0])), mix(shade(face.skin, 0.76), (120, 40, 40), 0.12))
    collar = np.array([[-27, 193], [-14, 203.5], [0, 208], [14, 203.5], [27, 193]]) + np.array([x, 0])
    pen.stroke(curve(collar, closed=False), 3, shade(face.clothes, 0.8))


def paint_head(painting: Painting) -> None:
    """Paint ears and face, shaded from the side of the light."""
    face = painting.face
    for side in (-1, 1):
        if face.yaw * side < 0.55:  # the far ear is behind the turned head
            ear_x = painting.head_x + side * (painting.half_width + 1)
            painting.pen.shape(ellipse(ear_x, 121, 6, 11), shade(face.skin, 0.9))
            painting.pen.shape(ellipse(ear_x - side, 122, 3, 7), mix(shade(face.skin, 0.74), (150, 50, 40), 0.15))
            if not face.male and face.jaw > 0.2:
                painting.pen.shape(ellipse(ear_x + side * 1.5, 134, 2.4, 2.8), (240, 214, 130))
    painting.fill([painting.outline()], _shaded_skin(painting))


def _shaded_skin(painting: Painting) -> Image.Image:
    face, x = painting.face, painting.head_x
    layer, pen = painting.soft_layer(face.skin)
    lit, dark = mix(face.skin, (255, 244, 228), 0.30), mix(shade(face.skin, 0.72), (120, 40, 40), 0.14)
    side = 1.0 if face.light > 0 else -1.0

    def spot(at_x: float, at_y: float, x_radius: float, y_radius: float, colour: Colour, part: float) -> None:
        pen.shape(ellipse(at_x, at_y, x_radius, y_radius), mix(face.skin, colour, part))

    spot(x - side * 45, 118, 15, 66, dark, 0.35 + 0.5 * abs(face.light))
    spot(x + side * 45, 118, 8, 60, dark, 0.35)
    spot(x, 68, 40, 8, dark, 0.5)
    spot(x + side * 10, 88, 22, 10, lit, 0.5)
    blush = mix(face.skin, (232, 96, 92), 0.14 if face.male else 0.26)
    for place in (-1, 1):
        spot(CENTRE_X + place * 21, EYE_Y - 2, 12, 7, dark, 0.36)
        pen.shape(ellipse(CENTRE_X + place * 27 - 2 * face.yaw, 134, 11, 9), blush)
        pen.shape(ellipse(CENTRE_X + place * 24 - 2 * face.yaw + 2 * side, 127, 7, 4), mix(blush, lit, 0.5))
    nose_x, mouth_x = CENTRE_X + 4 * face.yaw, CENTRE_X + face.yaw
    spot(nose_x - side * 5, 124, 3.5, 14, dark, 0.5)
    spot(nose_x + side * 1.5, 122, 2.6, 13, lit, 0.75)
    spot(mouth_x, 163, 11, 3.5, dark, 0.5)
    spot(mouth_x, 171, 10, 5, lit, 0.4)
    if 0.3 < face.beard < 0.65:  # stubble
        jaw = np.array([[-38, 142], [-30, 152], [0, 145], [30, 152], [38, 142], [30, 170], [0, 188], [-30, 170]])
        pen.shape(curve(jaw + np.array([x, 0])), mix(face.skin, shade(face.hair, 0.6), 0.30))
    spot(x, painting.chin_y + 7, 44, 9, dark, 0.7)
    return blurred(layer, 3.2)


def paint_features(painting: Painting) -> None:
    """Paint everything inside the head's outline."""
    for side in (-1, 1):
        _paint_eye(painting, side)
        _paint_brow(painting, side)
    _paint_nose(painting)
    if painting.face.freckled:
        _paint_freckles(painting)
    if painting.face.beard >= 0.65:
        _paint_beard(painting)
    _paint_mouth(painting)
    if painting.face.glasses is not None:
        _paint_glasses(painting, painting.face.glasses)


def _foreshortening(painting: Painting, side: int) -> float:
    """What is on the side to which the head turns is seen narrower."""
    return 1 - 0.16 * max(0.0, side * painting.face.yaw)


def _paint_eye(painting: Painting, side: int) -> None:
    face, pen = painting.face, painting.pen
    x = CENTRE_X + side * EYE_DISTANCE / 2
    width = 9.8 * face.eye_size * _foreshortening(painting, side)
    height = (5.0 if face.male else 5.9) * face.eye_size * (0.86 if face.smiling else 1.0)
    low = height * (0.62 if face.smiling else 0.85)
    inner, outer = x - side * width, x + side * width
    upper = np.array(
        [
            [inner, EYE_Y + 2],
            [x - side * 3.5, EYE_Y - height],
            [x + side * 4, EYE_Y - height + 0.4],
            [outer, EYE_Y - 0.6],
        ]
    )
    lower = np.array([[x + side * 4, EYE_Y + low], [x - side * 3, EYE_Y + low]])
    lids = curve(np.concatenate([upper, lower]))
    # The lids cut the iris: eyeball and iris are a layer of their own, let through where the eye is open.
    ball = Image.new("RGB", painting.canvas_size, (244, 241, 239))
    ball_pen = Pen(ball, face.tilt)
    iris_x, iris_y = x + 2.2 * face.yaw, EYE_Y - 0.4 + 0.8 * face.pitch
    ball_pen.shape(ellipse(x, EYE_Y - height, width, 3.0), (212, 206, 206))
    ball_pen.shape(ellipse(iris_x, iris_y, 5.1, 5.1), shade(face.iris, 0.55))
    ball_pen.shape(ellipse(iris_x, iris_y + 0.5, 4.2, 4.2), face.iris)
    ball_pen.shape(ellipse(iris_x, iris_y, 2.3, 2.3), (16, 12, 14))
    ball_pen.shape(ellipse(iris_x + 1.6, iris_y - 1.8, 1.3, 1.3), _WHITE)
    painting.fill([lids], ball)
    lash = curve(upper, closed=False)
    pen.stroke(lash, 1.6 if face.male else 2.3, _INK)
    below = np.array([[inner, EYE_Y + 2], *lower[::-1], [outer, EYE_Y - 0.6]])
    pen.stroke(curve(below, closed=False), 0.8, shade(face.skin, 0.6))
    pen.stroke(lash - (0, 3.4), 0.8, shade(face.skin, 0.62))
    if not face.male:
        pen.stroke(np.array([[outer - side, EYE_Y - 1], [outer + side * 3.2, EYE_Y - 4.2]]), 1.6, _INK)


def _paint_brow(painting: Painting, side: int) -> None:
    face = painting.face
    x = CENTRE_X + side * EYE_DISTANCE / 2
    y = EYE_Y - (12.0 if face.male else 14.0) - (1.0 if face.smiling else 0.0) - 0.8 * face.pitch
    reach = 12.5 * _foreshortening(painting, side)
    thick = face.brow * (2.7 if face.male else 1.5)
    arch = 2.0 if face.male else 3.6
    top = np.array([[x - side * reach * 0.85, y + 0.6], [x + side * 2.5, y - arch], [x + side * reach, y + 1.8]])
    bottom = np.array([top[-1], [x + side * 2.5, y - arch + thick * 1.35], [x - side * reach * 0.85, y + thick * 1.5]])
    colour = mix(shade(face.hair, 0.62), (52, 36, 30), 0.35)
    painting.pen.shape(np.concatenate([curve(top, closed=False), curve(bottom, closed=False)]), colour)


def _paint_nose(painting: Painting) -> None:
    face, pen = painting.face, painting.pen
    x, y = CENTRE_X + 4.5 * face.yaw, 134.5 + 1.5 * face.pitch
    width = face.nose * (7.6 if face.male else 6.2)
    line = mix(shade(face.skin, 0.6), (120, 40, 36), 0.15)
    for side in (-1, 1):
        wing = np.array([[1.0, -2.5], [0.9, 1.2], [0.4, 0.8]]) * (side * width, 1) + np.array([x, y])
        pen.stroke(curve(wing, closed=False), 1.1, line)
        pen.shape(ellipse(x + side * width * 0.52, y + 0.6, 1.6, 0.9), shade(line, 0.7))
    tip = np.array([[-0.45, 1], [0, 2.6], [0.45, 1]]) * (width, 1) + np.array([x, y])
    pen.stroke(curve(tip, closed=False), 1.3, line)
    pen.shape(ellipse(x + 1, y - 4.5, 1.8, 1.8), mix(face.skin, _WHITE, 0.35))


def _paint_mouth(painting: Painting) -> None:
    face, pen = painting.face, painting.pen
    middle = np.array([CENTRE_X + 1.5 * face.yaw, MOUTH_Y + 1.2 * face.pitch])
    if face.smiling:
        for side in (-1, 1):
            fold = np.array([[side * 14, -17], [side * 21, -9], [side * 22.5, -1]]) + middle
            pen.stroke(curve(fold, closed=False), 1.1, shade(face.skin, 0.74))
        if face.teeth:
            _paint_laugh(painting, middle)
            return
        _paint_lips(painting, middle, reach=18.0, lift=-4.6, dip=3.0)
    else:
        _paint_lips(painting, middle, reach=13.5 if face.male else 12.5, lift=0.4, dip=0.3)


def _paint_laugh(painting: Painting, middle: np.ndarray) -> None:
    """An open mouth, its corners up and the upper teeth to be seen."""
    face, pen = painting.face, painting.pen
    upper = np.array([[-18.5, -4.5], [-8, -1.8], [0, -0.8], [8, -1.8], [18.5, -4.5]]) + middle
    lower = np.array([[10, 6], [0, 9.5], [-10, 6]]) + middle
    pen.shape(curve(np.concatenate([upper - np.array([0, 2.6]), lower + np.array([0, 3.6])])), face.lips)
    pen.shape(curve(np.concatenate([upper, lower])), (112, 34, 40))
    bite = np.array([[10, 3.2], [0, 5.6], [-10, 3.2]]) + middle
    pen.shape(curve(np.concatenate([upper, bite])), (252, 250, 246))
    pen.stroke(curve(lower + np.array([0, 2.2]), closed=False), 1.4, mix(face.lips, (255, 235, 230), 0.35))


def _paint_lips(painting: Painting, middle: np.ndarray, *, reach: float, lift: float, dip: float) -> None:
    """Closed lips ``reach`` wide to each side, their corners at ``lift`` and their middle at ``dip`` (down)."""
    face, pen = painting.face, painting.pen
    thick = 3.2 if face.male else 4.6
    line = np.array([[-1, lift], [-0.5, dip * 0.5], [0, dip], [0.5, dip * 0.5], [1, lift]]) * (reach, 1) + middle
    upper = np.array([[0.45, dip * 0.4 - thick], [0, dip - thick * 0.72], [-0.45, dip * 0.4 - thick]])
    lower = np.array([[0.5, dip + thick], [0, dip + thick * 1.4], [-0.5, dip + thick]])
    pen.shape(curve(np.concatenate([line, upper * (reach, 1) + middle])), shade(face.lips, 0.88))
    pen.shape(curve(np.concatenate([line, lower * (reach, 1) + middle])), face.lips)
    shine = ellipse(middle[0], middle[1] + dip + thick * 0.9, reach * 0.34, 0.9)
    pen.shape(shine, mix(face.lips, (255, 240, 236), 0.4))
    pen.stroke(curve(line, closed=False), 1.4, mix(shade(face.lips, 0.55), _INK, 0.3))


def _paint_beard(painting: Painting) -> None:
    """A beard along the jaw and round the mouth, with its moustache."""
    x, w = painting.head_x, painting.half_width
    mouth_x = CENTRE_X + 1.5 * painting.face.yaw
    cheeks = np.array(
        [
            [x - w + 4, 122],
            [x - w + 9, 140],
            [mouth_x - 24, 149],
            [mouth_x - 15, 143.5],
            [mouth_x, 141.5],
            [mouth_x + 15, 143.5],
            [mouth_x + 24, 149],
            [x + w - 9, 140],
            [x + w - 4, 122],
        ]
    )
    painting.fill([np.concatenate([painting.outline(1.5, 0.27, 0.73), curve(cheeks, closed=False)])], painting.hair)


def _paint_freckles(painting: Painting) -> None:
    colour = mix(shade(painting.face.skin, 0.8), (150, 80, 40), 0.25)
    for number in range(12):
        side = -1 if number % 2 else 1
        x, y = CENTRE_X + side * (13 + 17 * (number * 0.618 % 1)), 124 + 10 * (number * 0.755 % 1)
        painting.pen.shape(ellipse(x, y, 0.9, 0.9), colour)


def _paint_glasses(painting: Painting, colour: Colour) -> None:
    face, pen = painting.face, painting.pen
    corners = np.array(
        [[-1, -0.3], [-0.82, -0.92], [0, -1], [0.82, -0.92], [1, -0.3], [0.85, 0.75], [0, 1.02], [-0.85, 0.75]]
    )
    rims = []
    for side in (-1, 1):
        x, y = CENTRE_X + side * (EYE_DISTANCE / 2 + 0.8) + face.yaw, EYE_Y + 1.5
        wide, high = 15.5 * _foreshortening(painting, side), 11.5
        rims.append(curve(corners * (wide, high) + np.array([x, y])))
        temple = np.array([[x + side * wide, y - 4], [painting.head_x + side * (painting.half_width + 3), y - 5]])
        pen.stroke(temple, 2.4, shade(colour, 0.8))
        if face.sunglasses:
            pen.shape(rims[-1], mix(colour, (14, 14, 20), 0.82))
            glint = np.array([[-8, -7], [-2, -8.5], [-9, 3], [-11, 0]]) + np.array([x, y])
            pen.shape(glint, mix(colour, (150, 160, 180), 0.45))
    if not face.sunglasses:
        painting.fill(rims, Image.new("RGB", painting.canvas_size, (228, 240, 248)), 0.22)
    for rim in rims:
        pen.stroke(np.concatenate([rim, rim[:2]]), 2.4, colour)
    bridge = np.array([[-5, -1], [0, -3], [5, -1]]) + np.array([CENTRE_X + face.yaw, EYE_Y])
    pen.stroke(curve(bridge, closed=False), 2.4, colour)
