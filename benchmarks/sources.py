"""The forms in which people have CelebA, made from the official one and packed: the same bytes, and how fast.

    python benchmarks/sources.py CelebA --out forms
    python benchmarks/sources.py CelebA --out forms --limit 2000 --rounds 3

CelebA is the folder with img_align_celeba (or its zip) and the three .txt files. Made below --out: Kaggle's layout,
without identities, and the four Parquet copies that Hugging Face has (flwrlabs, eurecom-ds, tpremoli, nielsr). Each is
packed in turn with the folder of JPEGs; pixels, and the labels that a form has, must be the folder's.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.packed import PackedDataset
from facegan.data.prepare import prepare
from facegan.data.sources import Reader, find_source
from facegan.machine import describe_machine

SPLITS = ("train", "valid", "test")
ROWS_A_FILE, ROWS_A_GROUP = 4096, 256
FORMS = ("flwrlabs", "eurecom-ds", "tpremoli", "nielsr")


def write_official(source: Path, folder: Path, dataset: PackedDataset, pictures: dict[str, bytes]) -> None:
    """Write the pictures as a folder beside the official tables."""
    (folder / "img_align_celeba").mkdir(parents=True)
    for name, data in pictures.items():
        (folder / "img_align_celeba" / name).write_bytes(data)
    rows = zip(dataset.files, dataset.attributes, dataset.partitions, dataset.identities, strict=True)
    texts: dict[str, list[str]] = {"list_attr_celeba": [f"{len(dataset)}", " ".join(ATTRIBUTE_NAMES)]}
    texts |= {"list_eval_partition": [], "identity_CelebA": []}
    for name, attributes, partition, identity in rows:
        texts["list_attr_celeba"].append(f"{name} {' '.join(map(str, attributes.tolist()))}")
        texts["list_eval_partition"].append(f"{name} {partition}")
        texts["identity_CelebA"].append(f"{name} {identity}")
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def write_kaggle(official: Path, folder: Path, dataset: PackedDataset) -> None:
    """Write Kaggle's layout: the folder twice, tables as CSV, no identities."""
    (folder / "img_align_celeba").mkdir(parents=True)
    (folder / "img_align_celeba" / "img_align_celeba").symlink_to((official / "img_align_celeba").resolve())
    with (folder / "list_attr_celeba.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", *ATTRIBUTE_NAMES])
        writer.writerows([name, *row.tolist()] for name, row in zip(dataset.files, dataset.attributes, strict=True))
    with (folder / "list_eval_partition.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "partition"])
        writer.writerows(zip(dataset.files, dataset.partitions.tolist(), strict=True))


def columns(form: str, dataset: PackedDataset, rows: np.ndarray, pictures: dict[str, bytes]) -> dict[str, list]:
    """Return {column: values} of some rows as a copy has them."""
    names = [dataset.files[row] for row in rows]
    found: dict[str, list] = {"image": [{"bytes": pictures[name], "path": name} for name in names]}
    signs = dataset.attributes[rows]
    match form:
        case "flwrlabs":
            found["celeb_id"] = dataset.identities[rows].tolist()
            found |= {name: (signs[:, place] > 0).tolist() for place, name in enumerate(ATTRIBUTE_NAMES)}
        case "eurecom-ds":
            found["attributes"] = (signs > 0).astype(int).tolist()
        case "tpremoli":
            found["prompt_string"] = ["A photo of a face."] * len(names)
            found |= {name: signs[:, place].tolist() for place, name in enumerate(ATTRIBUTE_NAMES)}
    return found


def write_parquet(form: str, folder: Path, dataset: PackedDataset, pictures: dict[str, bytes]) -> None:
    """Write a copy as Hugging Face has it: a few files a split, whose name is in theirs."""
    (folder / "data").mkdir(parents=True)
    for partition, split in enumerate(SPLITS):
        rows = np.flatnonzero(dataset.partitions == partition)
        parts = np.array_split(rows, max(1, -(-len(rows) // ROWS_A_FILE))) if len(rows) else []
        for number, part in enumerate(parts):
            file = folder / "data" / f"{split}-{number:05d}-of-{len(parts):05d}.parquet"
            table = pyarrow.table(columns(form, dataset, part, pictures))
            pyarrow.parquet.write_table(table, file, row_group_size=ROWS_A_GROUP)


def differences(form: str, found: PackedDataset, expected: PackedDataset) -> Iterator[str]:
    """Yield what differs of what the form has."""
    order = [{name: row for row, name in enumerate(expected.files)}[name] for name in found.files]
    if sorted(order) != list(range(len(expected))):
        yield "other images"
        return
    has = {"kaggle": "ap", "flwrlabs": "aip", "eurecom-ds": "ap", "tpremoli": "ap", "nielsr": "p", "folder": "aip"}[
        form
    ]
    for letter, name in (("a", "attributes"), ("i", "identities"), ("p", "partitions")):
        wanted = np.asarray(getattr(expected, name))[order]
        if letter == "a" and form in ("flwrlabs", "eurecom-ds"):  # true or false: nothing is unknown there
            wanted = np.where(wanted > 0, 1, -1)
        if letter in has and not np.array_equal(getattr(found, name), wanted):
            yield name
    if not np.array_equal(found.images, np.asarray(expected.images)[order]):
        yield "pixels"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    listing = find_source(options.source)
    with tempfile.TemporaryDirectory() as scratch:
        expected = prepare(options.source, Path(scratch, "expected"), limit=options.limit).dataset
        with Reader(listing.source) as reader:
            pictures = {file.name: reader.read(file) for file in listing.images[: options.limit]}
        write_official(options.source, options.out / "folder", expected, pictures)
        write_kaggle(options.out / "folder", options.out / "kaggle", expected)
        for form in FORMS:
            write_parquet(form, options.out / form, expected, pictures)
        speeds: dict[str, list[float]] = {}
        for number in range(options.rounds):
            for form in ("folder", "kaggle", *FORMS):
                start = time.perf_counter()
                found = prepare(options.out / form, Path(scratch, f"{form}-{number}")).dataset
                speeds.setdefault(form, []).append(len(found) / (time.perf_counter() - start))
                wrong = list(differences(form, found, expected))
                if number == 0:
                    held = f"{int(found.held_out().sum()):,} held out ({found.hold_out})"
                    print(
                        f"{form:<11} {'DIFFERS: ' + ', '.join(wrong) if wrong else 'the same bytes'}; {held}",
                        flush=True,
                    )
    folder = np.array(speeds["folder"])
    print(f"{len(expected):,} images; medians of {options.rounds} rounds, in turn:")
    for form, values in speeds.items():
        ratio = statistics.median((np.array(values) / folder).tolist())
        print(f"  {form:<11} {statistics.median(values):7.0f} images/s   {ratio:5.2f} of the folder's")
    print(f"  {describe_machine()}")


if __name__ == "__main__":
    main()
