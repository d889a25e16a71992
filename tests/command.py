"""The command line as tests call it: in this process, because a process of its own spends seconds on its imports."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import torch

from facegan.cli import main


def facegan(*arguments: object, cwd: Path | None = None, answer: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``facegan ARGUMENTS``; return its exit code and what it printed.

    ``answer``: what stands on its standard input. What the command sets for its whole process is put back afterwards;
    its priority, which cannot be put back, is left as it is.
    """
    words = list(map(str, arguments))
    out, err, code = io.StringIO(), io.StringIO(), 0
    threads, handlers = torch.get_num_threads(), {number: signal.getsignal(number) for number in (2, 15)}
    with (
        contextlib.chdir(cwd or os.curdir),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["facegan", *words]),
        mock.patch.object(sys, "stdin", io.StringIO(answer or "")),
        mock.patch.object(os, "nice", create=True),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            torch.set_num_threads(threads)
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def facegan_process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``facegan ARGUMENTS`` as a person does, in a process of its own."""
    command = [sys.executable, "-m", "facegan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def mistake(*arguments: object, cwd: Path | None = None) -> str:
    """Run a command that must fail as a user's mistake; return its one sentence."""
    done = facegan(*arguments, cwd=cwd)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    return lines[0]
