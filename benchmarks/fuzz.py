"""Damaged and hostile files, thousands of them, for everything that loads a file (Linux).

    python benchmarks/fuzz.py                       # 20,000 inputs for each loader
    python benchmarks/fuzz.py images --inputs 1000

Each input is a real file with pieces changed, cut, repeated or replaced (checksums repaired, so that what lies behind
them is reached). A loader may answer with its result or with a ``UserError`` of one sentence. Anything else is a find:
another exception, more than 2 seconds of computing (or 30 of waiting), more than 512 MiB of address space beyond what
the process had. Hypothesis shrinks a find and prints it; finds become tests.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import facegan
from facegan import recipes
from facegan.attributes import ATTRIBUTE_NAMES
from facegan.config import RunConfig
from facegan.config_changes import with_settings
from facegan.data.celeba import ImagePaths, find_annotations, parse_attributes, parse_numbers
from facegan.data.decode import decode_image, quiet_decoding
from facegan.data.packed import DataView, PackedDataset
from facegan.data.sources import Reader, UnreadableError, find_source
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.networks.keras_file import read_arrays
from facegan.runs.folder import RunFolder
from facegan.runs.overview import overview, reclaimable
from facegan.training.execution_plan import ExecutionPlan, ExecutionRequest
from facegan.training.log import RunLog
from facegan.training.quick_score import QuickReference
from facegan.training.schedule import Schedule
from facegan.training.train import Start, train

SECONDS, WAITING, MEMORY = 2.0, 30.0, 512 << 20


class HangError(Exception):
    """An input took too long."""


@contextmanager
def bounded() -> Iterator[None]:
    """Inside, time and new address space are limited."""

    def hang(*_: object) -> None:
        raise HangError(f"more than {SECONDS} s of computing, or {WAITING} s of waiting")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    timers = {signal.SIGPROF: (signal.ITIMER_PROF, SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, WAITING)}
    before = {number: signal.signal(number, hang) for number in timers}
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        for number, handler in before.items():
            signal.signal(number, handler)


# Inputs.

NASTY = (
    None,
    True,
    -1,
    0,
    2**63,
    10**30,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "\x00",
    "../..",
    [],
    {},
    [[]],
    "9" * 5000,
)


@st.composite
def changed_bytes(draw: st.DrawFn, original: bytes) -> bytes:
    """Draw a file near the original one: up to four edits, at any place."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        length = draw(st.integers(0, 64))
        match draw(st.sampled_from(("flip", "replace", "cut", "drop", "insert", "repeat", "zeros", "number"))):
            case "flip" if content:
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "replace":
                content[at : at + length] = draw(st.binary(max_size=64))
            case "cut":
                del content[at:]
            case "drop":
                del content[at : at + length]
            case "insert":
                content[at:at] = draw(st.binary(max_size=64))
            case "repeat":
                content[at:at] = content[at : at + length] * draw(st.integers(1, 100))
            case "zeros":
                content[at : at + length] = bytes(length)
            case "number":
                size = draw(st.sampled_from((1, 2, 4, 8)))
                value = draw(st.sampled_from((0, 1, (1 << (8 * size - 1)) - 1, (1 << 8 * size) - 1)))
                content[at : at + size] = value.to_bytes(size, draw(st.sampled_from(("little", "big"))))
    return bytes(content)


@st.composite
def changed_json(draw: st.DrawFn, original: bytes) -> bytes:
    """Draw a JSON text near the original: values replaced or taken away at any depth, or changed as bytes."""
    if draw(st.integers(0, 3)) == 0:
        return draw(changed_bytes(original))
    value = json.loads(original)
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.integers(0, 4)) == 0:
                del place[key]
            else:
                place[key] = draw(st.sampled_from(NASTY) | st.integers() | st.text(max_size=20) | st.floats())
            break
    return json.dumps(value).encode()


def changed(name: str, original: bytes) -> st.SearchStrategy[bytes]:
    return changed_json(original) if name.endswith(".json") else changed_bytes(original)


# Loaders: each makes its files once, in a folder, and returns (strategy, check).

Loader = Callable[[Path], tuple[st.SearchStrategy, Callable[[object], None]]]


