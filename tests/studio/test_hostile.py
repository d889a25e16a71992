"""A hostile client: it gets refusals, and everybody else gets answers."""

import contextlib
import io
import json
import resource
import socket
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save

from tests.studio.conftest import serving

FACES = "/api/models/celeba64/faces"


def memory():
    """Return the megabytes that this process, server included, has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/api/models/..",
        "/api/models/%2e%2e%2f%2e%2e%2fetc", "/api/models/%00", "/api/models/run-0@../../x", "/api/models/run-0@-1",
        "/api/models/run-0@99999999999999999999999", "/api/runs/..%2f..", "/api/runs/run-0/grids/..%2fx",
        "/api/runs/run-0/grids/-1", "/api/jobs/..%2f..%2fetc%2fpasswd", "/face/..%2f..%2fetc%2fpasswd.png",
        "/api/runs/run-0/grids/" + "9" * 5000, "/api/models/" + "x" * 5000,
        "/api/models/celeba64/faces/../../../x", "/api/models/run-0@%D9%A3",
    ],
)  # fmt: skip
def test_paths_lead_nowhere(served, path):
    reply = served.ask(path)
    assert reply.status in (400, 404, 405), (path, reply.status)
    assert b"root:" not in reply.body and b"Traceback" not in reply.body


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 60_000, b'{"numbers": []}', b'{"numbers": [1e400]}',
        b'{"numbers": [-1]}', b'{"numbers": [0.5]}', b'{"numbers": "0"}', b'{"numbers": [9999999999999999999999]}',
        json.dumps({"numbers": list(range(129))}).encode(), b'{"numbers": [0], "seed": -1}',
        b'{"numbers": [0], "seed": "9999999999999999999999"}', b'{"numbers": [0], "seed": [1]}',
        b'{"numbers": [0], "truncation": 2}', b'{"numbers": [0], "truncation": "x"}',
        b'{"numbers": [0], "labels": "x"}',
        b'{"numbers": [0], "attributes": {"Smiling": 5}}', b'{"numbers": [0], "attributes": {"None": 1}}',
        b'{"numbers": [0], "attributes": {"Smiling": "x"}}', b'{"numbers": [0], "attributes": [1]}',
        b'{"numbers": [0], "truncation": NaN}', b'{"numbers": [true]}',
    ],
)  # fmt: skip
def test_wrong_json_is_refused_in_a_sentence(served, body):
    reply = served.ask(FACES, body)
    assert reply.status == 400 and reply.json["error"], (body[:40], reply.body)


def test_wrong_arrays_are_refused(served):
    good = np.zeros((1, 256), np.float32)
    wrong = [
        b"", b"x" * 100, save({"styles": good}) + b"x", save({"styles": good.astype(np.float64)}),
        save({"styles": good[:, :7]}), save({"styles": np.full_like(good, np.nan)}), save({"latents": good}),
        save({"styles": np.zeros((0, 256), np.float32)}), save({"styles": np.zeros((129, 256), np.float32)}),
        save({"styles": good, "labels": np.zeros((2, 40), np.float32)}), save({"styles": np.float32(1)[None][0:0]}),
        save({"styles": good, "labels": np.zeros((1, 3), np.float32)}), struct.pack("<Q", 2**60) + b"{}",
        save({"styles": np.zeros((1, 9, 256, 1), np.float32)}),
    ]  # fmt: skip
    for content in wrong:
        reply = served.ask("/api/models/celeba64/render", content)
        assert reply.status == 400 and reply.json["error"], content[:80]
    shapes = [
        ("celeba64", "styles", (2, 0, 256)), ("celeba64", "styles", (2, 3, 256)), ("celeba64", "styles", (2, 9, 0)),
        ("celeba64", "styles", (2,)), ("run-1", "latents", (2, 3, 5)), ("run-1", "latents", (2,)),
        ("run-1", "latents", (2, 0)), ("run-1", "latents", (2, 0, 0)),
    ]  # fmt: skip
    for model, name, shape in shapes:
        for kind in ("render", "film?frames=3"):
            reply = served.ask(f"/api/models/{model}/{kind}", save({name: np.zeros(shape, np.float32)}))
            assert reply.status == 400 and f"{name} of shape" in reply.json["error"], (kind, shape, reply.body)


def test_bodies_that_are_too_large_are_not_read(served):
    before = memory()
    assert served.ask(FACES, b"x" * (1 << 17)).status == 413
    assert served.ask("/api/models/celeba64/photo", b"x", content_length=str(10**12), method="POST").status == 413
    with socket.create_connection(("127.0.0.1", served.port)) as connection:  # no length said, and no end
        head = f"POST {FACES} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        connection.settimeout(10)
        answer = b""
        try:
            for _ in range(2000):
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            pass
        with contextlib.suppress(OSError):
            answer = connection.recv(1000)
        assert answer == b"" or b" 413 " in answer
    assert memory() - before < 150


def bomb(side):
    """Return a small PNG that says it is huge, black all over."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (3 * side + 1)
    content = b"".join(packer.compress(row) for _ in range(min(side, 2000))) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def test_photos_that_are_none(served):
    before = memory()
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "PNG")
    wrong = [b"", b"GIF89a", b"x" * 1000, small.getvalue(), small.getvalue()[:40], bomb(50_000), bomb(7_000), b"<svg/>"]
    for content in wrong:
        reply = served.ask("/api/models/celeba64/photo", content)
        assert reply.status == 400 and "this file" in reply.json["error"], reply.body
    assert memory() - before < 300


