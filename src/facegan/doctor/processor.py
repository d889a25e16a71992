"""Processor, threads, memory: what there is, what a limit leaves of it, and what other work takes."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping

from facegan.cores import usable_cores
from facegan.doctor.finding import Finding
from facegan.doctor.limits import Limits, cgroup_limits, largest_file, memory_info, open_files
from facegan.machine import describe_machine

TOPIC, MEMORY = "processor", "memory"
_LEAST_MEMORY, _LITTLE_MEMORY = 1 << 30, 3 << 30
"""Bytes without which not even a narrow recipe trains, and with which larger batches fail."""
_FEW_FILES = 512
_BUSY = 0.5
"""Share of the cores that other work has, from which on it is worth a word."""


def examine() -> list[Finding]:
    """Return what is to be said of processor, threads, memory and limits."""
    limits, cores = cgroup_limits(), usable_cores()
    return [
        _model(cores),
        *threads(os.environ, cores, limits),
        *load(cores),
        *memory(memory_info(), limits),
        _allocator(os.environ),
        *_files(),
    ]


def _model(cores: int) -> Finding:
    machine = describe_machine()
    units = [name for name in machine["instructions"] if name.endswith("bf16")]
    known = platform.system() == "Linux" and platform.machine() in ("x86_64", "AMD64")
    told = f"units for bfloat16: {' '.join(units)}" if units else "no units for bfloat16, so float32 is the faster one"
    said = f"{machine['processor']}, {cores} usable core{'s' if cores > 1 else ''}"
    facts = {"processor": machine["processor"], "instructions": machine["instructions"], "cores": cores}
    return Finding("ok", TOPIC, f"{said}; {told}" if known else said, facts=facts)


def threads(environment: Mapping[str, str], cores: int, limits: Limits) -> list[Finding]:
    """Return what is to be said of OMP_NUM_THREADS and of a limit on processor time beside ``cores`` usable cores."""
    findings = []
    text = environment.get("OMP_NUM_THREADS", "")
    first = text.split(",")[0].strip()
    share = cores if limits.cpus is None else min(cores, limits.cpus)
    if limits.cpus is not None and limits.cpus < cores:
        most = max(1, int(limits.cpus))
        findings.append(
            Finding(
                "warning",
                TOPIC,
                f"{cores} cores are to be seen, and the control group gives the time of {limits.cpus:g}: more threads "
                "than that wait for each other",
                f"facegan train --threads {most}; for other commands export OMP_NUM_THREADS={most}",
                {"cgroup_cpus": limits.cpus},
            )
        )
    if not text:
        return findings
    facts = {"OMP_NUM_THREADS": text, "cores": cores}
    if not first.isdecimal() or int(first) < 1:
        sentence = f"OMP_NUM_THREADS={text!r} is no number of threads"
        findings.append(Finding("fault", TOPIC, sentence, "unset OMP_NUM_THREADS", facts))
    elif int(first) > share:
        sentence = f"OMP_NUM_THREADS={text}: more threads than the {share:g} cores here, which then wait for each other"
        findings.append(Finding("warning", TOPIC, sentence, f"export OMP_NUM_THREADS={max(1, int(share))}", facts))
    elif int(first) < int(share):
        sentence = (
            f"OMP_NUM_THREADS={text}: sample, evaluate and audit use {text} of {share:g} cores (train measures for "
            "itself how many it takes)"
        )
        findings.append(Finding("warning", TOPIC, sentence, "unset OMP_NUM_THREADS", facts))
    return findings


def load(cores: int) -> list[Finding]:
    """Return what is to be said of other work: the mean number of processes that wanted a core in the last minute."""
    try:
        average = os.getloadavg()[0]
    except (OSError, AttributeError):
        return []
    facts = {"load": round(average, 2)}
    if average < _BUSY * cores:
        return [Finding("ok", TOPIC, f"other work: {average:.2g} of {cores} cores in the last minute", facts=facts)]
    sentence = (
        f"other work wanted {average:.2g} cores in the last minute, of {cores}: a training shares them, and what is "
        "measured now holds for now"
    )
    cure = "see with top what it is; facegan train --threads 1 loses least beside other work"
    return [Finding("note", TOPIC, sentence, cure, facts)]


def memory(info: Mapping[str, int], limits: Limits) -> list[Finding]:
    """Return what is to be said of memory. ``info``: bytes by the names of /proc/meminfo."""
    if "MemAvailable" not in info:
        return []
    total, free = info.get("MemTotal", 0), info["MemAvailable"]
    source = ""
    if limits.memory is not None and limits.memory < total:
        total, free = limits.memory, min(free, limits.memory - (limits.memory_used or 0))
        source = " (limit of the control group)"
    swap, swapped = info.get("SwapTotal", 0), info.get("SwapTotal", 0) - info.get("SwapFree", 0)
    facts = {"total": total, "free": free, "swap": swap, "swap_used": swapped}
    said = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free{source}, swap {swap / 2**30:.1f} GiB"
    cure = "end other programs, or train with a smaller --batch or narrower networks"
    if free < _LEAST_MEMORY:
        return [Finding("fault", MEMORY, f"{said}: too little for a training", cure, facts)]
    findings = [
        Finding("warning", MEMORY, f"{said}: enough for style-s, little for larger recipes", cure, facts)
        if free < _LITTLE_MEMORY
        else Finding("ok", MEMORY, said, facts=facts)
    ]
    if swap and swapped > swap / 4:
        sentence = f"{swapped / 2**30:.1f} GiB are swapped out: what comes back from there is a thousand times slower"
        findings.append(Finding("warning", MEMORY, sentence, "end other programs before a training", facts))
    return findings


def _allocator(environment: Mapping[str, str]) -> Finding:
    preloaded = environment.get("LD_PRELOAD", "")
    other = next((name for name in ("jemalloc", "tcmalloc", "mimalloc") if name in preloaded), None)
    facts = {"libc": " ".join(platform.libc_ver()).strip(), "LD_PRELOAD": bool(preloaded)}
    if other:
        sentence = f"{other} is preloaded: facegan's setting of the C library's allocator has no effect on it"
        return Finding(
            "note", MEMORY, sentence, "compare the rates that train prints with and without LD_PRELOAD", facts
        )
    if platform.libc_ver()[0] == "glibc":
        return Finding("ok", MEMORY, f"allocator: {facts['libc']}, told to keep what a step frees", facts=facts)
    sentence = "the C library is not glibc: each step gets its memory anew from the system, which takes longer"
    cure = "on Linux take an image with glibc (Debian, Ubuntu, Fedora) rather than Alpine"
    return Finding("note", MEMORY, sentence, cure if platform.system() == "Linux" else "", facts)


def _files() -> list[Finding]:
    findings = []
    if (most := open_files()) is not None and most < _FEW_FILES:
        sentence = f"only {most} files may be open at once; a training with its events and data needs some hundred"
        findings.append(Finding("warning", "limits", sentence, "ulimit -n 4096", {"open_files": most}))
    else:
        said = "any number of files" if most is None else f"{most:,} files"
        findings.append(Finding("ok", "limits", f"{said} may be open at once", facts={"open_files": most}))
    if (size := largest_file()) is not None:
        sentence = f"no file may be larger than {size / 1e6:,.0f} MB: snapshots and data may be"
        findings.append(Finding("warning", "limits", sentence, "ulimit -f unlimited", {"largest_file": size}))
    return findings
