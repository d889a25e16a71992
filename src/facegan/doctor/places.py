"""Folders that facegan writes into: free space, kind of file system, locks, whether anything can be written."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from facegan.doctor.finding import Finding, Level
from facegan.errors import UserError
from facegan.files import cache_folder, free_bytes, nearest_existing, refuse_unwritable

TOPIC = "places"
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|lustre|beegfs|gpfs|ceph|glusterfs|9p|afs|fuse\.(sshfs|glusterfs|s3fs|gcsfuse)"
)
_PASSING = {"overlay": "vanishes with this container", "tmpfs": "lies in memory and vanishes with a reboot"}
_LITTLE, _LEAST = 2 << 30, 200 << 20
"""Free bytes for some runs, and below which hardly a snapshot fits."""
_FEW_NAMES = 5_000
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def examine(runs: Mapping[str, Path]) -> list[Finding]:
    """Return what is to be said of the current folder, the cache, TMPDIR, and further folders by their names."""
    named = {"this folder": Path.cwd(), **runs}
    findings = [finding for name, path in named.items() for finding in place(name, path)]
    return [*findings, *_cache(), *_temporary(os.environ)]


def place(name: str, path: Path) -> list[Finding]:
    """Return what is to be said of a folder that runs are written into, or of the nearest one that is there."""
    there = nearest_existing(path)
    findings = []
    try:
        refuse_unwritable(path / "run")
    except UserError as error:
        findings.append(
            Finding("warning", TOPIC, f"{name}: {error}", f"give a place that can be written, or {_own(there)}")
        )
    return [*findings, *_space(name, there), *_file_system(name, there)]


def _own(path: Path) -> str:
    return f"chmod u+w {path}" if path.is_dir() else f"take another name than that of the file {path}"


def _space(name: str, path: Path) -> list[Finding]:
    free = free_bytes(path)
    facts = {"path": str(path), "free": free}
    said = f"{name} ({path}): {free / 1e9:,.1f} GB free"
    cure = "make room: facegan runs clean lists what could go; or choose another place for --run"
    level: Level = "fault" if free < _LEAST else "warning" if free < _LITTLE else "ok"
    findings = [Finding(level, TOPIC, said, cure if level != "ok" else "", facts)]
    if hasattr(os, "statvfs"):
        status = os.statvfs(path)
        if status.f_files and status.f_favail < _FEW_NAMES:
            sentence = f"{name} ({path}): room for {status.f_favail:,} more files only, whatever their size"
            cure = "delete folders of many small files there, or choose another place"
            findings.append(Finding("warning", TOPIC, sentence, cure, {"path": str(path), "files": status.f_favail}))
    return findings


def _file_system(name: str, path: Path) -> list[Finding]:
    kind, locks = kind_of(path), knows_locks(path)
    facts = {"path": str(path), "file_system": kind, "locks": locks}
    findings = []
    if locks is False:
        sentence = f"{name} ({path}): the file system knows no locks, so nothing keeps a second training out of a run"
        cure = "start only one training of a run at a time, or put --run on a local disk"
        findings.append(Finding("warning", TOPIC, sentence, cure, facts))
    if _NETWORK.fullmatch(kind):
        sentence = f"{name} ({path}) is on the network ({kind}): images are read and snapshots written at its speed"
        cure = "copy packed data to a local disk; runs may stay"
        findings.append(Finding("note", TOPIC, sentence, cure, facts))
    elif kind in _PASSING:
        sentence = f"{name} ({path}) is on {kind}: what is written there {_PASSING[kind]}"
        findings.append(Finding("warning", TOPIC, sentence, "put --run on a disk that stays, such as a volume", facts))
    if not findings:
        told = "locks work" if locks else "locks not tried"
        findings.append(Finding("ok", TOPIC, f"{name}: {told}{f', {kind}' if kind else ''}", facts=facts))
    return findings


def kind_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the kind of file system that a path is on, such as ext4, nfs4 or overlay; "" where nobody tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    path, kind, longest = path.resolve(), "", -1
    for line in lines:
        words = line.split()
        if len(words) < 3:
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), words[1]))
        if (point == path or point in path.parents) and len(point.parts) >= longest:
            kind, longest = words[2], len(point.parts)
    return kind


def knows_locks(folder: Path) -> bool | None:
    """Return whether locks work in a folder; None if it cannot be tried there without leaving a file.

    What is locked is a file without a name, which is gone when it is closed, or else the folder itself.
    """
    try:
        import fcntl
    except ImportError:  # Windows: its own file systems have locks
        return None
    for flags in (getattr(os, "O_TMPFILE", 0) | os.O_RDWR, os.O_RDONLY):
        if flags == os.O_RDWR:
            continue
        try:
            descriptor = os.open(folder, flags)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
        finally:
            os.close(descriptor)
    return None


def _cache() -> list[Finding]:
    folder = cache_folder()
    facts = {"path": str(folder), "FACEGAN_CACHE": "FACEGAN_CACHE" in os.environ}
    try:
        refuse_unwritable(folder / "file")
    except UserError:
        sentence = f"the cache folder {folder} takes no files: features and downloads are made anew each time, or fail"
        cure = "export FACEGAN_CACHE=FOLDER, one that can be written"
        return [Finding("fault", TOPIC, sentence, cure, facts)]
    free = free_bytes(folder)
    said = f"cache folder {folder}: {free / 1e9:,.1f} GB free"
    if free < _LEAST:
        cure = "make room there, or export FACEGAN_CACHE=FOLDER on another disk"
        return [Finding("warning", TOPIC, said, cure, facts)]
    return [Finding("ok", TOPIC, said, facts=facts)]


def _temporary(environment: Mapping[str, str]) -> list[Finding]:
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        return [
            Finding(
                "fault", TOPIC, "no temporary folder can be written", "export TMPDIR=FOLDER, one that can be written"
            )
        ]
    wanted = next((environment[name] for name in ("TMPDIR", "TEMP", "TMP") if environment.get(name)), None)
    facts = {"path": folder}
    if wanted is not None and Path(wanted).absolute() != Path(folder).absolute():
        sentence = f"TMPDIR={wanted} cannot be used, and temporary files go to {folder}"
        return [Finding("warning", TOPIC, sentence, f"mkdir -p {wanted}, or unset TMPDIR", facts)]
    return [Finding("ok", TOPIC, f"temporary files: {folder}", facts=facts)]
