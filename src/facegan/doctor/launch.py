"""The environment variables with which torchrun and Slurm tell processes of each other."""

from __future__ import annotations

from collections.abc import Mapping

from facegan.doctor.finding import Finding

TOPIC = "launch"
_TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
_NUMBERS = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """Return what is to be said of the variables of torchrun and of Slurm."""
    return [*_torchrun(environment), *_slurm(environment)] or [
        Finding("ok", TOPIC, "started by itself: no variables of torchrun or Slurm are set")
    ]


def _torchrun(environment: Mapping[str, str]) -> list[Finding]:
    names = _TORCHRUN if "SLURM_STEP_ID" not in environment else _TORCHRUN[:3]  # srun takes an address from them too
    there = [name for name in names if name in environment]
    if not there:
        return []
    facts = {name: environment[name] for name in there}
    forget = f"unset {' '.join(there)}, or start with torchrun"
    if missing := [name for name in _TORCHRUN if name not in environment]:
        said = f"{', '.join(there)} set, and {', '.join(missing)} not: a training would wait for others for ever"
        return [Finding("fault", TOPIC, said, forget, facts)]
    numbers = {name: environment[name] for name in _NUMBERS if name in environment}
    if wrong := [name for name, text in numbers.items() if not text.isdecimal()]:
        return [Finding("fault", TOPIC, f"{wrong[0]}={numbers[wrong[0]]!r} is no number", forget, facts)]
    value = {name: int(text) for name, text in numbers.items()}
    value.setdefault("LOCAL_WORLD_SIZE", value["WORLD_SIZE"])
    for rank, size in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE"), ("LOCAL_WORLD_SIZE", "WORLD_SIZE")):
        most = value[size] if rank == "LOCAL_WORLD_SIZE" else value[size] - 1
        if value[rank] > most:
            said = f"{rank}={value[rank]} with {size}={value[size]}: it is at most {most}"
            return [Finding("fault", TOPIC, said, forget, facts)]
    if not 0 < value["MASTER_PORT"] < 65536:
        return [Finding("fault", TOPIC, f"MASTER_PORT={value['MASTER_PORT']} is no port", forget, facts)]
    said = f"torchrun: process {value['RANK']} of {value['WORLD_SIZE']}, meeting at {environment['MASTER_ADDR']}"
    return [Finding("ok", TOPIC, said, facts=facts)]


def _slurm(environment: Mapping[str, str]) -> list[Finding]:
    if "SLURM_JOB_ID" not in environment:
        return []
    names = ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_NTASKS_PER_NODE", "SLURM_CPUS_PER_TASK", "SLURM_NNODES")
    facts = {name: environment[name] for name in names if name in environment}
    tasks = environment.get("SLURM_NTASKS", "1")
    if not tasks.isdecimal():
        return [Finding("fault", TOPIC, f"SLURM_NTASKS={tasks!r} is no number", "unset SLURM_NTASKS", facts)]
    if int(tasks) > 1 and "SLURM_STEP_ID" not in environment:  # a batch script has a SLURM_PROCID too
        said = f"inside a Slurm job of {tasks} tasks, and not started by srun: only this process would train"
        return [Finding("warning", TOPIC, said, "srun facegan train ..., or torchrun", facts)]
    return [Finding("ok", TOPIC, f"Slurm: {tasks} task{'s' if int(tasks) > 1 else ''}", facts=facts)]
