"""What the system lets this process have: cores, memory and open files, as Linux writes them under /proc and /sys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_NO_LIMIT = 1 << 60
"""Version 1 of cgroups says "no limit" with a number near 2^63."""


@dataclass(frozen=True)
class Limits:
    """What is known of a limit; None: there is none, or this system does not tell."""

    cpus: float | None
    """Seconds of processor time in each second."""
    memory: int | None
    """Bytes."""
    memory_used: int | None
    """Bytes that count against ``memory`` now."""


def cgroup_limits(root: Path = Path("/")) -> Limits:
    """Return the tightest limits of this process's control groups, of version 1 or 2. ``root``: where /proc is."""
    cpus: list[float] = []
    memory: list[int] = []
    used: int | None = None
    for folder in _groups(root):
        cpus += [share for share in (_cpu_share_2(folder), _cpu_share_1(folder)) if share]
        for limit, usage in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            amount = _number(folder / limit)
            if amount is not None and amount < _NO_LIMIT and amount < min(memory, default=_NO_LIMIT):
                memory.append(amount)
                used = _in_use(folder, usage)
    return Limits(min(cpus, default=None), min(memory, default=None), used)


def _in_use(folder: Path, usage: str) -> int | None:
    """Return the bytes in use, without the cache of files that are not in use: it goes when memory is needed."""
    used = _number(folder / usage)
    stat = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
    cached = stat.get("inactive_file" if usage == "memory.current" else "total_inactive_file", "0").strip()
    return None if used is None else max(0, used - (int(cached) if cached.isdecimal() else 0))


def _groups(root: Path) -> list[Path]:
    """Return the folders of this process's groups and of those around them."""
    top = root / "sys/fs/cgroup"
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        bases = [top, top / "unified"] if not controllers else [top / controllers, *_parts(top, controllers)]
        for base in bases:
            own = base / path.lstrip("/")
            found += [folder for folder in (own, *own.parents) if folder == base or base in folder.parents]
    return list(dict.fromkeys(folder for folder in found if folder.is_dir()))


def _parts(top: Path, controllers: str) -> list[Path]:
    return [top / name for name in controllers.split(",")]


def _cpu_share_2(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]):
        return int(words[0]) / int(words[1])
    return None


def _cpu_share_1(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def memory_info(root: Path = Path("/")) -> dict[str, int]:
    """Return bytes by the names of /proc/meminfo (MemTotal, MemAvailable, SwapTotal, SwapFree); {} elsewhere."""
    found = {}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def open_files() -> int | None:
    """Return how many files this process may have open at once; None: as many as it likes, or nobody knows."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def largest_file() -> int | None:
    """Return the bytes that a file of this process's may have; None: no limit is set."""
    try:
        import resource
    except ImportError:
        return None
    soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
