"""Which detail a model's faces have too much or too little of: their power spectrum beside real faces'.

    python benchmarks/spectrum.py celeba64 data/part-a
    python benchmarks/spectrum.py runs/style data/celeba64 --count 2000 --truncation 0.7

Brightness under a Hann window, its power averaged over faces and over rings of frequency (cycles across the face; at
64 px the finest stripes have 32, the finest chequers 45), as a ratio to that of as many real faces; and, as a control,
the ratio of other real faces to them. 1 is what a generator should have (Durall et al. 2020 found too much power at the
highest frequencies in GANs' images). Rows of a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import facegan
from facegan.data.packed import DataView, PackedDataset


def ring_powers(faces_NHWC: np.ndarray, width: int) -> np.ndarray:
    """Return the mean power of each ring of ``width`` cycles, from the lowest, of uint8 faces."""
    side = faces_NHWC.shape[1]
    bright_NHW = faces_NHWC.astype(np.float32).mean(-1) / 127.5 - 1
    window_HW = np.outer(np.hanning(side), np.hanning(side)).astype(np.float32)
    spectrum_NHW = np.fft.fft2((bright_NHW - bright_NHW.mean((1, 2), keepdims=True)) * window_HW)
    cycles = np.fft.fftfreq(side) * side
    rings_HW = (np.hypot(cycles[:, None], cycles[None]) // width).astype(int)
    sums = np.bincount(rings_HW.ravel(), (np.abs(spectrum_NHW) ** 2).mean(0).ravel())
    return sums / np.bincount(rings_HW.ravel())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--truncation", type=float, default=1.0)
    parser.add_argument("--width", type=int, default=8, help="cycles of a ring")
    options = parser.parse_args()
    view = DataView([PackedDataset.open(options.data)])
    assert len(view) >= 2 * options.count, f"{len(view)} real faces: two times --count are needed"
    real, other = (view.images(np.arange(first, first + options.count)) for first in (0, options.count))
    model = facegan.load(options.model)
    made = model.sample(options.count, seed=options.seed, truncation=options.truncation)
    expected = ring_powers(real, options.width)
    rows = {"made": ring_powers(made, options.width), "other real faces": ring_powers(other, options.width)}
    starts = range(0, options.width * len(expected), options.width)
    print(f"| cycles | {' | '.join(f'{start} to {start + options.width}' for start in starts)} |")
    print(f"|{'---|' * (len(expected) + 1)}")
    for name, powers in rows.items():
        print(f"| {name} | {' | '.join(f'{ratio:.2f}' for ratio in powers / expected)} |")


if __name__ == "__main__":
    main()