def one_file_changed(folder: Path, names: list[str]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Draw (name, content): one of these files of a folder, changed."""
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), changed(name, (folder / name).read_bytes()))
    )


@contextmanager
def put(folder: Path, name: str, content: bytes) -> Iterator[None]:
    """Inside, a file of the folder has other content."""
    original = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        yield
    finally:
        (folder / name).write_bytes(original)


def write_data(folder: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    with PackedWriter(folder / "data", resolution=16, capacity=len(images)) as writer:
        writer.write(0, images)
        writer.finish(identities=np.ones(len(images), np.int32))
    return folder / "data"


SMALLEST = {
    "dcgan": ["generator.width=1", "discriminator.width=1"],
    "style-s": [f"{side}.{size}" for side in ("generator", "discriminator") for size in ("width=1", "max_channels=2")],
}


def write_run(folder: Path, name: str = "dcgan") -> Path:
    recipe = with_settings(recipes.recipe(name, 16), [*SMALLEST[name], "attributes=false"])
    schedule = Schedule(images=16, log_every=8, score_count=4)
    requested = ExecutionRequest(threads=1, precision="float32", conv="direct")
    train([write_data(folder)], folder / "run", recipe, start=Start(batch=8), schedule=schedule, requested=requested)
    return folder / "run"


def snapshots(folder: Path, recipe: str = "dcgan"):
    path = RunFolder(write_run(folder, recipe)).latest_snapshot()

    def check(drawn) -> None:
        name, content = drawn
        info = json.loads((path / "snapshot.json").read_bytes())
        if name != "snapshot.json":
            info["sha256"][name] = hashlib.sha256(content).hexdigest()
        with put(path, "snapshot.json", json.dumps(info).encode()), put(path, name, content):
            model = facegan.load(path)
            assert model.discriminator is not None
            assert model.sample(1).shape[0] == 1

    return one_file_changed(path, ["snapshot.json", "ema.safetensors", "discriminator.safetensors"]), check


def runs(folder: Path):
    run = RunFolder(write_run(folder))
    data = PackedDataset.open(folder / "data").content_hash
    run.incidents.write_text('{"time": "2026", "kind": "variety", "nimg": 8, "action": "warn", "rollbacks": 0}\n')

    def check(drawn) -> None:
        name, content = drawn
        with put(run.path, name, content):
            overview(run)
            reclaimable(run)
            QuickReference.load(run.quick_reference, data)
            if name == "log.jsonl":
                RunLog(run, 16).close()
            facegan.config.from_dict(RunConfig, run.read().get("config"), "run.json")
            ExecutionPlan.from_dict(run.read().get("choices"), "run.json")

    names = ["run.json", "log.jsonl", "incidents.jsonl", "status.json", "quick-reference.safetensors"]
    return one_file_changed(run.path, names), check


def packed(folder: Path):
    path = write_data(folder)
    small = replace(recipes.recipe("dcgan", 16))
    assert small.resolution == 16

    def check(drawn) -> None:
        with put(path, *drawn):
            dataset = PackedDataset.open(path)
            dataset.verify()
            assert len(dataset.files) == len(dataset)
            DataView([dataset]).images(np.array([0]))

    names = ["dataset.json", "images.npy", "attributes.npy", "identities.npy", "partitions.npy", "names.txt"]
    return one_file_changed(path, names), check


def annotations(folder: Path):
    rows = [f"{number:06d}.jpg" for number in range(1, 6)]
    attributes = "\n".join(["5", " ".join(ATTRIBUTE_NAMES), *(f"{row} " + " 1 -1" * 20 for row in rows)])
    table = "\n".join(
        [",".join(("image_id", *ATTRIBUTE_NAMES)), *(f"{row}," + ",".join(["1", "-1"] * 20) for row in rows)]
    )
    numbers = "\n".join(f"{row} {number}" for number, row in enumerate(rows))
    words = table.replace(",1", ",True").replace(",-1", ",no").replace(",", ";")
    originals = {"attributes": attributes, "csv": table, "numbers": numbers, "words": words}

    def check(drawn) -> None:
        name, content = drawn
        if name == "numbers":
            parse_numbers("identity_CelebA.txt", content, "identities").match(ImagePaths(rows))
        else:
            parse_attributes("list_attr_celeba.txt", content).match(ImagePaths(rows))

    inputs = st.sampled_from(sorted(originals)).flatmap(
        lambda name: st.tuples(st.just(name), changed_bytes(originals[name].encode()))
    )
    return inputs, check


def images(folder: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    formats = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000")
    originals = {}
    for name in formats:
        file = io.BytesIO()
        Image.fromarray(pixels).resize((60, 74)).save(file, format=name)
        originals[name] = file.getvalue()

    def check(content) -> None:
        with quiet_decoding():
            image, findings = decode_image(content, 16, 148)
        assert image is not None or findings
        assert image is None or image.shape == (16, 16, 3)

    return st.sampled_from(formats).flatmap(lambda name: changed_bytes(originals[name])), check


def zips(folder: Path):
    file = io.BytesIO()
    image = io.BytesIO()
    Image.fromarray(np.zeros((218, 178, 3), np.uint8)).save(image, format="PNG")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"img_align_celeba/{number:06d}.png", image.getvalue())
        archive.writestr("list_attr_celeba.txt", "1\n" + " ".join(ATTRIBUTE_NAMES) + "\n000000.png" + " 1" * 40)
    path = folder / "celeba.zip"

    def check(content) -> None:
        path.write_bytes(content)
        listing = find_source(path)
        find_annotations(path, listing)
        with Reader(path) as reader:
            for image_file in listing.images:
                with quiet_decoding(), suppress(UnreadableError):
                    decode_image(reader.read(image_file), 16, 148)

    return changed_bytes(file.getvalue()), check


def keras(folder: Path):
    stored = Path(__file__).parents[1] / "tests" / "keras_parity"
    originals = [(stored / name).read_bytes() for name in ("small.weights.h5", "small.h5")]
    names = [f"dense{number}/{part}" for number in ("", "_1") for part in ("kernel", "bias")]
    path, most = folder / "changed.h5", 10_000
    import h5py

    assert h5py.version.hdf5_version  # loaded once, here: each reader is a fork of this process

    def check(content) -> None:
        """Read as ``facegan import-keras`` does: HDF5 may crash or hang, in a process of its own."""
        path.write_bytes(content)
        crash = in_child(lambda: read_arrays(path, names, most))
        if crash:
            raise UserError(f"is damaged: reading it ended with signal {crash}")

    return st.sampled_from(originals).flatmap(changed_bytes), check


def parquet(folder: Path):
    import pyarrow
    import pyarrow.parquet

    image = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)).save(image, format="PNG")
    images = [{"bytes": image.getvalue(), "path": f"{number}.png"} for number in range(5)]
    attributes = {name: [1, -1, 1, 0, -1] for name in ATTRIBUTE_NAMES}
    lists = {"attributes": [[0, 1] * 20] * 5, "celeb_id": [1, 2, 3, 4, 5]}
    path, originals = folder / "train-00000-of-00001.parquet", []
    for columns, compression in ((attributes, "snappy"), (lists, "none"), ({"split": ["test"] * 5}, "zstd")):
        table = pyarrow.table({"image": images, **columns})
        pyarrow.parquet.write_table(table, path, row_group_size=2, compression=compression)
        originals.append(path.read_bytes())

    def check(content) -> None:
        path.write_bytes(content)  # a crash leaves it there
        listing = find_source(path)
        with Reader(listing.source) as reader:
            for image_file in listing.images[:20]:
                with quiet_decoding(), suppress(UnreadableError):
                    decode_image(reader.read(image_file), 16, 148)

    return st.sampled_from(originals).flatmap(changed_bytes), check


def in_child(read: Callable[[], object]) -> int:
    """Call ``read`` in a fork of this process; return the number of the signal that ended it, 0 if it came back.

    Raises:
        UserError: ``read`` raised one.
    """
    child = os.fork()
    if not child:
        code = 3
        with suppress(BaseException):
            signal.setitimer(signal.ITIMER_REAL, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            try:
                read()
                code = 0
            except UserError:
                code = 2
        os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if os.WEXITSTATUS(status) == 2:
        raise UserError("is no such file")
    assert os.WEXITSTATUS(status) == 0, "the reader met an exception that it does not know"
    return 0


LOADERS: dict[str, Loader] = {
    "snapshots": snapshots, "style-snapshots": partial(snapshots, recipe="style-s"), "runs": runs, "packed": packed,
    "annotations": annotations, "images": images, "zips": zips, "keras": keras,
    "parquet": parquet,
}  # fmt: skip


def fuzz(name: str, inputs: int, folder: Path, *, seed: int | None = None) -> dict[str, int]:
    """Give a loader so many inputs; return how many it took and refused.

    Raises:
        Exception: a find, shrunk by hypothesis.
    """
    strategy, check = LOADERS[name](folder)
    counts = {"taken": 0, "refused": 0}

    @settings(max_examples=inputs, deadline=None, database=None, suppress_health_check=list(HealthCheck),
              derandomize=seed is None, print_blob=False)  # fmt: skip
    @given(strategy)
    def one(drawn: object) -> None:
        with bounded():
            try:
                check(drawn)
            except UserError as error:
                sentence = str(error)
                assert sentence and len(sentence) < 2000, f"a long answer: {sentence[:200]}"
                counts["refused"] += 1
                return
        counts["taken"] += 1

    one()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loader", nargs="*", default=list(LOADERS), help=", ".join(LOADERS))
    parser.add_argument("--inputs", type=int, default=20_000)
    arguments = parser.parse_args()
    if len(arguments.loader) > 1:  # each in a process of its own, so that a crash is one loader's
        codes = [
            subprocess.run([sys.executable, __file__, name, f"--inputs={arguments.inputs}"]).returncode
            for name in arguments.loader
        ]
        raise SystemExit(max(abs(code) for code in codes))
    os.environ["OMP_NUM_THREADS"] = "1"
    folder, started = Path(tempfile.mkdtemp(prefix="facegan-fuzz-")), time.monotonic()
    try:
        counts = fuzz(arguments.loader[0], arguments.inputs, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{arguments.loader[0]}: {counts['taken']:,} taken, {counts['refused']:,} refused, nothing else; "
          f"{time.monotonic() - started:.0f} s, peak {peak:,.0f} MiB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
