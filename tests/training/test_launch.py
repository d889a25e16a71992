"""What torchrun and srun say in the environment, and what is made of it."""

import json
import os
import socket
import subprocess
import sys

import pytest

from facegan.errors import UserError
from facegan.recipes import recipe
from facegan.training import launch
from facegan.training.launch import Launch, advice, find_launch
from facegan.training.run_settings import fitted_to
from tests.command import mistake

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "faces", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "first", "MASTER_PORT": "29500", "TORCHELASTIC_RESTART_COUNT": "2",
    "TORCHELASTIC_MAX_RESTARTS": "3",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_ID": "0", "SLURM_JOB_ID": "123456", "SLURM_JOB_NAME": "faces", "SLURM_PROCID": "5",
    "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[07-08]",
}  # fmt: skip


def test_what_torchrun_says():
    assert find_launch(TORCHRUN) == Launch("torchrun", 3, 4, 1, 2, 2, "first", 29500, 2, 3)


def test_what_srun_says():
    assert find_launch(SRUN) == Launch("srun", 5, 8, 1, 4, 2, "gpu07", 15000 + 3456)
    assert find_launch(SRUN | {"MASTER_ADDR": "ib07", "MASTER_PORT": "4"}) == Launch("srun", 5, 8, 1, 4, 2, "ib07", 4)


def test_who_started_a_process_by_hand():
    assert find_launch({}) is None
    assert find_launch({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8"}) is None  # in a batch script, without srun
    assert find_launch(SRUN | {"SLURM_JOB_NAME": "interactive"}) is None


@pytest.mark.parametrize("name", ["LOCAL_RANK", "MASTER_ADDR", "WORLD_SIZE"])
def test_half_of_torchruns_variables_are_refused_by_name(name):
    with pytest.raises(UserError, match=f"torchrun, but {name} is not set"):
        find_launch({key: value for key, value in TORCHRUN.items() if key != name})


def test_what_is_no_number_is_refused():
    with pytest.raises(UserError, match="should be numbers"):
        find_launch(TORCHRUN | {"RANK": "first"})


def test_torchruns_shared_store_is_warned_of_where_hosts_may_go():
    several, one = find_launch(TORCHRUN), find_launch(TORCHRUN | {"GROUP_WORLD_SIZE": "1"})
    once = find_launch(TORCHRUN | {"GROUP_WORLD_SIZE": "1", "TORCHELASTIC_MAX_RESTARTS": "0"})
    assert all("TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in advice(each, {}) for each in (several, one))
    assert advice(several, {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}) == advice(once, {}) == ""


def test_gloo_talks_over_the_interface_that_leads_to_the_main_process(monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    launch.choose_interface(Launch("srun", 0, 2, 0, 1, 2, "127.0.0.1", 1))
    found = os.environ.get("GLOO_SOCKET_IFNAME")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "mine")
    launch.choose_interface(Launch("srun", 0, 2, 0, 1, 2, "127.0.0.1", 1))
    assert os.environ["GLOO_SOCKET_IFNAME"] == "mine"
    monkeypatch.undo()
    os.environ.pop("GLOO_SOCKET_IFNAME", None)
    if sys.platform == "linux":
        assert found in [name for _, name in socket.if_nameindex()] and found.startswith("lo")


@pytest.mark.parametrize("text", ["", "4s", "0", "-5m", "90", "nan", "25h"])
def test_what_is_no_timeout_is_refused(tmp_path, packed16, text):
    said = mistake("train", packed16, "--recipe", "dcgan", "--run", tmp_path / "run", "--timeout", text)
    assert "--timeout" in said or "is empty" in said


def test_a_batch_and_rates_that_fit_many_processes():
    style = recipe("style-s")
    assert fitted_to(1, style, 16) == (style, 16, "")
    assert fitted_to(2, style, 16) == (style, 16, "")
    faster, batch, told = fitted_to(8, style, 16)
    assert batch == 64 and "64 instead of 16" in told and "2 times as high" in told
    assert faster.generator_optimizer.learning_rate == pytest.approx(2 * style.generator_optimizer.learning_rate)
    assert fitted_to(3, recipe("dcgan"), 64)[1] == 72  # three times a multiple of four


def test_rates_that_were_chosen_stay():
    chosen = recipe("style-s").__class__(
        **{**vars(recipe("style-s")), "generator_optimizer": recipe("dcgan").generator_optimizer}
    )
    faster, _, _ = fitted_to(8, chosen, 16)
    assert faster.generator_optimizer == chosen.generator_optimizer
    assert faster.discriminator_optimizer != chosen.discriminator_optimizer


SCRIPT = """
import json, sys
from pathlib import Path
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train
data, run = map(Path, sys.argv[1:])
result = train([data], run, small_recipe("dcgan"), batch=8, precision="float32", threads=1, conv="direct",
               accelerator="cpu", timeout=100.0, schedule=Schedule(images=16, score_count=0))
print(json.dumps([result.nimg, result.is_main]))
"""


@pytest.mark.long
def test_slurm_starts_two_processes_that_train_together(tmp_path, packed16):
    """srun is not here: two processes get the variables that it sets, each a folder of its own."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = SRUN | {"SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": "127.0.0.1"}
    variables |= {"MASTER_PORT": str(port), "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    processes = []
    for rank in range(2):
        own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        command = [sys.executable, str(script), str(packed16), str(tmp_path / f"run{rank}")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, env=os.environ | variables | own, **pipes))
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [json.loads(printed.splitlines()[-1]) for printed, _ in outputs] == [[16, True], [16, False]]
    assert json.loads((tmp_path / "run0" / "run.json").read_text())["processes"] == 2
    assert not (tmp_path / "run1").exists()  # only the main process writes
