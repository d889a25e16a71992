"""What the system's own files say of cores, memory, file systems and GPUs."""

import re
from pathlib import Path

import pytest

from facegan.doctor import accelerators, launch, processor, software
from facegan.doctor.accelerators import Hardware, hardware, unusable
from facegan.doctor.finding import Finding, from_error
from facegan.doctor.limits import Limits, cgroup_limits, memory_info
from facegan.doctor.places import kind_of


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_control_groups_of_version_2(tmp_path):
    (tmp_path / "sys/fs/cgroup/jobs/mine").mkdir(parents=True)
    write(tmp_path, proc__self__cgroup="0::/jobs/mine\n", sys__fs__cgroup__jobs__cpu_DOT_max="150000 100000\n")
    write(tmp_path, sys__fs__cgroup__jobs__mine__cpu_DOT_max="max 100000\n")
    write(tmp_path, sys__fs__cgroup__jobs__mine__memory_DOT_max="4096\n")
    write(tmp_path, sys__fs__cgroup__jobs__mine__memory_DOT_current="1024\n")
    assert cgroup_limits(tmp_path) == Limits(1.5, 4096, 1024)
    write(tmp_path, sys__fs__cgroup__jobs__mine__memory_DOT_stat="anon 100\ninactive_file 1000\nactive_file 24\n")
    assert cgroup_limits(tmp_path) == Limits(1.5, 4096, 24), "cached files are no memory in use"


def test_control_groups_of_version_1(tmp_path):
    cgroup = "4:memory:/elsewhere\n1:cpu,cpuacct:/\n"
    write(tmp_path, proc__self__cgroup=cgroup)
    write(tmp_path, sys__fs__cgroup__memory__memory_DOT_limit_in_bytes="9223372036854771712\n")
    write(tmp_path, sys__fs__cgroup__cpu__cpu_DOT_cfs_quota_us="200000\n")
    write(tmp_path, sys__fs__cgroup__cpu__cpu_DOT_cfs_period_us="100000\n")
    assert cgroup_limits(tmp_path) == Limits(2.0, None, None)
    assert cgroup_limits(tmp_path / "nowhere") == Limits(None, None, None)


def test_threads_beside_a_limit_on_processor_time():
    (finding,) = processor.threads({}, 8, Limits(1.5, None, None))
    assert finding.level == "warning" and "--threads 1" in finding.cure
    assert processor.threads({}, 8, Limits(None, None, None)) == []
    assert processor.threads({"OMP_NUM_THREADS": "8"}, 8, Limits(None, None, None)) == []
    (few,) = processor.threads({"OMP_NUM_THREADS": "1"}, 8, Limits(None, None, None))
    assert few.level == "warning" and few.cure == "unset OMP_NUM_THREADS"


def test_memory(tmp_path):
    write(tmp_path, proc__meminfo="MemTotal:  8388608 kB\nMemAvailable:  8388608 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    info = memory_info(tmp_path)
    assert info["MemTotal"] == 8 << 30
    assert [finding.level for finding in processor.memory(info, Limits(None, None, None))] == ["ok"]
    (limited,) = processor.memory(info, Limits(None, 1 << 30, 1 << 29))
    assert limited.level == "fault" and "control group" in limited.sentence
    swapping = info | {"SwapTotal": 1 << 30, "SwapFree": 1 << 28}
    assert [finding.level for finding in processor.memory(swapping, Limits(None, None, None))] == ["ok", "warning"]
    assert processor.memory({}, Limits(None, None, None)) == []


def test_file_systems(tmp_path):
    mounts = tmp_path / "mounts"
    there = tmp_path / "with space" / "runs"
    there.mkdir(parents=True)
    folder = str(tmp_path.resolve()).replace(" ", "\\040")
    mounts.write_text(f"overlay / overlay rw 0 0\nserver:/x {folder}/with\\040space nfs4 rw 0 0\nbad line\n")
    assert kind_of(there, mounts) == "nfs4" and kind_of(tmp_path, mounts) == "overlay"
    assert kind_of(there, tmp_path / "none") == ""


def test_gpus_that_this_torch_cannot_use(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert hardware(tmp_path) == Hardware(False, False, "")
    assert unusable(hardware(tmp_path), "2.13.0+cpu", None, None).level == "ok"
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n"
    write(tmp_path, proc__driver__nvidia__version=version)
    there = hardware(tmp_path)
    assert there == Hardware(True, False, "535.104.05")
    without = unusable(there, "2.13.0+cpu", None, None)
    assert without.level == "fault" and "build without CUDA" in without.sentence and "pytorch.org" in without.cure
    old = unusable(there, "2.13.0", "13.0", None)
    assert old.level == "fault" and "535.104.05" in old.sentence and "CUDA 13.0" in old.cure
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert unusable(there, "2.13.0", "13.0", None).cure == "unset CUDA_VISIBLE_DEVICES"
    assert unusable(Hardware(False, True, ""), "2.13.0+cpu", None, None).level == "warning"
    assert accelerators.examine()


@pytest.mark.parametrize(("variables", "level"), [
    ({"SLURM_JOB_ID": "1"}, "ok"),
    ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4"}, "warning"),
    ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, "warning"),
    ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0"}, "ok"),
    ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_STEP_ID": "0", "MASTER_ADDR": "a",
      "MASTER_PORT": "29500"}, "ok"),
    ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "x"}, "fault"),
    ({"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}, "ok"),
    ({"LOCAL_RANK": "0"}, "fault"),
    ({}, "ok"),
])  # fmt: skip
def test_launchers(variables, level):
    assert [finding.level for finding in launch.examine(variables)] == [level]


def test_what_is_required_is_what_pyproject_says():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    core, extras = text.split("[project.optional-dependencies]")
    core = core.split("dependencies = [")[1]
    assert dict(re.findall(r'"([\w-]+)>=([\d.]+)"', core)) == software.REQUIRED
    for extra, (modules, _) in software.EXTRAS.items():
        (line,) = re.findall(rf"^{extra} = \[(.*)\]", extras, re.MULTILINE)
        assert re.findall(r'"([\w-]+)>=', line) == modules
    assert software.numbers("2.13.0+cpu") == (2, 13, 0) > software.numbers("2.6")


def test_an_old_and_a_missing_package(monkeypatch):
    monkeypatch.setattr(
        software, "versions", lambda: dict.fromkeys(software.REQUIRED, "99") | {"torch": "2.5.1", "rich": None}
    )
    faults = [finding for finding in software.examine() if finding.level == "fault"]
    assert [finding.cure for finding in faults] == ["pip install -U 'torch>=2.6'", "pip install -U 'rich>=13.7'"]


def test_every_fault_has_a_cure():
    with pytest.raises(ValueError, match="without a cure"):
        Finding("fault", "a", "b")
    assert from_error("a", "x is wrong; give another", "b").cure == "give another"
    assert from_error("a", "x is damaged (y: z): prepare it", "b").cure == "prepare it"
    plain = from_error("a", "x: found nothing", "b")
    assert (plain.sentence, plain.cure) == ("x: found nothing", "b")
