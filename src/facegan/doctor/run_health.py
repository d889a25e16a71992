"""Whether runs and models are whole, and how runs are doing, from their files alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegan.data.packed import PackedDataset
from facegan.doctor.finding import Finding, from_error
from facegan.errors import UserError
from facegan.files import free_bytes, parse_json, read_json
from facegan.machine import describe_machine, other_machine
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.incidents import read_incidents
from facegan.runs.overview import size_of
from facegan.runs.retention import scores as scores_of
from facegan.runs.snapshot import damage_of

_MUCH_WORSE, _FLAT_AFTER = 3.0, 4
"""Factor over the best quick score from which on a run has probably collapsed; snapshots without a better one."""
_SILENT, _SILENT_SECONDS = 10, 900
"""A training that wrote no line for so many times as long as usual, and for so many seconds, hangs."""
_RESTORE = "restore it from a copy, or train a new run"
_ROOM = 3
"""Snapshots for which there should be room."""


def model(path: Path) -> list[Finding]:
    """Return whether every tensor of a snapshot, an exported folder or a shipped model is what was written."""
    topic = f"model {path}"
    damage = damage_of(path)
    if damage:
        return [Finding("fault", topic, damage, "get it again from where it came from, or use another snapshot")]
    return [Finding("ok", topic, "whole: every file has the digest that was written, and every value is finite")]


def run(folder: RunFolder) -> list[Finding]:
    """Return what is to be said of a run."""
    topic = f"run {folder.path}"
    try:
        contents = folder.read()
        config = contents["config"]
        name = config["recipe"]["name"]
    except UserError as error:
        return [from_error(topic, str(error), _RESTORE)]
    except (KeyError, TypeError):
        return [from_error(topic, str(folder.damaged()), _RESTORE)]
    training = folder.is_locked()
    lines = folder.log_lines()
    snapshots = folder.list_snapshots()
    return [
        *_activity(topic, folder, str(name), lines, snapshots, training=training),
        *_snapshots(topic, folder, snapshots, training=training),
        *_room(topic, folder, snapshots),
        *_log(topic, folder),
        *_scores(topic, folder, lines),
        *_incidents(topic, folder, lines),
        *_data(topic, config, contents),
        *_machine(topic, contents),
    ]


def _activity(
    topic: str, folder: RunFolder, name: str, lines: list[dict[str, Any]], snapshots: list[Path], *, training: bool
) -> list[Finding]:
    """Return who trains a run, or how it ended."""
    nimg = max([*map(nimg_of, snapshots), *(line["nimg"] for line in lines[-1:])], default=0)
    said, status = f"{name}, {nimg:,} images", _status(folder)
    pid, images = status.get("pid"), status.get("images")
    facts = {"nimg": nimg, "images": images, "training": training}
    if training:
        if isinstance(pid, int) and _state(pid) == "T":
            sentence = f"{said}: process {pid} trains it, and is paused"
            return [Finding("warning", topic, sentence, f"kill -CONT {pid}", facts)]
        silent = silence(folder, lines)
        if silent is not None:
            sentence = f"{said}: a process trains it, and has written nothing for {silent / 60:,.0f} minutes"
            cure = f"look at process {pid} with top; if it hangs, kill -9 {pid} and give the same command again"
            return [Finding("warning", topic, sentence, cure, facts)]
        return [Finding("ok", topic, f"{said}: being trained now", facts=facts)]
    again = f"facegan train --run {folder.path}"
    saved = nimg_of(snapshots[-1]) if snapshots else 0
    ended = {"images": "at its end", "minutes": "its time was up", "alarm": "stopped by an alarm"}.get(
        str(status.get("ended")), ""
    )
    gone = f" (process {pid} is gone)" if isinstance(pid, int) else ""
    killed = f"it was killed{gone}, and goes on from its snapshot at {saved:,}"
    if saved != nimg and not isinstance(images, int):
        return [Finding("warning", topic, f"{said}: {killed}", again, facts)]
    if isinstance(images, int) and nimg < images:
        again += f" --images {images}"
        if isinstance(pid, int) and _state(pid) and _is_ours(pid):
            sentence = f"{said} of {images:,}: status.json names process {pid}, which runs and does not hold the lock"
            return [Finding("note", topic, sentence, f"if it trains elsewhere, nothing; else {again}", facts)]
        if saved != nimg:
            return [Finding("warning", topic, f"{said} of {images:,}: {killed}", again, facts)]
        if ended == "its time was up":
            return [Finding("ok", topic, f"{said} of {images:,}: its time was up; {again} goes on", facts=facts)]
        return [Finding("note", topic, f"{said} of {images:,}: it was stopped", again, facts)]
    return [Finding("ok", topic, f"{said}: {ended or 'at its end'}", facts=facts)]


def _status(folder: RunFolder) -> dict[str, Any]:
    try:
        status = read_json(folder.status)
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _state(pid: int) -> str:
    """Return a process's state as Linux has it (T: paused); "?" where it is there and nobody tells; "" of none."""
    if pid < 1:
        return ""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        pass
    if os.name != "posix":
        return ""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "?"
    except (OSError, OverflowError):
        return ""
    return "?"


