"""The programs that are measured beside each other start."""

import subprocess
import sys

import pytest


@pytest.mark.long
@pytest.mark.parametrize("arguments", [("--help",), ("nonsense", "dcgan", "16")])
def test_our_side_knows_its_arguments(benchmarks, arguments):
    command = [sys.executable, str(benchmarks / "peers" / "facegan_side.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "{train,sample}" in done.stdout + done.stderr and "Traceback" not in done.stderr
