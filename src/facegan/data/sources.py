"""Where images come from: a folder, a zip, tar shards or Parquet files; listed, and read one by one."""

from __future__ import annotations

import re
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from facegan.data import tar_archive, zip_archive
from facegan.data.folder import MASKS, Walk, no_source, read_file, start_of_file
from facegan.data.formats import SNIFFED_BYTES, kind_of_content, kind_of_suffix, suffix_of
from facegan.data.tar_archive import TarMember
from facegan.data.zip_archive import ZipMember
from facegan.errors import UserError, brief, is_out_of_memory
from facegan.files import check_regular, read_bytes

if TYPE_CHECKING:
    from facegan.data.parquet import GroupReader, ParquetPlace, ParquetRows

LARGEST_TEXT = 64 << 20
"""Bytes of an annotation file that is held in memory, and that any source may have; CelebA's largest has 26 million."""
_BYTES_A_ROW = 1024
"""More than a row of a table has: CelebA's 40 attributes take 130, a path a few hundred."""
_MAC = re.compile(r"(^|/)(__MACOSX/|\._)")
"""What macOS adds to zips and foreign disks: no pictures, whatever they are called."""
_HIDDEN = re.compile(r"(^|/)(\.(?!\.?/)|__MACOSX/)")


class ImageFile(NamedTuple):
    """One image. ``place`` says where it is in a zip, tar or Parquet file, None for a file in a folder.

    ``name`` is relative to the folder that all images have in common, with ``/``; ``path`` leads there from the
    source.
    """

    name: str
    path: str
    place: ZipMember | TarMember | ParquetPlace | None = None