def _is_ours(pid: int) -> bool:
    """Return whether a process may be a facegan: another one may have its number by now."""
    try:
        return b"facegan" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def silence(folder: RunFolder, lines: list[dict[str, Any]]) -> float | None:
    """Return the seconds since the log's last line where they are far more than usual, or None."""
    losses = [line for line in lines[-20:] if isinstance(line.get("images_per_s"), float)]
    if len(losses) < 2 or not losses[-1]["images_per_s"]:
        return None
    usual = (losses[-1]["nimg"] - losses[-2]["nimg"]) / losses[-1]["images_per_s"]
    try:
        silent = time.time() - folder.log.stat().st_mtime
    except OSError:
        return None
    return silent if silent > max(_SILENT_SECONDS, _SILENT * usual) else None


def _snapshots(topic: str, folder: RunFolder, snapshots: list[Path], *, training: bool) -> list[Finding]:
    findings = []
    damaged = {path: damage for path in snapshots if (damage := damage_of(path)) and path.exists()}  # not just deleted
    whole = [path for path in snapshots if path not in damaged]
    for path, damage in damaged.items():
        told, cure = "the run does not need it", f"delete {path}"
        if not whole:
            told, cure = "no snapshot is whole", f"copy {path} back from a backup, or train a new run"
        elif whole[-1] < path:
            told = f"the run goes on from {whole[-1].name}"
            cure = f"facegan train --run {folder.path} sets it aside and goes on"
        findings.append(Finding("fault", topic, f"{damage}; {told}", cure, {"snapshot": path.name}))
    if not snapshots:
        findings.append(Finding("warning", topic, "it has no snapshot", f"facegan train --run {folder.path}"))
    elif not findings:
        said = "its snapshot is" if len(snapshots) == 1 else f"all {len(snapshots)} snapshots are"
        findings.append(Finding("ok", topic, f"{said} whole", facts={"snapshots": len(snapshots)}))
    aside = folder.list_set_aside()
    leftovers = [] if training else sorted(folder.snapshots.glob(".nimg-*"))
    if aside or leftovers:
        size = sum(size_of(path) for path in [*aside, *leftovers])
        names = ", ".join(path.name for path in [*aside, *leftovers][:3])
        sentence = f"{len(aside) + len(leftovers)} snapshots set aside or half written ({names}), {size / 1e6:,.0f} MB"
        findings.append(Finding("note", topic, sentence, f"facegan runs clean {folder.path}", {"bytes": size}))
    return findings


def _room(topic: str, folder: RunFolder, snapshots: list[Path]) -> list[Finding]:
    if not snapshots:
        return []
    size, free = max(map(size_of, snapshots)), free_bytes(folder.path)
    facts = {"snapshot_bytes": size, "free": free}
    said = f"a snapshot has {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
    cure = "make room there (facegan runs clean), or train with --keep 1"
    if free < size:
        return [Finding("fault", topic, f"{said}: the next one does not fit", cure, facts)]
    if free < _ROOM * size:
        return [Finding("warning", topic, f"{said}: room for {free // size} more", cure, facts)]
    return []


