"""Hair and hats of a drawn face."""

from __future__ import annotations

import numpy as np

from facegan.data.drawing import EYE_Y, Painting, blurred, curve, ellipse, mix, shade

SHORT_STYLES = ("crop", "quiff", "curls", "side")
LONG_STYLES = ("long", "wavy", "bob", "bun", "curls")
_HAIRLINE_Y = 77.0


def paint_back_hair(painting: Painting) -> None:
    """Paint what hangs or stands behind the head."""
    face, x, w = painting.face, painting.head_x, painting.half_width
    match face.hair_style:
        case "bun":
            if face.hat is None:
                painting.fill([ellipse(x, 42, 18, 15)], painting.hair)
                painting.pen.stroke(ellipse(x, 42, 18, 15)[26:38], 1.2, shade(face.hair, 0.7))
            return
        case "curls":
            if not face.male:
                painting.fill(
                    [ellipse(x + side * (w + 3), y, 17, 17) for side in (-1, 1) for y in (100, 120, 141, 160)],
                    painting.hair,
                )
            return
        case "bob":
            side = np.array([[w + 8, 96], [w + 14, 130], [w + 13, 160], [w - 4, 171]])
        case "long" | "wavy":
            side = np.array([[w + 8, 96], [w + 12, 130], [w + 16, 165], [w + 20, 200], [w + 10, 226]])
        case _:
            return
    right = side + np.array([x, 0])
    left = side[::-1] * (-1, 1) + np.array([x, 0])
    painting.pen.shape(curve(np.concatenate([[[x, 54 - face.volume]], right, left])), shade(face.hair, 0.66))


def paint_front_hair(painting: Painting) -> None:
    """Paint the hair on top of the head, round the forehead, and the fringe."""
    style = painting.face.hair_style
    if style == "curls":
        _curly_hair(painting)
    elif style in SHORT_STYLES:
        _short_hair(painting)
    else:
        _long_hair(painting)
    if painting.face.bangs:
        _fringe(painting)


def _crown(painting: Painting, grow: float, low: float) -> np.ndarray:
    """Return the outside of the hair from the right temple over the crown to the left one.

    ``low`` is how far down it reaches on both sides, as a part of the head's outline (0.25: ear height).
    """
    right, left = painting.outline(grow, 0.0, low), painting.outline(grow, 1.0 - low, 1.0)
    points = np.concatenate([right[::-1], left[:-1][::-1]])
    height = ((EYE_Y - 12 - points[:, 1]) / (EYE_Y - 12 - points[:, 1].min())).clip(0, 1)
    points[:, 1] -= painting.face.volume * height
    if painting.face.hair_style == "quiff":  # it stands up on the parting's side
        across = (points[:, 0] - painting.head_x) / painting.half_width
        points[:, 1] -= 7 * height * np.exp(-((across - 0.45 * np.sign(painting.face.parting)) ** 2) / 0.25)
    return points


def _short_hair(painting: Painting) -> None:
    face, x, w = painting.face, painting.head_x, painting.half_width
    crown = _crown(painting, 3.0 if face.hair_style == "crop" else 5.0, 0.235)
    part = x + face.parting * 22
    y = _HAIRLINE_Y
    lift_left, lift_right = 0.0, 0.0
    if face.hair_style == "quiff":
        lift_left = lift_right = -5.0
    elif face.hair_style == "side":  # combed over, lower on one side
        lift_left, lift_right = (-6.0, 6.0) if face.parting < 0 else (6.0, -6.0)
    # From the left temple to the right one along the hairline.
    inner = np.array([
        [x - w + 1.5, 114], [x - w + 5, 102], [x - w + 6, y + 10], [x - 26, y + 2 + lift_left / 2],
        [part - 9, y + lift_left], [part + 9, y + lift_right], [x + 26, y + 2 + lift_right / 2], [x + w - 6, y + 10],
        [x + w - 5, 102], [x + w - 1.5, 114],
    ])  # fmt: skip
    painting.fill([np.concatenate([crown, curve(inner, closed=False)])], painting.hair)
    _strands(painting, part, y - 3, 10)


