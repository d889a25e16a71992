"""Faces as tar shards in WebDataset's layout, made by one process or shared out among many.

A shard is written beside its place, synced, and renamed. Beside ``faces-00003.tar`` lies ``faces-00003.tar.json``,
which says what made it, which faces it holds, and its sha256; it is there before the shard, so that a shard without one
is somebody else's. When the last shard is whole, ``faces-manifest.json`` lists all.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.bulk.job import Face, Job, Progress, Tell, refuse_other_settings
from facegan.bulk.names import FORMATS, NUMBER, check_pattern
from facegan.bulk.tar_file import HashedTar
from facegan.errors import UserError, brief, check_not_denied
from facegan.files import LockedError, file_sha256, is_taken, locked, read_json, replaced, write_text
from facegan.pixels import encode_png

FORMAT_VERSION = 1
_FACES_A_REPORT = 64
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Shards:
    """A job's faces cut into shards of ``size`` faces, the last one perhaps smaller.

    ``pattern``: the shards' path, with ``%05d`` or the like in the file's name; ``format``: png or npy.

    Raises:
        UserError: the pattern is none, has too few digits, or a value is out of range.
    """

    job: Job
    pattern: Path
    size: int = 10_000
    format: str = "png"

    def __post_init__(self) -> None:
        check_pattern(self.pattern)
        if self.format not in FORMATS:
            raise UserError(f"--format {self.format}: choose {' or '.join(FORMATS)}")
        if self.size < 1:
            raise UserError(f"--shard-size {self.size}: give at least 1")
        digits = int(NUMBER.findall(self.pattern.name)[0])
        if self.count > 10**digits:
            raise UserError(
                f"--out {self.pattern} has room for {10**digits:,} shards, and these are {self.count:,}: write "
                f"%0{len(str(self.count - 1))}d, or give a larger --shard-size"
            )

    @property
    def count(self) -> int:
        """Number of shards."""
        return -(-self.job.count // self.size)

    def share(self, number: int, whole: int) -> list[int]:
        """Return the shards of share ``number`` (from 1) of ``whole``: every whole-th one."""
        return list(range(number - 1, self.count, whole))

    def path(self, shard: int) -> Path:
        return self.pattern.with_name(NUMBER.sub(lambda found: f"{shard:0{found[1]}d}", self.pattern.name))

    def description(self, shard: int) -> Path:
        """Return the file that describes a shard."""
        path = self.path(shard)
        return path.with_name(f"{path.name}.json")

    @property
    def manifest(self) -> Path:
        """The file that lists all shards."""
        return self.pattern.with_name(NUMBER.sub("manifest", self.pattern.name).removesuffix(".tar") + ".json")

    def places(self, shard: int) -> range:
        """Return the places of a shard's faces in the job."""
        return range(shard * self.size, min((shard + 1) * self.size, self.job.count))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides the shards' bytes."""
        return self.job.settings | {"shard_size": self.size, "format": self.format}


@dataclass(frozen=True)
class Made:
    """What ``make`` did: how many shards it made, how many of its share were whole already, and which are missing in
    the whole job: those of other shares."""

    made: int
    kept: int
    missing: list[int]


def make(
    shards: Shards,
    share: list[int],
    *,
    force: bool = False,
    progress: Progress = lambda *_: None,
    tell: Tell = lambda _: None,
) -> Made:
    """Make the shards of a share that are not there yet, and list all when none is missing.

    A damaged shard is made again, and told; so is, with ``force``, one of other settings, or a stranger's file. A shard
    that another process is making is left to it.

    Raises:
        UserError: something else lies where a shard goes, or a shard of other settings.
        OSError: the disk is full, or may not be written.
    """
    _check_what_is_there(shards, force, tell)
    absent = [shard for shard in share if not is_taken(shards.path(shard)) or _description(shards, shard) is None]
    planned = sum(len(shards.places(shard)) for shard in absent)
    made, kept, done = 0, 0, 0
    for shard in share:
        places = shards.places(shard)
        with _held(shards, shard) as held:
            if not held:
                tell(f"{shards.path(shard).name} is being made by another process, and left to it")
                planned -= len(places) * (shard in absent)
            elif _is_whole(shards, shard, tell):
                kept += 1
                planned -= len(places) * (shard in absent)
            else:
                planned += len(places) * (shard not in absent)
                _write(shards, shard, partial(_add, progress, done, planned))
                made, done = made + 1, done + len(places)
                tell(f"{shards.path(shard).name}: {len(places):,} faces")
    return Made(made, kept, _list_all(shards))


def _add(progress: Progress, done: int, planned: int, here: int) -> None:
    progress(done + here, planned)