@dataclass
class Listing:
    """What is in a source: its images, and the paths of images in other formats and of other files.

    Images are sorted by name, those of Parquet files in the order of their rows. ``skipped`` and ``unlisted`` are
    (folder, reason); ``rows`` are the labels that Parquet files hold.
    """

    source: Path
    images: list[ImageFile] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unlisted: list[tuple[str, str]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    """Images by their suffix, whose name or folder begins with a dot."""
    rows: ParquetRows | None = None

    def image_paths(self) -> list[str]:
        """Return what tables and messages call the images: paths in the source, or the names in Parquet files' rows."""
        return [file.path if self.rows is None else file.name for file in self.images]


class UnreadableError(Exception):
    """The bytes of one file cannot be had; the message is the reason."""


def find_source(path: Path) -> Listing:
    """Return the images of ``path``: a folder or zip of images, or a folder with such a zip, or tars or Parquet files.

    ``path`` may be a pattern such as ``data/train-*.parquet`` or ``faces-*.tar``.

    Raises:
        UserError: no image is in there, or several zips might be meant; or as ``list_images``.
    """
    if path.is_dir():
        _refuse_own(path)
    is_pattern = not path.exists() and any(sign in path.name for sign in "*?[")
    if is_pattern or (path.suffix in (".parquet", ".tar") and not path.is_dir()):
        named = _matching(path)
        return find_source(named[0]) if is_pattern and len(named) == 1 else _list_files(path, named)
    listing = list_images(path)
    for suffix, called, list_them in ((".parquet", "Parquet files", _list_parquet), (".tar", "tars", _list_tars)):
        files = sorted(other for other in listing.others if other.lower().endswith(suffix)) if path.is_dir() else []
        if files and listing.images:
            raise UserError(
                f"{path} holds {len(listing.images):,} images (such as {listing.images[0].path}) and {len(files):,} "
                f"{called} (such as {files[0]}): give the folder of one or the other"
            )
        if files:
            return list_them(path, [path / file for file in files])
    if listing.images:
        return listing
    zips = sorted(other for other in listing.others if other.lower().endswith(".zip")) if path.is_dir() else []
    official = [name for name in zips if name.endswith("img_align_celeba.zip")]
    chosen = official or zips
    if len(chosen) > 1:
        raise UserError(f"{path} has no images but several zips ({', '.join(chosen[:3])}): give the zip that is meant")
    if chosen:
        listing = list_images(path / chosen[0])
    if not listing.images:
        _refuse_empty(listing)
    return listing


def _refuse_own(path: Path) -> None:
    reason = no_source(path, [name for name in ("dataset.json", "run.json") if (path / name).is_file()])
    if reason == "a packed dataset":
        raise UserError(f"{path} is a packed dataset already: give it to `facegan train`, or prepare its source again")
    if reason:
        raise UserError(f"{path} is {reason}: give a folder, a zip or Parquet files of photographs")


def _refuse_empty(listing: Listing) -> None:
    if listing.unlisted:
        folder, reason = listing.unlisted[0]
        raise UserError(f"{listing.source / folder} cannot be listed: {reason}; check that it can be read, try again")
    others = listing.unsupported + listing.others
    suffixes = sorted({suffix_of(other) for other in others})
    found = f"{len(others)} other files ({' '.join(suffixes[:8])})" if others else "nothing"
    if listing.hidden:
        found += f"; {len(listing.hidden)} hidden images, such as {listing.hidden[0]}"
    found += "".join(f"; {folder} is {reason}" for folder, reason in listing.skipped[:3])
    if any(other.lower().endswith(".zip") for other in others):
        found += "; zips in it are not looked into: unpack it, and give the zip that is meant"
    raise UserError(f"{listing.source} holds no images such as .jpg or .png: found {found}")


def _matching(path: Path) -> list[Path]:
    files = [path] if path.exists() else sorted(path.parent.glob(path.name))
    if not files:
        raise UserError(f"{path} does not exist: give such a file, a folder of them, or a pattern that fits some")
    return files


def _list_files(path: Path, files: Sequence[Path]) -> Listing:
    """Return the images in the files that a path or pattern names: all Parquet, or all tars."""
    suffixes = {file.suffix.lower() for file in files if file.is_file()}
    if suffixes == {".parquet"}:
        return _list_parquet(path.parent, files)
    if suffixes == {".tar"}:
        return _list_tars(path.parent, files)
    raise UserError(
        f"{path} fits {len(files):,} files, such as {files[0].name}: a pattern names Parquet files or tars, "
        "not both; of other images give the folder"
    )


def _list_parquet(source: Path, files: Sequence[Path]) -> Listing:
    from facegan.data.parquet import list_rows

    rows = list_rows(source, files)
    images = [ImageFile(name, place.file, place) for name, place in zip(rows.names, rows.places, strict=True)]
    return Listing(source, images, rows=rows)


def _list_tars(source: Path, files: Sequence[Path]) -> Listing:
    """Return the images in tars; other members, such as WebDataset's JSON of each image, do not matter."""
    listing, others = Listing(source), 0
    for file in files:
        for path, place in tar_archive.read_directory(source, file.relative_to(source).as_posix()):
            if kind_of_suffix(path) == "image" and not _HIDDEN.search(path):
                listing.images.append(ImageFile(path, path, place))
            else:
                others += 1
    if not listing.images:
        raise UserError(
            f"{files[0]}{f' and {len(files) - 1:,} more' if files[1:] else ''}: {others:,} files and no image such as "
            ".jpg or .png in it; arrays (.npy) in tars are not read: make the shards with --format png"
        )
    return _sorted_by_name(listing)


def list_images(source: Path) -> Listing:
    """Return every image file below folder ``source``, or in the zip ``source``, by name.

    What has a suffix that says nothing is known by its content. Hidden files and ``__MACOSX`` are skipped; packed
    datasets, runs and masks in the folder too, which is told.

    Raises:
        UserError: there is no such file or folder, or what is called a zip is not a whole one.
    """
    listing = Listing(source)
    found: list[tuple[str, ZipMember | None]]
    if source.is_dir():
        walk = Walk(source)
        found = [(path, None) for path in walk]
        listing.skipped, listing.unlisted = walk.skipped, walk.unlisted
    elif source.is_file():
        found = list(zip_archive.read_directory(source))
    else:
        what = "is neither a file nor a folder" if source.exists() else "does not exist"
        raise UserError(f"{source} {what}: give CelebA's zip or folder, or any folder or zip of images")
    listing.hidden = [
        path for path, _ in found if _HIDDEN.search(path) and not _MAC.search(path) and kind_of_suffix(path) == "image"
    ]
    found = [(path, place) for path, place in found if not _HIDDEN.search(path)]
    kinds = {path: kind_of_suffix(path) for path, _ in found}
    kinds |= _kinds_by_content(source, [path for path, kind in kinds.items() if kind is None])
    for path, place in found:
        if f"{MASKS}/" in path:
            kinds[path] = "mask"
        elif kinds[path] == "image":
            listing.images.append(ImageFile(path, path, place))
    listing.unsupported = [path for path, kind in kinds.items() if kind == "unsupported"]
    listing.others = [path for path, kind in kinds.items() if kind == "other"]
    if "mask" in kinds.values():
        listing.skipped.append((f"{source.name}", "in part masks, and no faces"))
    return _sorted_by_name(listing)


def _sorted_by_name(listing: Listing) -> Listing:
    """Name the images from the folder on that they have in common, and put them into the order of their names."""
    cut = _common_folder([file.path for file in listing.images])
    listing.images = sorted(file._replace(name=file.path[cut:]) for file in listing.images)
    return listing


def _kinds_by_content(source: Path, paths: list[str]) -> dict[str, str | None]:
    if source.is_dir():
        starts = {path: start_of_file(source / path, SNIFFED_BYTES) for path in paths}
    else:
        starts = zip_archive.read_start(source, paths, SNIFFED_BYTES)
    return {path: kind_of_content(start) for path, start in starts.items()}


def _common_folder(paths: list[str]) -> int:
    """Return the length of the folder, with its ``/``, that all paths begin with."""
    folders = [path.split("/")[:-1] for path in paths] or [[]]
    length = 0
    for one, other in zip(min(folders), max(folders), strict=False):
        if one != other:
            break
        length += len(one) + 1
    return length


class Reader:
    """Reads images of one source; a context manager. Opened at the first read, so that each process has its own."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._archive: BinaryIO | None = None
        self._tar = ""
        self._groups: GroupReader | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._archive is not None:
            self._archive.close()

    def read(self, file: ImageFile) -> bytes:
        """Return the image's bytes, as a file has them.

        Raises:
            UnreadableError: it is damaged, encrypted, too large, or not to be opened; the message says which.
        """
        try:
            if file.place is None:
                return read_file(self.source / file.path)
            if isinstance(file.place, TarMember):
                if self._archive is None or self._tar != file.place.file:
                    self.__exit__(None, None, None)
                    self._archive, self._tar = (self.source / file.place.file).open("rb"), file.place.file
                return tar_archive.read_member(self._archive, file.place)
            if not isinstance(file.place, ZipMember):
                if self._groups is None:
                    from facegan.data.parquet import GroupReader

                    self._groups = GroupReader(self.source)
                return self._groups.read(file.place)
            if self._archive is None:
                self._archive = self.source.open("rb")
            return zip_archive.read_member(self._archive, file.place)
        except (OSError, zlib.error, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise UnreadableError(str(getattr(error, "strerror", None) or error)) from error


def largest_table(images: int) -> int:
    """Return how many bytes an annotation file of so many images may have: more is no table of these."""
    return max(LARGEST_TEXT, images * _BYTES_A_ROW)


def read_text_file(source: Path, path: str) -> bytes:
    """Return the bytes of a small file of a source that is no image, such as ``about.json``.

    Raises:
        UserError: it is damaged, or larger than ``LARGEST_TEXT``.
    """
    content = open_table(Listing(source), path)
    return content if isinstance(content, bytes) else content.read_bytes()


def open_table(listing: Listing, path: str) -> bytes | Path:
    """Return an annotation file of a source: its bytes, or, above ``LARGEST_TEXT``, a file with them, which is there as
    long as the listing is.

    Raises:
        UserError: it is damaged, or larger than ``largest_table``.
    """
    source, images = listing.source, len(listing.images)
    if source.is_dir():
        return open_table_file(source / path, images, f"{path} in {source}")
    content = zip_archive.open_text_member(source, path, kept=LARGEST_TEXT, limit=largest_table(images))
    if isinstance(content, Path):
        weakref.finalize(listing, content.unlink, missing_ok=True)
    return content


def open_table_file(file: Path, images: int, name: str) -> bytes | Path:
    """Return an annotation file as ``open_table`` does; ``name``: what messages call it.

    Raises:
        UserError: as ``open_table``.
    """
    try:
        size = check_regular(file.resolve()).st_size
        if size <= LARGEST_TEXT:
            return read_bytes(file.resolve(), LARGEST_TEXT)
        if size <= largest_table(images):
            return file.resolve()
    except (ValueError, OSError) as error:
        raise UserError(
            f"{name} cannot be read ({brief(error)}): expected an annotation file of CelebA; download it again"
        ) from error
    raise UserError(
        f"{name} has {size:,} bytes, and a table of {images:,} images has at most {largest_table(images):,}: give the "
        "table of these images, or cut it down to their rows"
    )
