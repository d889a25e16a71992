"""A studio that is served, with small runs."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from facegan.data.packed import PackedDataset
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train, untrained, write_packed

uvicorn = pytest.importorskip("uvicorn", reason="the extra studio is not installed")
from facegan.studio.app import Studio, create_app  # noqa: E402
from facegan.studio.sources import Sources  # noqa: E402


@dataclass(frozen=True)
class Reply:
    """An answer of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        assert self.status == 200, self.body
        return load(self.body)


@dataclass(frozen=True)
class Served:
    """A studio that listens."""

    port: int
    studio: Studio

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: Any = None, method: str = "", **headers: str) -> Reply:
        """Ask the studio; ``body``: bytes, or a value to be sent as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, content, named)
            answer = connection.getresponse()
            return Reply(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def serving(paths: list[Path], data: list[Path], *, token: str | None = None) -> Iterator[Served]:
    """Serve a studio in a thread."""
    studio = Studio(Sources(paths), [PackedDataset.open(path) for path in data])
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(create_app(studio, port=port, token=token), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield Served(port, studio)
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="package")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 images of as many people at 16 px: some sixty of them are held out."""
    path = tmp_path_factory.mktemp("studio-data") / "people16"
    return write_packed(path, 600, 16, identities=np.arange(1, 601, dtype=np.int32))


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory, photographs: Path) -> Path:
    """A run with two snapshots and some grids."""
    folder = tmp_path_factory.mktemp("studio-run") / "style"
    schedule = Schedule(images=64, snapshot_every=32, sample_every=16, log_every=16, score_count=0)
    recipe = small_recipe("style")
    train([photographs], folder, recipe, batch=8, schedule=schedule, precision="float32", threads=1)
    return folder


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, run: Path, photographs: Path) -> Iterator[Served]:
    """A studio with a style run, a classic-tanh run without styles, and celeba64; photographs of 16 px."""
    tanh = untrained(tmp_path_factory.mktemp("studio-tanh") / "tanh", photographs, "classic-tanh")
    with serving([run, tanh], [photographs]) as found:
        yield found
