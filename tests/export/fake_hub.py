"""Enough of the Hugging Face hub's HTTP to download from, on this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest


class Hub(ThreadingHTTPServer):
    """Holds repositories, {name: {path: bytes}}, and logs what it is asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.log: list[str] = []

    def __enter__(self) -> Hub:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def take(self, folder: Path, name: str) -> None:
        """Hold the files of a folder as a repository, as an upload leaves them."""
        self.repositories[name] = {file.name: file.read_bytes() for file in folder.iterdir()}

    @contextlib.contextmanager
    def client(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Let huggingface_hub ask this hub."""
        with patch.context() as here:
            here.setenv("NO_PROXY", "127.0.0.1")
            for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
                here.delenv(name, raising=False)
            here.setenv("HF_ENDPOINT", f"http://127.0.0.1:{self.server_address[1]}")
            yield


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append(path)
        about = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/.+)?", path)
        tree = re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/.+", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        if about and about[1] in self.server.repositories:
            files = self.server.repositories[about[1]]
            siblings = [{"rfilename": name} for name in files]
            self._answer(json.dumps({"id": about[1], "sha": _commit(files), "siblings": siblings}).encode())
        elif tree and tree[1] in self.server.repositories:
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.server.repositories[tree[1]].items()
            ]
            self._answer(json.dumps(entries).encode())
        elif file and file[2] in self.server.repositories.get(file[1], {}):
            content = self.server.repositories[file[1]][file[2]]
            digest = hashlib.sha256(content).hexdigest()
            self._answer(content, {"ETag": f'"{digest}"', "X-Repo-Commit": _commit(self.server.repositories[file[1]])})
        else:
            self._answer(b"{}", {"X-Error-Code": "RepoNotFound"}, 404)

    do_HEAD = do_GET

    def _answer(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _commit(files: dict[str, bytes]) -> str:
    return hashlib.sha1(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()
