"""Films as files: AVIF, WebP, GIF, MP4, or a folder of numbered PNGs. Each says what made it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, features

from facegan import pixels
from facegan.errors import UserError
from facegan.files import replaced
from facegan.provenance import Provenance

SUFFIXES = (".avif", ".webp", ".gif", ".mp4")
"""A name without a suffix is a folder of PNGs."""
_OPTIONS: dict[str, dict[str, object]] = {
    ".avif": {"quality": 75, "speed": 6},
    ".webp": {"quality": 85, "method": 4},
    ".gif": {"optimize": False},
}


def check_kind(path: Path) -> None:
    """Refuse what ``save_film`` cannot write, before a face is made.

    Raises:
        UserError: another suffix, or a library that is missing.
    """
    suffix = path.suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise UserError(f"--out {path}: give a name that ends in {', '.join(SUFFIXES)}, or a folder, without a suffix")
    if suffix == ".avif" and not features.check("avif"):
        raise UserError(f"--out {path}: this Pillow was built without AVIF; choose .webp")
    if suffix == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError:
            raise UserError(f"--out {path}: MP4 needs PyAV: pip install 'facegan[mp4]', or choose .avif") from None


def kept_rate(path: Path, rate: float) -> float:
    """Return the pictures a second that a film of this kind can have: GIF counts in hundredths of a second."""
    if path.suffix.lower() != ".gif":
        return rate
    return 100 / max(2, round(100 / rate))  # most programs show shorter times as ten of them


def save_film(path: Path, pictures: Iterator[np.ndarray], provenance: Provenance, *, count: int, rate: float) -> None:
    """Write ``count`` uint8 [H, W, 3] pictures of one size as an endless film of ``rate`` pictures a second.

    They are asked for one by one: a long film takes no more memory than its file and a few of them.

    Raises:
        OSError: it cannot be written.
        UserError: as ``check_kind``.
    """
    check_kind(path)
    suffix = path.suffix.lower()
    if not suffix:
        path.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            pixels.save_png(path / f"{number:06d}.png", picture, provenance)
        return
    with replaced(path, synced=False) as partial:
        if suffix == ".mp4":
            return _write_mp4(partial, pictures, provenance, rate)
        ends = [round(1000 * number / rate) for number in range(count + 1)]  # whole milliseconds, as files have them
        said = provenance.save_options(suffix[1:].upper())
        _Film(pictures, count).save(
            partial, suffix[1:].upper(), save_all=True, loop=0,
            duration=[end - start for start, end in itertools.pairwise(ends)], **said, **_OPTIONS[suffix],
        )  # fmt: skip


class _Film(Image.Image):
    """Pictures that are made while Pillow writes them. Where it is given images to append, it first makes a list."""

    def __init__(self, pictures: Iterator[np.ndarray], count: int) -> None:
        super().__init__()
        self._pictures, self._number = pictures, 0
        self.n_frames, self.is_animated = count, count > 1
        first = Image.fromarray(next(pictures))
        self._mode, self._size, self.im = first.mode, first.size, first.im

    def seek(self, frame: int) -> None:
        if frame >= self.n_frames:
            raise EOFError
        if frame > self._number:  # else Pillow goes back to where it began, having written all
            self.paste(Image.fromarray(next(self._pictures)))
            self._number = frame

    def tell(self) -> int:
        return self._number


def _write_mp4(file: Path, pictures: Iterator[np.ndarray], provenance: Provenance, rate: float) -> None:
    """H.264 in 4:2:0, which every player shows; it wants even sides, so an odd one loses its last row or column."""
    import av

    with av.open(str(file), "w", format="mp4", options={"movflags": "faststart"}) as container:
        container.metadata["comment"] = provenance.sentence()
        stream = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "18"}
        for number, picture in enumerate(pictures):
            height, width = (side - side % 2 for side in picture.shape[:2])
            if not number:
                stream.height, stream.width = height, width
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
