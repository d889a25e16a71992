"""What becomes of a training on two hosts when a process, a host or the cable between them is lost.

    python benchmarks/lost_hosts.py

Two network namespaces with a cable between them stand for the hosts (Linux, as root), each with a folder of its own:
nothing is shared but the cable. torchrun starts the processes. For each loss it prints the seconds until a sentence
was said, or until training went on, and what the run's incidents say.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import write_packed
from tests.network_hosts import ADDRESSES, Hosts, two_hosts, why_not

TIMEOUT = 10
SMALL = (
    "generator.width=8", "generator.max_channels=16", "generator.patch=2", "generator.style_size=16",
    "discriminator.width=8", "discriminator.max_channels=16", "discriminator.patch=2", "attributes=false",
    "latent_size=16",
)  # fmt: skip
"""Networks so small that a step takes no time."""


def beside_python(name: str) -> str:
    """Return a command of this environment, which need not be activated."""
    return str(Path(sys.executable).with_name(name))


class Trial:
    """A training on two hosts."""

    def __init__(
        self, hosts: Hosts, folder: Path, *, images: int, nodes: str = "2", processes: int = 1, timeout: int = TIMEOUT
    ) -> None:
        self.hosts, self.folder, self.timeout = hosts, folder, timeout
        settings = [part for setting in SMALL for part in ("--set", setting)]
        self._before = [
            beside_python("torchrun"), "--nnodes", nodes, "--nproc-per-node", str(processes), "--rdzv-backend", "c10d",
            "--rdzv-endpoint", f"{ADDRESSES[0]}:29400", "--rdzv-id", "faces", "--max-restarts", "3", "--no-python",
            "--", beside_python("facegan"), "train",
        ]  # fmt: skip
        self._after = [
            "--recipe", "style-s", "--batch", "16", "--images", str(images), "--timeout", f"{timeout}s",
            "--snapshot-every", "320", "--log-every", "160", "--score-faces", "0", "--precision", "float32",
            "--threads", "1", "--forms", "direct", *settings,
        ]  # fmt: skip
        self.run = self.place(0) / "run"
        self.torchruns: list[subprocess.Popen[str]] = []

    def place(self, host: int) -> Path:
        """Return the folder of a host."""
        place = self.folder / "ab"[host]
        place.mkdir(parents=True, exist_ok=True)
        return place

    def start(self, *which: int) -> Trial:
        """Start torchrun on hosts, by default on both."""
        for host in which or (0, 1):
            place = self.place(host)
            if not (place / "data").exists():
                write_packed(place / "data", 50, 16)
            command = [*self._before, str(place / "data"), "--run", str(place / "run"), *self._after]
            disable = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}
            self.torchruns.append(self.hosts.start(host, command, place / "log", **disable))
        return self

    def nimg(self) -> int:
        """Return the images of the log's newest line."""
        try:
            lines = (self.run / "log.jsonl").read_text().splitlines()
            return int(json.loads(lines[-1])["nimg"])
        except (OSError, IndexError, ValueError):
            return -1

    def said(self, host: int) -> str:
        """Return what was printed on a host."""
        log = self.place(host) / "log"
        return log.read_text() if log.exists() else ""

    def incidents(self) -> list[str]:
        """Return what the run's incidents say."""
        file = self.run / "incidents.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [f"{entry['kind']}: {entry['message']}" for entry in map(json.loads, lines)]

    def workers(self, host: int) -> list[int]:
        """Return the processes that train on a host."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                arguments = (process / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            ours = str(self.place(host) / "run") in arguments and "--no-python" not in arguments
            if ours and process.name.isdigit():
                found.append(int(process.name))
        return found


def until(what: Callable[[], bool], seconds: float = 180) -> float:
    """Wait until something holds; return the seconds that it took."""
    started = time.monotonic()
    while not what():
        if time.monotonic() - started > seconds:
            raise TimeoutError
        time.sleep(0.1)
    return time.monotonic() - started


def trained(trial: Trial) -> float:
    return until(lambda: trial.nimg() >= 640)


def went_on(trial: Trial) -> float:
    """Return the seconds until a line of the log is written that lies beyond those of now."""
    before = trial.nimg()
    return until(lambda: trial.nimg() > before)


def undisturbed(trial: Trial) -> str:
    started = time.monotonic()
    codes = [torchrun.wait(timeout=180) for torchrun in trial.start().torchruns]
    return f"exit codes {codes} after {time.monotonic() - started:.0f} s, {trial.nimg():,} images"


def a_process_is_killed(trial: Trial) -> str:
    trained(trial.start())
    os.kill(trial.workers(1)[0], signal.SIGKILL)
    said = until(lambda: " was lost" in trial.said(0))
    return f"sentence after {said:.1f} s; training goes on after {said + went_on(trial):.0f} s"


def a_process_is_stopped(trial: Trial) -> str:
    trained(trial.start())
    os.kill(trial.workers(1)[0], signal.SIGSTOP)
    said = until(lambda: " was lost" in trial.said(0))
    on = said + went_on(trial)
    return f"sentence after {said:.1f} s (--timeout {trial.timeout}s); training goes on after {on:.0f} s"


def the_cable_is_cut(trial: Trial) -> str:
    trained(trial.start())
    trial.hosts.cut()
    said = until(lambda: " was lost" in trial.said(0))
    other = until(lambda: " was lost" in trial.said(1))
    return f"sentence after {said:.1f} s here, {said + other:.1f} s there (--timeout {trial.timeout}s)"


def a_host_is_lost_and_comes_back(trial: Trial) -> str:
    trained(trial.start())
    trial.hosts.kill(1)
    said = until(lambda: " was lost" in trial.said(0))
    alone = went_on(trial)
    trial.start(1)
    back = until(lambda: "from 1 to 2" in str(trial.incidents()) or "1 process until" in str(trial.incidents()), 240)
    both = went_on(trial)
    return (
        f"sentence after {said:.1f} s; one host goes on after {said + alone:.0f} s; the other one is back in training "
        f"{back + both:.0f} s after it was started"
    )


SCENARIOS: dict[str, tuple[Callable[[Trial], str], dict[str, object]]] = {
    "nothing is lost, 1 process a host": (undisturbed, {"images": 960}),
    "nothing is lost, 2 processes a host": (undisturbed, {"images": 960, "processes": 2}),
    "a process is killed": (a_process_is_killed, {"images": 10**6}),
    "a process is stopped (SIGSTOP)": (a_process_is_stopped, {"images": 10**6}),
    "the cable is cut": (the_cable_is_cut, {"images": 10**6}),
    "a host is killed and comes back (--nnodes 1:2)": (
        a_host_is_lost_and_comes_back, {"images": 10**6, "nodes": "1:2"},
    ),
}  # fmt: skip


def main() -> None:
    if why := why_not():
        raise SystemExit(why)
    wanted = sys.argv[1:]
    for number, (name, (scenario, options)) in enumerate(SCENARIOS.items()):
        if wanted and str(number) not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder, two_hosts() as hosts:
            trial = Trial(hosts, Path(folder), **options)  # type: ignore[arg-type]
            try:
                print(f"{number}. {name}: {scenario(trial)}", flush=True)
            except TimeoutError:
                print(
                    f"{number}. {name}: NOT within the time", *(trial.said(host)[-2000:] for host in (0, 1)), sep="\n"
                )
            for line in trial.incidents():
                print(f"     incident  {line}", flush=True)
            for host in (0, 1):
                for line in trial.said(host).splitlines():
                    if line.startswith("facegan:"):
                        print(f"     host {'ab'[host]}    {line}", flush=True)


if __name__ == "__main__":
    main()
