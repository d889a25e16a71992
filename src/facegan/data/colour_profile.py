"""Colours of pictures that carry an ICC profile, such as those of phones (Display P3), in sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from PIL import ImageCms

DIRECT_MODES = frozenset(("L", "CMYK", "LAB"))
"""Modes whose own profile leads to sRGB; of all others, the profile is that of the RGB that they are made into."""


def to_srgb(image: Image.Image, profile: bytes) -> tuple[Image.Image, str] | None:
    """Return a picture in sRGB, mode RGB, and what its profile is called.

    None where that is sRGB already, or cannot be used: the picture is then taken as it is.
    """
    from PIL import ImageCms

    try:
        known = _transform(profile, image.mode)
        converted = known and ImageCms.applyTransform(image, known[0])
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError, TypeError):
        return None
    return (converted, known[1]) if known and converted else None


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform, str] | None:
    from PIL import ImageCms

    opened = ImageCms.getOpenProfile(io.BytesIO(profile))
    name = " ".join(ImageCms.getProfileDescription(opened).split())[:40]
    if "srgb" in name.lower():
        return None
    return ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB"), name