def test_other_hosts_and_origins(served):
    here = f"127.0.0.1:{served.port}"
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", f"127.0.0.1.evil.example:{served.port}"):
        assert served.ask("/api/sources", Host=host).status == 403, host
    assert served.ask("/api/sources", Host=f"localhost:{served.port}").status == 200
    for origin in ("http://evil.example", "null", f"https://evil.example:{served.port}", f"http://{here}.evil.example"):
        assert served.ask("/api/sources", Origin=origin).status == 403, origin
        assert served.ask(FACES, {"numbers": [0]}, Origin=origin).status == 403, origin
    assert served.ask("/api/sources", Origin=f"http://{here}").status == 200
    assert served.ask("/api/sources", Sec_Fetch_Site="cross-site").status == 403
    open_to_others = served.ask("/face/1.png", Origin="http://my-own.example", Sec_Fetch_Site="cross-site")
    assert open_to_others.status == 200 and open_to_others.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "access-control-allow-origin" not in open_to_others.headers


def test_an_origin_that_is_none_is_refused(served):
    assert served.ask("/api/sources", origin="http://[").status == 403


def test_a_token_where_others_can_ask(run):
    with serving([run], [], token="secret") as served:
        assert served.ask("/").status == 403
        assert served.ask("/?token=other").status == 403
        first = served.ask("/?token=secret")
        assert first.status == 200 and "SameSite=Strict" in first.headers["set-cookie"]
        assert served.ask("/api/sources", Cookie="facegan-token=secret", Host="studio.example").status == 200
        assert served.ask("/api/sources", Cookie="facegan-token=wrong").status == 403
        assert served.ask("/api/sources", Cookie="\x07;;==").status == 403
        assert served.ask("/face/1.png").status == 403


def test_two_hundred_at_once_and_others_are_answered(served):
    before, statuses = memory(), []

    def flood(number):
        body = {"seed": number, "numbers": list(range(64))}
        statuses.append(served.ask("/api/models/run-0/faces", body).status)

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    waits = []
    for _ in range(5):
        begun = time.perf_counter()
        assert served.ask("/api/sources").status == 200
        assert served.ask("/api/runs/run-0").status == 200
        waits.append(time.perf_counter() - begun)
    for thread in threads:
        thread.join(300)
    assert len(statuses) == 200 and set(statuses) <= {200, 503} and statuses.count(200) >= 60
    assert served.ask(FACES, {"numbers": [0]}).status == 200
    assert memory() - before < 1500


def test_what_is_cheap_comes_first_and_what_is_costly_is_refused():
    import asyncio

    from facegan.studio.work import BusyError, Work

    async def ask():
        work, done, gate = Work(3), [], threading.Event()

        async def task(name, cost):
            try:
                await work.run(done.append, name, cost=cost)
            except BusyError:
                done.append(f"{name} refused")

        blocking = asyncio.create_task(work.run(gate.wait))
        await asyncio.sleep(0.1)
        tasks = [asyncio.create_task(task(name, cost)) for name, cost in (("a", 64), ("b", 64), ("c", 64), ("d", 1))]
        await asyncio.sleep(0.1)
        gate.set()
        await asyncio.gather(blocking, *tasks)
        work.close()
        return done

    assert asyncio.run(ask()) == ["c refused", "d", "a", "b"]
