"""Who started the processes of a training: torchrun, srun, or facegan itself; and how they find each other.

torchrun (PyTorch's elastic launcher) and srun (Slurm) start every process and say in the environment how many there
are. Otherwise Lightning Fabric starts one more process for each further device of this machine.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from lightning_fabric.plugins.environments import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from facegan.errors import UserError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_SRUN = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_ID")
_INTERACTIVE = ("bash", "interactive")
"""Names of Slurm jobs in which a person types: a command there is one process."""


@dataclass(frozen=True)
class Launch:
    """This process among those that a launcher started."""

    by: str
    """"torchrun" or "srun"."""
    rank: int
    world_size: int
    local_rank: int
    local_size: int
    """How many of them are on this host."""
    hosts: int
    address: str
    """Where process 0 can be reached, and its port."""
    port: int
    restarts: int = 0
    """How often torchrun has started this process anew."""
    most_restarts: int = 0
    """How often it may."""


def find_launch(environment: Mapping[str, str] | None = None) -> Launch | None:
    """Return what a launcher says in the environment, or None where no launcher started this process.

    Raises:
        UserError: what it says is not whole.
    """
    variables: Mapping[str, str] = os.environ if environment is None else environment
    if "TORCHELASTIC_RUN_ID" in variables:
        number = _numbers(variables, _TORCHRUN, "torchrun")
        hosts = int(variables.get("GROUP_WORLD_SIZE") or max(1, number["WORLD_SIZE"] // number["LOCAL_WORLD_SIZE"]))
        return Launch(
            "torchrun", number["RANK"], number["WORLD_SIZE"], number["LOCAL_RANK"], number["LOCAL_WORLD_SIZE"], hosts,
            variables["MASTER_ADDR"], number["MASTER_PORT"], int(variables.get("TORCHELASTIC_RESTART_COUNT", "0")),
            int(variables.get("TORCHELASTIC_MAX_RESTARTS", "0")),
        )  # fmt: skip
    if "SLURM_STEP_ID" in variables and variables.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        number = _numbers(variables, _SRUN, "srun")
        nodes = variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_NODELIST", "127.0.0.1")
        hosts = int(variables.get("SLURM_STEP_NUM_NODES") or variables.get("SLURM_NNODES", "1"))
        return Launch(
            "srun", number["SLURM_PROCID"], number["SLURM_NTASKS"], number["SLURM_LOCALID"],
            -(-number["SLURM_NTASKS"] // hosts), hosts,
            variables.get("MASTER_ADDR") or SLURMEnvironment.resolve_root_node_address(nodes),
            int(variables.get("MASTER_PORT") or 15000 + number["SLURM_JOB_ID"] % 10000),
        )  # fmt: skip
    return None


def _numbers(variables: Mapping[str, str], names: tuple[str, ...], launcher: str) -> dict[str, int]:
    missing = [name for name in names if not variables.get(name)]
    if missing:
        raise UserError(
            f"started by {launcher}, but {', '.join(missing)} is not set: start every process by {launcher} itself"
        )
    try:
        return {name: int(variables[name]) for name in names if name != "MASTER_ADDR"}
    except ValueError:
        raise UserError(f"started by {launcher}, whose variables {', '.join(names)} should be numbers") from None


def advice(launch: Launch, environment: Mapping[str, str] | None = None) -> str:
    """Return what the user of a launcher should know, or "".

    Processes that share torchrun's own store look for it at the address of a host that may be gone after a restart
    (PyTorch issues 135712 and 167288), until the restarts are used up.
    """
    variables: Mapping[str, str] = os.environ if environment is None else environment
    name = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
    if launch.by == "torchrun" and (launch.hosts > 1 or launch.most_restarts > 0) and variables.get(name) != "1":
        return (
            f"set {name}=1 before torchrun on every host: without it, a restart may look for processes and hosts "
            "that are gone, until torchrun gives up"
        )
    return ""


class External(ClusterEnvironment):
    """Fabric's view of processes that a launcher has started: each is a machine of its own with one device."""

    def __init__(self, launch: Launch) -> None:
        super().__init__()
        self._launch = launch

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._launch.address

    @property
    def main_port(self) -> int:
        return self._launch.port

    @staticmethod
    def detect() -> bool:
        return find_launch() is not None

    def world_size(self) -> int:
        return self._launch.world_size

    def set_world_size(self, size: int) -> None: ...

    def global_rank(self) -> int:
        return self._launch.rank

    def set_global_rank(self, rank: int) -> None: ...

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._launch.rank


def choose_interface(launch: Launch) -> None:
    """Let gloo talk over the network interface that leads to process 0, unless ``GLOO_SOCKET_IFNAME`` names one.

    By itself it takes the one of this host's name, which on many systems is 127.0.1.1: others cannot reach that.
    """
    if launch.hosts > 1 and not os.environ.get("GLOO_SOCKET_IFNAME"):
        name = _interface_towards(launch.address)
        if name:
            os.environ["GLOO_SOCKET_IFNAME"] = name


def _interface_towards(address: str) -> str | None:
    """Return the name of the interface over which an address is reached; of our own address, the one that has it."""
    try:
        family, kind, _, _, place = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(place)  # sends nothing: it only looks up the way
            own = probe.getsockname()[0]
    except OSError:
        return None
    return next((name for name in _interface_names() if own in _addresses_of(name)), None)


def _interface_names() -> list[str]:
    try:
        return [name for _, name in socket.if_nameindex()]
    except OSError:
        return []


def _addresses_of(name: str) -> list[str]:
    """Return the IPv4 address of an interface as Linux tells it (SIOCGIFADDR), or []."""
    import struct

    try:
        import fcntl

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            request = struct.pack("256s", name.encode()[:15])
            return [socket.inet_ntoa(fcntl.ioctl(probe.fileno(), 0x8915, request)[20:24])]
    except (ImportError, OSError):
        return []
