"""Packed datasets as one small folder of JPEG or AVIF sheets, for a machine that only a little can be carried to.

    python benchmarks/jpeg_pack.py pack data/part-a data/part-b --out faces-pack --megabytes 40
    python benchmarks/jpeg_pack.py pack data/part-a data/part-b --out faces-pack --megabytes 45 --codec avif
    python benchmarks/jpeg_pack.py unpack faces-pack --out data

A sheet holds 256 faces: the headers of 256 files would weigh more than is saved by a lower quality. Colours are kept
at full resolution and faces are as wide as a whole number of JPEG's blocks, so that no face reaches into another. AVIF
takes a third less for the same error and minutes to write; its filters may cross from a face into its neighbour, and
Pillow's leaves colours half a level off (measured: -0.43, 0.47 and -0.51 on the average of 22,270 faces). The
quality is the best one, 95 at most, with which everything fits. Labels, identities, partitions and names are as they
were, so who is held out stays held out; pixels are not, so the unpacked dataset has a content hash of its own.

The folder holds photographs of real people: never publish it.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegan.data.packed import PackedDataset
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.files import NewFolder, read_json

FORMAT_VERSION = 1
INFO_FILE, SHEETS_FILE, LABELS_FILE = "pack.json", "sheets.bin", "labels.npz"
ACROSS = 16
BEST, WORST = 95, 40
CODECS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG", "subsampling": 0, "optimize": True, "progressive": True},
    "avif": {"format": "AVIF", "subsampling": "4:4:4", "speed": 6},
}
LABELS = ("attributes", "identities", "partitions")


@dataclass(frozen=True)
class Packing:
    """What became of some datasets."""

    quality: int
    bytes: int
    """Of the whole folder."""
    psnr: float
    """dB, of the mean squared error of all pixels."""
    faces: int


def sheets(dataset: PackedDataset) -> Iterator[np.ndarray]:
    """Yield a dataset's faces as sheets, uint8 [16 R, 16 R, 3]; the last one is filled up with its last face."""
    side, each = dataset.resolution, ACROSS * ACROSS
    for start in range(0, len(dataset), each):
        row_N = np.minimum(np.arange(start, start + each), len(dataset) - 1)
        face_NHWC = np.asarray(dataset.images)[row_N]
        yield face_NHWC.reshape(ACROSS, ACROSS, side, side, 3).swapaxes(1, 2).reshape(ACROSS * side, ACROSS * side, 3)


def faces_of(sheet: np.ndarray) -> np.ndarray:
    """Return uint8 [256, R, R, 3] of a sheet."""
    side = len(sheet) // ACROSS
    return sheet.reshape(ACROSS, side, ACROSS, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)


def encoded(sheet: np.ndarray, quality: int, codec: str = "jpeg") -> bytes:
    """Return a sheet as one of ``CODECS``."""
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, quality=quality, **CODECS[codec])
    return file.getvalue()


def decoded(content: bytes) -> np.ndarray:
    """Return the sheet of a JPEG or AVIF."""
    return np.asarray(Image.open(io.BytesIO(content), formats=["JPEG", "AVIF"]).convert("RGB"))


def pack(data: Sequence[Path], out: Path, limit: int, codec: str = "jpeg") -> Packing:
    """Write datasets as a folder of at most ``limit`` bytes.

    Raises:
        UserError: ``out`` exists, something is no packed dataset or of a width that is no multiple of 8, or nothing
            fits into so few bytes.
    """
    datasets = [PackedDataset.open(path) for path in data]
    for dataset in datasets:
        if dataset.resolution % 8:
            raise UserError(f"{dataset.path}: faces of {dataset.resolution} px; choose a multiple of JPEG's 8 px")
    with NewFolder(out) as partial:
        labels = {
            f"{name}{number}": np.asarray(getattr(dataset, name))
            for number, dataset in enumerate(datasets)
            for name in LABELS
        }
        with (partial.folder / LABELS_FILE).open("wb") as file:
            np.savez_compressed(file, **labels)  # type: ignore[arg-type]
        described = [_described(dataset) for dataset in datasets]
        room = limit - (partial.folder / LABELS_FILE).stat().st_size - len(json.dumps(described)) - 4096
        quality, contents = _fitting(datasets, room, codec)
        (partial.folder / SHEETS_FILE).write_bytes(b"".join(contents))
        info = {
            "format_version": FORMAT_VERSION,
            "quality": quality,
            "sheet_bytes": [len(content) for content in contents],
            "datasets": described,
        }
        (partial.folder / INFO_FILE).write_text(json.dumps(info) + "\n", encoding="utf-8")
        size = sum(file.stat().st_size for file in partial.folder.iterdir())
        originals = (sheet for dataset in datasets for sheet in sheets(dataset))
        errors = [
            np.square(sheet.astype(np.float32) - decoded(content)).mean()
            for sheet, content in zip(originals, contents, strict=True)
        ]
        partial.put_in_place()
    faces = sum(len(dataset) for dataset in datasets)
    return Packing(quality, size, float(10 * np.log10(255**2 / max(1e-9, float(np.mean(errors))))), faces)


