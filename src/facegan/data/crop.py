"""What part of an image becomes the face: CelebA's frame, or the largest square in the middle."""

from __future__ import annotations

from typing import TypeAlias

from facegan.errors import UserError

FRAME_WIDTH, FRAME_HEIGHT = 178, 218
"""Size of CelebA's aligned images, the frame in which a crop is given."""
Crop: TypeAlias = "int | tuple[float, float, float, float]"
"""Side of a centred square in the frame, or its left, top, right and bottom edge."""


def is_aligned(width: int, height: int) -> bool:
    """Return whether an image has the shape of CelebA's frame, at any size, give or take a pixel of rounding."""
    return abs(width * FRAME_HEIGHT - height * FRAME_WIDTH) <= FRAME_HEIGHT


def crop_box(width: int, height: int, crop: Crop) -> tuple[float, float, float, float]:
    """Return the left, top, right, bottom edge of the crop in an image's own pixels.

    An aligned image has the frame's crop, scaled with it; any other image its largest centred square.
    """
    if not is_aligned(width, height):
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side
    left, top, right, bottom = frame_box(crop)
    x_scale, y_scale = width / FRAME_WIDTH, height / FRAME_HEIGHT
    return left * x_scale, top * y_scale, right * x_scale, bottom * y_scale


def frame_box(crop: Crop) -> tuple[float, float, float, float]:
    """Return the crop's left, top, right, bottom edge in the 178x218 frame.

    Raises:
        UserError: it is not a square inside the frame.
    """
    if isinstance(crop, int):
        left, top = (FRAME_WIDTH - crop) / 2, (FRAME_HEIGHT - crop) / 2
        box = (left, top, left + crop, top + crop)
    else:
        box = (float(crop[0]), float(crop[1]), float(crop[2]), float(crop[3]))
    side = box[2] - box[0]
    if side < 1 or side != box[3] - box[1] or min(box) < 0 or box[2] > FRAME_WIDTH or box[3] > FRAME_HEIGHT:
        raise UserError(
            f"crop {crop}: expected the side of a centred square (1 to {FRAME_WIDTH}), or left,top,right,bottom of a "
            f"square inside the {FRAME_WIDTH}x{FRAME_HEIGHT} frame, such as 15,35,163,183"
        )
    return box
