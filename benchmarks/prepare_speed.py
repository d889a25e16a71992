"""Images per second of `facegan prepare` against a plain one-process Pillow loop, measured in turn.

    python benchmarks/prepare_speed.py SRC [--resolution 64] [--rounds 5] [--limit 4000]

Both read every image of SRC (a folder or zip), crop 148x148 of the aligned frame, resize by Lanczos and end with a
uint8 array on disk. The loop is what one would write by hand; prepare also hashes, checks, labels and syncs.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from facegan.data.prepare import prepare
from facegan.data.sources import find_source


def plain_loop(source: Path, names: list[str], resolution: int, out: Path) -> None:
    """The few lines of Pillow that prepare is compared with."""
    images = np.empty((len(names), resolution, resolution, 3), np.uint8)
    for row, data in enumerate(read_each(source, names)):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        x, y = image.width / 178, image.height / 218
        image = image.crop((round(15 * x), round(35 * y), round(163 * x), round(183 * y)))
        images[row] = np.asarray(image.resize((resolution, resolution), Image.Resampling.LANCZOS))
    np.save(out, images)


def read_each(source: Path, names: list[str]) -> Iterator[bytes]:
    if source.is_dir():
        for name in names:
            yield (source / name).read_bytes()
        return
    with zipfile.ZipFile(source) as archive:
        for name in names:
            yield archive.read(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    listing = find_source(options.source)
    names = [file.path for file in listing.images[: options.limit]]

    ours, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            start = time.perf_counter()
            prepare(options.source, Path(folder, f"{number}"), resolution=options.resolution, limit=options.limit)
            ours.append(len(names) / (time.perf_counter() - start))
            start = time.perf_counter()
            plain_loop(listing.source, names, options.resolution, Path(folder, f"{number}.npy"))
            plain.append(len(names) / (time.perf_counter() - start))
            print(
                f"round {number + 1}: prepare {ours[-1]:.0f} images/s, plain loop {plain[-1]:.0f} images/s", flush=True
            )

    ratios = [one / other for one, other in zip(ours, plain, strict=True)]
    print(f"{len(names)} images of {options.source} to {options.resolution} px; medians of {options.rounds} rounds:")
    print(f"  prepare     {statistics.median(ours):8.0f} images/s")
    print(f"  plain loop  {statistics.median(plain):8.0f} images/s")
    print(f"  ratio       {statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    from facegan.machine import describe_machine  # late: the decoding processes import this file, and it imports torch

    print(f"  Pillow {PIL.__version__}; {describe_machine()}")


if __name__ == "__main__":
    main()