def _curly_hair(painting: Painting) -> None:
    """Locks as overlapping circles along the crown and the hairline."""
    face, x, w = painting.face, painting.head_x, painting.half_width
    crown = _crown(painting, 3.0, 0.25 if face.male else 0.28)
    size = 8.5 + 4 * face.wave
    outside = crown[:: max(1, len(crown) // 15)]
    shapes = [ellipse(px, py, size + 1.5 * (number % 3), size) for number, (px, py) in enumerate(outside)]
    places = np.linspace(-0.8, 0.8, 9)
    shapes += [ellipse(x + place * w, _HAIRLINE_Y - 9 + 14 * place**2, 9, 9) for place in places]
    forehead = np.array([[6 - w, 90], [-20, _HAIRLINE_Y - 6], [20, _HAIRLINE_Y - 6], [w - 6, 90]]) + np.array([x, 0])
    painting.fill([*shapes, np.concatenate([crown, forehead])], painting.hair)
    for number, (px, py) in enumerate(outside[1:-1]):
        colour = shade(face.hair, 0.74) if number % 2 else mix(face.hair, (255, 238, 210), 0.25)
        for depth, radius in ((0.07, 5.5), (0.23, 5.0)):
            curl = ellipse(px + (x - px) * depth, py + (EYE_Y - 20 - py) * depth, radius, radius)
            painting.pen.stroke(curl[4 * (number % 5) :][:16], 1.1, colour)


def _long_hair(painting: Painting) -> None:
    """Hair that parts and falls, or is drawn back, on both sides of the forehead."""
    face, x, w = painting.face, painting.head_x, painting.half_width
    part = x + face.parting * 22
    y = _HAIRLINE_Y - 4
    forehead = np.array(
        [
            [-w + 5, 100],
            [-27, 87],
            [part - x - 9, y + 4],
            [part - x, y - 3],
            [part - x + 9, y + 4],
            [27, 87],
            [w - 5, 100],
        ]
    ) + np.array([x, 0])
    if face.hair_style == "bun":
        crown = _crown(painting, 4.0, 0.245)
        ends = np.array([[x - w + 1, 114]]), np.array([[x + w - 1, 114]])
        painting.fill(
            [np.concatenate([crown, curve(np.concatenate([ends[0], forehead, ends[1]]), closed=False)])],
            painting.hair,
        )
        _strands(painting, x, 46, 10)
        return
    end = 166 if face.hair_style == "bob" else 214
    bend = 3 + 4 * face.wave if face.hair_style == "wavy" else 0
    crown = _crown(painting, 7.0, 0.2)
    outer = np.array(
        [[w + 9, 120], [w + 12 + bend, 138], [w + 13 - bend, 158], [w + 13 + bend, end - 18], [w + 6, end]]
    )
    inner = np.array(
        [[w - 3, end - 6], [w - 1 + bend, end - 22], [w - 1 - bend, 156], [w - 4 + bend, 138], [w - 4, 118]]
    )
    right_outside = curve(outer[::-1] + np.array([x, 0]), 6, closed=False)
    left_outside = curve(outer * (-1, 1) + np.array([x, 0]), 6, closed=False)
    left_inside = inner * (-1, 1) + np.array([x, 0])
    right_inside = inner[::-1] + np.array([x, 0])
    inside = curve(np.concatenate([left_inside, forehead, right_inside]), 6, closed=False)
    painting.fill([np.concatenate([right_outside, crown, left_outside, inside])], painting.hair)
    _strands(painting, part, y - 3, 10)
    for side in (-1, 1):
        for offset in (4.5, 9.0):
            line = outer - (offset, 0)
            painting.pen.stroke(curve(line * (side, 1) + np.array([x, 0]), 6, closed=False), 0.9, shade(face.hair, 0.8))


def _strands(painting: Painting, part: float, y: float, count: int) -> None:
    """A few lines that follow the hair from the parting outwards."""
    face, x, w = painting.face, painting.head_x, painting.half_width
    for number in range(count):
        place = (number + 0.5) / count * 2 - 1
        end = np.array([x + place * (w + 1), 100 - 32 * (1 - abs(place))])
        over = np.array([part + (end[0] - part) * 0.6, painting.top_y - face.volume * 0.5 + 6 + 16 * abs(place)])
        colour = mix(face.hair, (255, 238, 210), 0.2) if number % 2 else shade(face.hair, 0.8)
        start = np.array([part + place * 5, y - 3 - 9 * (1 - abs(place))])
        if abs(end[0] - start[0]) > 12:
            painting.pen.stroke(curve(np.stack([start, over, end - (0, 4)]), 6, closed=False), 0.9, colour)


def _fringe(painting: Painting) -> None:
    """Hair that falls over the forehead down to the brows."""
    face, x, w = painting.face, painting.head_x, painting.half_width
    places = np.linspace(-1, 1, 9)
    bottom_x = x + places * (w - 4)
    jag = np.where(np.arange(9) % 2 == 0, 1.0, -2.4) * (0.6 + face.wave)
    bottom_y = EYE_Y - 11.5 + jag + 4 * np.abs(places) ** 3 - 4 * (1 - np.abs(places - face.parting * 0.6)).clip(0) ** 2
    bottom = curve(np.stack([bottom_x, bottom_y], axis=1), 6, closed=False)
    painting.fill([np.concatenate([_crown(painting, 2.0, 0.2), bottom])], painting.hair)
    for number in range(1, 8):
        start = np.array([x + face.parting * 16 + places[number] * 16, painting.top_y + 6])
        end = np.array([bottom_x[number], bottom_y[number] - 1])
        colour = shade(face.hair, 0.78) if number % 2 else mix(face.hair, (255, 238, 210), 0.18)
        middle = (start + end) / 2 + np.array([places[number] * 5, -3])
        painting.pen.stroke(curve(np.stack([start, middle, end]), 6, closed=False), 1.0, colour)


def paint_hat(painting: Painting) -> None:
    """Paint a knitted cap or one with a peak over the hair."""
    face, pen, x, w = painting.face, painting.pen, painting.head_x, painting.half_width
    if face.hat is None:
        return
    colour = face.hat
    dark, lit = shade(colour, 0.72), mix(colour, (255, 255, 255), 0.3)
    layer, soft = painting.soft_layer(colour)
    side = 1 if face.light > 0 else -1
    soft.shape(ellipse(x + side * 22, 52, 18, 14), lit)
    soft.shape(ellipse(x - side * 48, 64, 16, 36), dark)
    reach = w + 10
    dome = np.array([[-1, 92], [-0.99, 66], [-0.7, 44], [0, 35], [0.7, 44], [0.99, 66], [1, 92]]) * (
        reach,
        1,
    ) + np.array([x, 0])
    painting.fill([curve(dome)], blurred(layer, 4.0))
    if face.parting > 0:  # a knitted cap: a turned-up edge with ribs
        pen.shape(ellipse(x, 35, 9, 8), lit)
        edge = np.array([[-1.04, 78], [0, 72], [1.04, 78], [1.02, 94], [0, 89], [-1.02, 94]]) * (reach, 1) + np.array(
            [x, 0]
        )
        pen.shape(curve(edge), mix(colour, (255, 255, 255), 0.12))
        for place in np.linspace(-0.9, 0.9, 13):
            top = np.array([x + place * reach, 75 + 3 * place**2])
            pen.stroke(np.stack([top, top + np.array([0, 13])]), 1.0, dark)
    else:  # a cap with a peak
        peak = np.array([[-1, 84], [0, 76], [1, 84], [0.9, 93], [0, 96], [-0.9, 93]]) * (reach, 1) + np.array([x, 0])
        pen.shape(curve(peak), dark)
        pen.stroke(curve(peak[:3], closed=False), 1.4, shade(colour, 0.55))
        for place in (-0.45, 0.45):
            seam = np.array([[x, 36], [x + place * reach, 52], [x + place * reach * 1.5, 78]])
            pen.stroke(curve(seam, closed=False), 0.9, dark)
        pen.shape(ellipse(x, 62, 9, 9), mix(colour, (255, 255, 255), 0.75))
