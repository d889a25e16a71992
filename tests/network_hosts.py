"""Two hosts on this machine: network namespaces with a cable between them, which may be cut. Linux, as root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ADDRESSES = ("10.77.0.1", "10.77.0.2")


class Hosts:
    """Two namespaces; each has a name of its own, which resolves on both as on ordinary machines."""

    def __init__(self, tag: str) -> None:
        self.names = [f"fg{tag}a", f"fg{tag}b"]
        self._cables = [f"v{tag}a", f"v{tag}b"]
        self._processes: list[tuple[int, subprocess.Popen[str]]] = []

    def make(self) -> None:
        first, second = self._cables
        for name in self.names:
            folder = Path("/etc/netns") / name
            folder.mkdir(parents=True, exist_ok=True)
            lines = [f"{address} {host}" for address, host in zip(ADDRESSES, self.names, strict=True)]
            (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")
            _ip("netns", "add", name)
        _ip("link", "add", first, "type", "veth", "peer", "name", second)
        for name, cable, address in zip(self.names, self._cables, ADDRESSES, strict=True):
            _ip("link", "set", cable, "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            _ip("-n", name, "link", "set", cable, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def remove(self) -> None:
        for host, name in enumerate(self.names):
            self.kill(host)
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)

    def start(self, host: int, command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen[str]:
        """Start a command on host 0 or 1, in a process group of its own; its output goes into ``log``."""
        name = self.names[host]
        within = ["ip", "netns", "exec", name, "unshare", "--uts", "sh", "-c", f'hostname {name}; exec "$@"', "sh"]
        with log.open("a") as file:
            process = subprocess.Popen(
                [*within, *command], stdout=file, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                env=os.environ | environment,
            )  # fmt: skip
        self._processes.append((host, process))
        return process

    def kill(self, host: int) -> None:
        """Kill all that runs on a host, as when it fails: launchers put what they start into sessions of its own."""
        for _ in range(3):
            found = subprocess.run(["ip", "netns", "pids", self.names[host]], capture_output=True, text=True)
            for pid in found.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for number, process in self._processes:
            if number == host:
                process.wait()

    def cut(self) -> None:
        """Cut the cable."""
        _ip("-n", self.names[0], "link", "set", self._cables[0], "down")

    def mend(self) -> None:
        """Join it again."""
        _ip("-n", self.names[0], "link", "set", self._cables[0], "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def why_not() -> str:
    """Return why namespaces cannot be made here, or ""."""
    if not shutil.which("ip") or not shutil.which("unshare"):
        return "ip (iproute2) or unshare is missing"
    hosts = Hosts(f"p{os.getpid() % 10000}")
    try:
        hosts.make()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces cannot be made here ({getattr(error, 'stderr', error)})".replace("\n", " ")
    finally:
        hosts.remove()
    return ""


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Yield two hosts, and remove them with all that runs on them."""
    hosts = Hosts(str(os.getpid() % 10000))
    try:
        hosts.make()
        yield hosts
    finally:
        hosts.remove()
