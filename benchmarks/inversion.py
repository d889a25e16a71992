"""How near `facegan invert` comes to photos of people that the model never saw.

    python benchmarks/inversion.py celeba64 data/part-a --aligned 50 --moved 20 --picture local.png

Aligned: held-out faces as they are packed, the whole picture being the face. Moved: held-out faces turned by up to 25
degrees, at 1.2 to 3 times their size, anywhere on a background made of another held-out face, blurred out; nothing says
where the face is. Likeness in dB, attributes kept (of 40, as attributes-net sees them), seconds of one thread. The
picture shows the best, the median and the worst of each, photo beside face: real faces, so keep it.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

import facegan
from facegan import pixels
from facegan.data.packed import DataView, PackedDataset
from facegan.editing.face_search import Frame
from facegan.editing.invert import Inversion, Inverter
from facegan.machine import describe_machine


def moved(face: np.ndarray, behind: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, Frame]:
    """Return uint8 [260, 320, 3]: a face, turned and scaled, somewhere on a background: another picture, upside down
    and blurred, so that the only face in the photo is this one; and where it is."""
    ground = Image.fromarray(behind[::-1]).resize((320, 260)).filter(ImageFilter.GaussianBlur(30))
    side, angle = round(64 * random.uniform(1.2, 3)), random.uniform(-25, 25)
    big = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
    turned = big.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    mask = Image.new("L", (side, side), 255).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    left, top = (random.uniform(0, whole - part) for whole, part in zip(ground.size, turned.size, strict=True))
    ground.paste(turned, (round(left), round(top)), mask)
    return np.asarray(ground), Frame(left + turned.width / 2, top + turned.height / 2, side, -angle)


def _astray(frame: Frame, true: Frame) -> str:
    """Return how far a square lies from where the face is, and whether they show about the same."""
    apart = math.hypot(frame.x - true.x, frame.y - true.y) / true.side
    larger, turned = frame.side / true.side, frame.angle - true.angle
    found = apart < 0.15 and abs(math.log(larger)) < 0.25 and abs(turned) < 12
    return f"{'in place' if found else 'ASTRAY'} ({apart:.2f} sides, {larger:.2f} times, {turned:+.0f} degrees)"


def measure(
    inverter: Inverter, photos: list[np.ndarray], places: list[Frame], steps: int, *, told: bool
) -> list[Inversion]:
    """Invert photos whose faces are at ``places``; ``told``: the inversion knows where."""
    found, seconds = [], []
    for number, (photo, place) in enumerate(zip(photos, places, strict=True)):
        start = time.process_time()
        found.append(inverter.invert(photo, frame=place if told else None, steps=steps))
        seconds.append(time.process_time() - start)
        result = found[-1]
        said = "failed, it says; " if result.failed else ""
        print(
            f"{number}: {result.psnr:.1f} dB, {result.attributes_kept} kept, {seconds[-1]:.1f} s; {said}"
            f"{_astray(result.frame, places[number])}", flush=True,
        )  # fmt: skip
    likeness = sorted(result.psnr for result in found)
    kept = statistics.mean(result.attributes_kept for result in found)
    print(
        f"median {statistics.median(likeness):.1f} dB (from {likeness[0]:.1f} to {likeness[-1]:.1f}), "
        f"{sum(result.failed for result in found)} of {len(likeness)} said to have failed; "
        f"{kept:.1f} of 40 attributes kept; median {statistics.median(seconds):.1f} s of processor time", flush=True,
    )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--aligned", type=int, default=50)
    parser.add_argument("--moved", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine())
    view, random = DataView([PackedDataset.open(options.data)], held_out=True), np.random.default_rng(0)
    faces = view.images(random.permutation(len(view))[: options.aligned + 2 * options.moved])
    inverter = Inverter(facegan.load(options.model))
    groups = []
    if options.aligned:
        whole = Frame(view.resolution / 2, view.resolution / 2, view.resolution)
        places = [whole] * options.aligned
        groups.append(measure(inverter, list(faces[: options.aligned]), places, options.steps, told=True))
    if options.moved:
        pairs = zip(faces[options.aligned :][::2], faces[options.aligned :][1::2], strict=True)
        photos, places = map(list, zip(*(moved(face, behind, random) for face, behind in pairs), strict=True))
        groups.append(measure(inverter, photos, places, options.steps, told=False))
    if options.picture:
        shown = []
        for found in groups:
            ordered = sorted(found, key=lambda result: -result.psnr)
            for result in (ordered[0], ordered[len(ordered) // 2], ordered[-1]):
                shown += [result.photo, result.made]
        pixels.save_png(options.picture, pixels.grid(pixels.enlarge(np.stack(shown), 2), columns=6), None)


if __name__ == "__main__":
    main()
