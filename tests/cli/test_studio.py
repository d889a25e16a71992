"""``facegan studio``: it says where it is, and ends without a word at Ctrl-C."""

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.command import mistake

pytest.importorskip("uvicorn", reason="the extra studio is not installed")


def test_it_serves_until_it_is_stopped():
    command = [sys.executable, "-m", "facegan", "studio", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        port = int(re.match(r"http://127\.0\.0\.1:(\d+)/  \(Ctrl-C ends it\)", line)[1])
        for _ in range(200):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                try:
                    connection.request("GET", "/api/sources")
                    assert connection.getresponse().status == 200
                    break
                except OSError:
                    time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_elsewhere_it_asks_for_a_token_and_a_port_that_is_free(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "already in use" in mistake("studio", "--no-open", "--port", port)
    assert "--port" in mistake("studio", "--port", 70000)
    assert "there is no model" in mistake("studio", tmp_path / "none", "--port", 0, "--no-open")
    assert "--host" in mistake("studio", "--host", "no.such.host.invalid", "--port", 0, "--no-open")