def _described(dataset: PackedDataset) -> dict[str, Any]:
    return {
        "name": dataset.path.name, "count": len(dataset), "resolution": dataset.resolution, "names": dataset.files,
        "content_hash": dataset.content_hash,
    }  # fmt: skip


def _fitting(datasets: Sequence[PackedDataset], room: int, codec: str) -> tuple[int, list[bytes]]:
    """Return the best quality with which all sheets fit, and the sheets."""
    some = [sheet for dataset in datasets for sheet in list(sheets(dataset))[::8]]
    share = sum(len(range(0, len(dataset), ACROSS * ACROSS)) for dataset in datasets) / len(some)
    quality = BEST
    while quality > WORST and share * sum(len(encoded(sheet, quality, codec)) for sheet in some) > 1.02 * room:
        quality -= 1
    while quality >= WORST:
        contents = [encoded(sheet, quality, codec) for dataset in datasets for sheet in sheets(dataset)]
        if sum(map(len, contents)) <= room:
            return quality, contents
        quality -= 1
    raise UserError(f"--megabytes: {sum(map(len, contents)) / 1e6:,.1f} MB are needed even at quality {WORST}")


def unpack(folder: Path, out: Path) -> list[Path]:
    """Write the datasets of a folder that ``pack`` wrote into ``out``; return their folders.

    Raises:
        UserError: the folder is no pack, or damaged; or a dataset is there already.
    """
    try:
        info = read_json(folder / INFO_FILE)
        described, sizes = info["datasets"], info["sheet_bytes"]
        with (folder / LABELS_FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            labels = dict(arrays)
        made = []
        with (folder / SHEETS_FILE).open("rb") as file:
            place = iter(sizes)
            for number, dataset in enumerate(described):
                made.append(_unpacked(file, place, dataset, {name: labels[f"{name}{number}"] for name in LABELS}, out))
    except (OSError, ValueError, KeyError, TypeError, StopIteration, zipfile.BadZipFile) as error:
        raise UserError(f"{folder} is no pack, or damaged ({error!r:.120}): pack it again") from error
    return made


def _unpacked(
    file: io.BufferedReader, sizes: Iterator[int], described: dict[str, Any], labels: dict[str, np.ndarray], out: Path
) -> Path:
    count, side, each = described["count"], described["resolution"], ACROSS * ACROSS
    path = out / Path(described["name"]).name
    with PackedWriter(path, resolution=side, capacity=count) as writer:
        for start in range(0, count, each):
            sheet = decoded(file.read(next(sizes)))
            if sheet.shape != (ACROSS * side, ACROSS * side, 3):
                raise ValueError(f"a sheet is {list(sheet.shape)}")
            writer.write(start, faces_of(sheet)[: count - start])
        writer.finish(files=described["names"], description={"jpeg_of": described["content_hash"]}, **labels)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pack", "unpack"])
    parser.add_argument("sources", type=Path, nargs="+", help="packed datasets; or one pack")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--codec", choices=CODECS, default="jpeg")
    arguments = parser.parse_args()
    try:
        if arguments.what == "unpack":
            for path in (path for source in arguments.sources for path in unpack(source, arguments.out)):
                print(path)
            return
        made = pack(arguments.sources, arguments.out, int(arguments.megabytes * 1e6), arguments.codec)
    except UserError as error:
        parser.error(str(error))
    codec = arguments.codec.upper()
    print(f"{made.faces:,} faces, {made.bytes / 1e6:.1f} MB, {codec} quality {made.quality}, PSNR {made.psnr:.2f} dB")


if __name__ == "__main__":
    main()