def _settings_in(file: Path, advice: str) -> Any:
    """Return the settings that a description or manifest was written with; ``advice``: what to do if it was not."""
    try:
        return read_json(file)["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        check_not_denied(error)
        raise UserError(f"{file} is damaged, or something else ({brief(error)}), {advice}") from None


def _check_what_is_there(shards: Shards, force: bool, tell: Tell) -> None:
    """Refuse files in the shards' and the manifest's places that this job did not make."""
    if not force and is_taken(shards.manifest):
        advice = "where the shards are to be listed: choose another --out, or add --force to overwrite it"
        refuse_other_settings(_settings_in(shards.manifest, advice), shards.settings, str(shards.manifest))
    for shard in range(shards.count):
        path, file = shards.path(shard), shards.description(shard)
        if force or not (is_taken(path) or is_taken(file)):
            continue
        if not is_taken(file):
            raise UserError(
                f"{path} is there without {file.name}, so that it was not made by this command: choose another --out, "
                "or add --force to overwrite it"
            )
        advice = f"so that {path.name} cannot be checked: remove both, or add --force to make them again"
        refuse_other_settings(_settings_in(file, advice), shards.settings, str(path))
    name = NUMBER.sub(r"(\\d+)", re.escape(shards.pattern.name).replace("\\%", "%"))
    numbers = [re.fullmatch(name, file.name) for file in shards.pattern.parent.glob("*.tar")]
    others = [found[0] for found in numbers if found and int(found[1]) >= shards.count]
    if others and not force:
        raise UserError(
            f"{shards.pattern.parent} holds {len(others):,} shards beyond the {shards.count:,} of this command, such "
            f"as {min(others)}: choose another --out, or add --force to leave them there"
        )
    if others:
        tell(f"{len(others):,} shards beyond the {shards.count:,} of this command are still there: {min(others)}")


@contextmanager
def _held(shards: Shards, shard: int) -> Iterator[bool]:
    """Hold a shard for this process; yields False where another one makes it."""
    path = shards.path(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as stack:
        try:
            alone = stack.enter_context(locked(lock))
        except LockedError:
            yield False
            return
        if alone:
            for left_over in path.parent.glob(f".{path.name}*.partial"):  # of a process that was killed
                left_over.unlink(missing_ok=True)
        yield True
        with suppress(OSError):  # Windows removes no open file
            lock.unlink()  # who takes it now finds the shard whole


def _description(shards: Shards, shard: int) -> dict[str, Any] | None:
    """Return what is said of a shard of these settings, None if nothing is."""
    try:
        found = read_json(shards.description(shard))
    except (OSError, ValueError) as error:
        check_not_denied(error)
        return None
    return found if isinstance(found, dict) and found.get("settings") == shards.settings else None


def _is_whole(shards: Shards, shard: int, tell: Tell) -> bool:
    """Return whether a shard is there with the bytes that its description says; a damaged one is told."""
    path, known = shards.path(shard), _description(shards, shard)
    if known is None or not is_taken(path):
        return False
    if path.is_file() and path.stat().st_size == known.get("bytes") and file_sha256(path) == known.get("sha256"):
        return True
    tell(f"{path.name} is damaged (its bytes are not those of {shards.description(shard).name}): made again")
    return False


def _write(shards: Shards, shard: int, report: Callable[[int], None]) -> None:
    """Make a shard: whole in its place, described beside it, or not at all."""
    places = shards.places(shard)
    with replaced(shards.path(shard)) as beside:
        with beside.open("wb") as file:
            tar = HashedTar(file)
            for done, face in enumerate(shards.job.faces(places.start, places.stop), 1):
                for suffix, content in members(face, shards.job, shards.format):
                    tar.add(f"{face.number:0{shards.job.digits}d}.{suffix}", content)
                if done % _FACES_A_REPORT == 0 or done == len(places):
                    report(done)
            sha256 = tar.finish()
        description = {
            "format_version": FORMAT_VERSION, **_entry(shards, shard, tar.size, sha256), "settings": shards.settings
        }  # fmt: skip
        write_text(shards.description(shard), json.dumps(description, indent=1) + "\n")


def _entry(shards: Shards, shard: int, size: int, sha256: str) -> dict[str, Any]:
    places = shards.places(shard)
    return {
        "file": shards.path(shard).name, "first": shards.job.first + places.start, "count": len(places), "bytes": size,
        "sha256": sha256,
    }  # fmt: skip


def members(face: Face, job: Job, kind: str) -> Iterator[tuple[str, bytes]]:
    """Yield (suffix, content) of the files of a face: the picture, and what is known of it."""
    provenance = job.provenance.of_face(face.place)
    if kind == "npy":
        array = io.BytesIO()
        np.lib.format.write_array(array, np.ascontiguousarray(face.image_HWC), allow_pickle=False)
        yield "npy", array.getvalue()
    else:
        yield "png", encode_png(face.image_HWC, provenance)
    known: dict[str, Any] = {"number": face.number, "seed": job.seed}
    if face.said_A is not None:
        known["attributes"] = dict(
            zip(ATTRIBUTE_NAMES, (round(value, 6) + 0.0 for value in face.said_A.tolist()), strict=True)
        )
    if face.score is not None:
        known["score"] = round(face.score, 6)
    yield "json", json.dumps(known | {"provenance": provenance.to_dict()}).encode()


def _list_all(shards: Shards) -> list[int]:
    """Write the manifest of all shards if all are there; return those that are missing."""
    entries, missing = [], []
    for shard in range(shards.count):
        known, path = _description(shards, shard), shards.path(shard)
        if known is None or not path.is_file() or path.stat().st_size != known.get("bytes"):
            missing.append(shard)
        else:
            entries.append(_entry(shards, shard, known["bytes"], str(known.get("sha256"))))
    if not missing:
        document = {"format_version": FORMAT_VERSION, "count": shards.job.count, "settings": shards.settings}
        write_text(shards.manifest, json.dumps(document | {"shards": entries}, indent=1) + "\n")
    return missing