def _scores(topic: str, folder: RunFolder, lines: list[dict[str, Any]]) -> list[Finding]:
    """Return how the quick score goes. A run that was stopped and goes on forgets the line of the log, not the score
    that its snapshot keeps."""
    scored = [line for line in lines if isinstance(line.get("quick_score"), float)]
    logged = [line for line in scored if line.get("quick_score_faces") == scored[-1].get("quick_score_faces")]
    known = sorted(({line["nimg"]: line["quick_score"] for line in logged} | scores_of(folder)).items())
    if not known:
        return []
    best_at, best = min(known, key=lambda point: point[1])
    (last_at, last), since = known[-1], sum(nimg > best_at for nimg, _ in known)
    facts = {"last": last, "best": best, "best_at": best_at}
    said = f"quick score {last:.2f} at {last_at:,}; best {best:.2f} at {best_at:,}"
    if last > _MUCH_WORSE * max(best, 1e-9):
        cure = f"look at samples/; go on from nimg-{best_at:09d} with other settings, with --fork NEWRUN"
        return [Finding("warning", topic, f"{said}: far worse than it was", cure, facts)]
    if since >= _FLAT_AFTER:
        sentence = f"{said}: no better in the last {since} snapshots"
        return [Finding("note", topic, sentence, "a lower learning rate, as lr_schedule has it: docs/runs.md", facts)]
    told = "" if len(known) < 2 else ", falling" if last < known[-2][1] else ", not falling just now"
    return [Finding("ok", topic, said + told, facts=facts)]


def _log(topic: str, folder: RunFolder) -> list[Finding]:
    """Return what of the log is no line that a training wrote; the line that is being written does not count."""
    try:
        texts = folder.log.read_bytes().splitlines(keepends=True)
    except OSError:
        return []
    wrong = [number for number, text in enumerate(texts, 1) if text.endswith(b"\n") and not _is_line(text)]
    if not wrong:
        return []
    said = f"{len(wrong)} of {len(texts)} lines of log.jsonl are damaged, the first is number {wrong[0]}"
    return [
        Finding("note", topic, said, "a training that goes on drops the lines from there on", {"lines": wrong[:100]})
    ]


def _is_line(text: bytes) -> bool:
    try:
        line = parse_json(text)
    except ValueError:
        return False
    return isinstance(line, dict) and type(line.get("nimg")) is int


def _incidents(topic: str, folder: RunFolder, lines: list[dict[str, Any]]) -> list[Finding]:
    incidents = [entry for entry in read_incidents(folder) if entry["kind"] != "processes"]
    if not incidents:
        return []
    last, count = incidents[-1], len(incidents)
    facts = {"count": count, "kind": last["kind"], "nimg": last["nimg"]}
    alarms = "1 alarm" if count == 1 else f"{count} alarms, the newest"
    said = f"{alarms} at {last['nimg']} images: {last.get('message') or last['kind']} (then: {last.get('action')})"
    scored = [line for line in lines if isinstance(line.get("quick_score"), float)]
    best = min(scored, key=lambda line: line["quick_score"])["nimg"] if scored else 0
    better, newest = isinstance(last["nimg"], int) and best > last["nimg"], lines[-1]["nimg"] if lines else 0
    cure = f"look at {folder.incidents}; docs/runs.md says what each means"
    told = ", and its best score came after it" if better else ""
    if last["kind"] in ("lost process", "error") and isinstance(last["nimg"], int) and newest > last["nimg"]:
        better, told = True, ", and the run has gone on since"
    return [Finding("note" if better else "warning", topic, said + told, cure, facts)]


def _data(topic: str, config: Mapping[str, Any], contents: Mapping[str, Any]) -> list[Finding]:
    paths = contents.get("data")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        return []
    missing = [path for path in paths if not (Path(path) / "dataset.json").is_file()]
    if missing:
        sentence = f"its data {missing[0]} is not there (any more)"
        return [Finding("warning", topic, sentence, "name the data again: facegan train DATA --run ...")]
    try:
        hashes = [PackedDataset.open(Path(path)).content_hash for path in paths]
    except UserError as error:
        return [from_error(topic, f"its data: {error}", "prepare it again with facegan prepare")]
    if len(hashes) == 1 and hashes[0] != config.get("data"):
        sentence = f"its data {paths[0]} is not what it was begun with: another content hash"
        return [Finding("fault", topic, sentence, "give it its own data, or begin a new run with --init")]
    return []


def _machine(topic: str, contents: Mapping[str, Any]) -> list[Finding]:
    choices, before = contents.get("choices"), contents.get("machine")
    if not isinstance(choices, dict) or not isinstance(before, dict):
        return []
    threads, precision = choices.get("threads"), str(choices.get("precision"))
    if type(threads) is not int:
        return []
    other = other_machine(before, describe_machine(), threads=threads, precision=precision)
    if other is None:
        return []
    sentence = f"it was begun on another machine ({other}): going on here measures anew, and repeats to rounding only"
    return [Finding("note", topic, sentence, "", {"other": other})]
