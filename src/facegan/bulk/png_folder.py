"""A folder with a PNG for each face, which a killed command goes on with.

``.made.json`` in it says what made the faces. Above ``MOST_IN_A_FOLDER`` faces, each thousand has a folder of its own:
``000/000123.png``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from facegan.bulk.job import Face, Job, Progress, Tell, refuse_other_settings
from facegan.bulk.names import DESCRIPTION
from facegan.errors import UserError, brief, check_not_denied
from facegan.files import LockedError, is_taken, locked, read_json, write_text
from facegan.pixels import save_png
from facegan.sampling.sampler import INTERNAL_BATCH

MOST_IN_A_FOLDER = 100_000
_THOUSAND = 1000
_LOCK = ".facegan.lock"
_END = b"IEND\xaeB`\x82"
"""The last bytes of every PNG."""


@dataclass(frozen=True)
class PngFolder:
    """Where the faces of a job go."""

    job: Job
    path: Path

    @property
    def split(self) -> bool:
        """Whether each thousand has a folder of its own."""
        return self.job.count > MOST_IN_A_FOLDER

    def name(self, number: int) -> str:
        """Return the name of a face's file, relative to the folder."""
        digits = self.job.digits
        thousand = f"{number // _THOUSAND:0{max(1, digits - 3)}d}/" if self.split else ""
        return f"{thousand}{number:0{digits}d}.png"

    def is_whole(self, place: int) -> bool:
        """Return whether the file of the face at ``place`` is there to its end."""
        try:
            with (self.path / self.name(self.job.first + place)).open("rb") as file:
                file.seek(-len(_END), 2)
                return file.read() == _END
        except OSError:  # it is not there, or is empty
            return False


def check(folder: PngFolder, force: bool) -> bool:
    """Return whether a folder holds faces of this job, to be gone on with.

    Raises:
        UserError: it holds anything else, and is not to be overwritten.
    """
    path = folder.path
    if not is_taken(path) or (path.is_dir() and not any(file.name != _LOCK for file in path.iterdir())):
        return False
    file = path / DESCRIPTION
    if force or not file.is_file():
        if not force:
            raise UserError(f"{path} exists already: choose another --out, or add --force to overwrite it")
        return False
    try:
        found = read_json(file)["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        check_not_denied(error)
        raise UserError(
            f"{file} is damaged ({brief(error)}), so that nobody knows what made these faces: choose another --out, or "
            "add --force to overwrite them"
        ) from None
    refuse_other_settings(found, folder.job.settings, str(path))
    return True


def write(
    folder: PngFolder,
    *,
    force: bool = False,
    seen: Callable[[str, Face], None] = lambda *_: None,
    progress: Progress = lambda *_: None,
    tell: Tell = lambda _: None,
) -> int:
    """Make the faces that are not there yet, and return how many those are; ``seen`` gets each new one, with its name.

    With ``force``, files of the same names are removed first.

    Raises:
        UserError: as ``check``, or another process is writing there.
        OSError: the disk is full, or may not be written.
    """
    job, path = folder.job, folder.path
    path.mkdir(parents=True, exist_ok=True)
    lock = path / _LOCK
    try:
        with locked(lock):
            goes_on = check(folder, force)
            if goes_on:
                for left_over in path.glob("*/.*.png.*.partial" if folder.split else ".*.png.*.partial"):
                    left_over.unlink(missing_ok=True)  # of a process that was killed
            else:
                _begin(folder, tell)
            batches = [range(at, min(at + INTERNAL_BATCH, job.count)) for at in range(0, job.count, INTERNAL_BATCH)]
            absent = [sum(not (goes_on and folder.is_whole(place)) for place in batch) for batch in batches]
            made, whole = 0, sum(absent)
            for batch in (batch for batch, number in zip(batches, absent, strict=True) if number):
                for face in job.faces(batch.start, batch.stop):
                    if goes_on and folder.is_whole(face.place):
                        continue
                    name = folder.name(face.number)
                    save_png(path / name, face.image_HWC, job.provenance.of_face(face.place))
                    seen(name, face)
                    made += 1
                progress(made, whole)
            with suppress(OSError):  # Windows removes no open file
                lock.unlink()
            return made
    except LockedError:
        raise UserError(f"another facegan is writing {path} now: wait for it, or choose another --out") from None


def _begin(folder: PngFolder, tell: Tell) -> None:
    """Say in the folder what is going to be made; what has the name of a face goes first, so that it is not taken for
    one of these."""
    job, path = folder.job, folder.path
    numbers = range(job.first, job.first + job.count)
    for number in numbers:
        (path / folder.name(number)).unlink(missing_ok=True)
    if folder.split:
        ours = {folder.name(number).partition("/")[0] for number in numbers[::_THOUSAND]}
        ours.add(folder.name(numbers[-1]).partition("/")[0])
    else:
        ours = set()
    others = sum(file.name not in (DESCRIPTION, _LOCK) and file.name not in ours for file in path.iterdir())
    if others:
        tell(f"{path} held {others:,} other files before; they are still there")
    document = {"format_version": 1, "settings": job.settings}
    write_text(path / DESCRIPTION, json.dumps(document, indent=1) + "\n")
