"""The first signal lets the step be finished; a second one, of whichever kind, ends the process."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal
from facegan.training.stop import StopRequest
stop = StopRequest()
with stop.listening():
    os.kill(os.getpid(), signal.SIGINT)
    print(stop.signal, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("still here", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_the_second_signal_ends_the_process():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{int(signal.SIGINT)}\n"
    assert done.returncode == -signal.SIGTERM
