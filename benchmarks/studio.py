"""The studio under use and under attack: the time from a slider to the face, through the server; memory; refusals.

    python benchmarks/studio.py

A server of its own is started with celeba64. In Chromium a slider is moved 100 times, with nobody else there and then
beside a second user who asks for 24 faces again and again. Then 200 clients at once ask for 64 faces each, 400 send
bodies without end, photos that unpack to gigabytes, and paths that lead elsewhere, while another user goes on asking:
the longest wait of that user, the server's memory before and after, and whether it still answers.
"""

import http.client
import json
import re
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from page import SLIDER_TIMES

from facegan.machine import describe_machine

FACES = "/api/models/celeba64/faces"


def ask(port: int, path: str, body: bytes | None = None, timeout: float = 300) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def bomb() -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(b"\0" * 90_001) for _ in range(3000)) + packer.flush()
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def megabytes(process: subprocess.Popen[str], name: str) -> float:
    text = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", text)
    return int(found[1]) / 1024 if found else 0.0


def sliders(port: int, browser: object) -> None:
    def moved(label: str) -> None:
        page = browser.new_context().new_page()  # type: ignore[attr-defined]
        page.goto(f"http://127.0.0.1:{port}/#model=celeba64")
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        page.locator("#grid .face").first.click()
        times = page.evaluate(SLIDER_TIMES)
        print(f"slider to face, {label}: median {np.median(times):.0f} ms, 95% {np.quantile(times, 0.95):.0f} ms")
        page.close()

    moved("alone")
    stop = threading.Event()

    def second() -> None:
        body = json.dumps({"numbers": list(range(24))}).encode()
        while not stop.is_set():
            ask(port, FACES, body)
            time.sleep(1)

    other = threading.Thread(target=second)
    other.start()
    moved("beside a user who asks for 24 faces each second")
    stop.set()
    other.join()


def attack(port: int, process: subprocess.Popen[str]) -> None:
    before, statuses, waits, over = megabytes(process, "VmRSS"), Counter[str](), [], threading.Event()
    packed = bomb()

    def other_user() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            statuses[f"other user {ask(port, '/api/models/celeba64')}"] += 1
            waits.append(time.perf_counter() - begun)
            time.sleep(0.2)

    def many(number: int) -> None:
        body = json.dumps({"seed": number, "numbers": list(range(64))}).encode()
        statuses[f"64 faces {ask(port, FACES, body)}"] += 1

    def large(number: int) -> None:
        statuses[f"20 MB of JSON {ask(port, FACES, b'[' * 20_000_000)}"] += 1

    def photo(number: int) -> None:
        statuses[f"bomb {ask(port, '/api/models/celeba64/photo', packed)}"] += 1

    def path(number: int) -> None:
        statuses[f"path {ask(port, '/..%2f..%2fetc%2fpasswd')}"] += 1

    user = threading.Thread(target=other_user)
    user.start()
    kinds = [many] * 200 + [large] * 100 + [photo] * 100 + [path] * 200
    threads = [threading.Thread(target=kind, args=(number,)) for number, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    user.join()
    for name, count in sorted(statuses.items()):
        print(f"  {name}: {count}")
    print(f"the other user waited {1000 * np.median(waits):.0f} ms (median), {1000 * max(waits):.0f} ms at most")
    now, most = megabytes(process, "VmRSS"), megabytes(process, "VmHWM")
    print(f"memory {before:.0f} MB before, {now:.0f} MB after, {most:.0f} MB at most; still answers: {ask(port, '/')}")


def main() -> None:
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("there is no Chromium here: apt install chromium")
    command = [sys.executable, "-m", "facegan", "studio", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        match = re.search(r":(\d+)/", process.stderr.readline())
        assert match is not None
        port = int(match[1])
        while ask(port, "/api/models/celeba64") != 200:
            time.sleep(0.2)
        print(describe_machine())
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
            sliders(port, browser)
            browser.close()
        attack(port, process)
        process.terminate()


if __name__ == "__main__":
    main()
