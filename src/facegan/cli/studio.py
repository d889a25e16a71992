"""``facegan studio``."""

from __future__ import annotations

import contextlib
import secrets
import socket
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

_HERE = ("127.0.0.1", "localhost", "::1")


def studio(
    sources: Annotated[
        list[Path] | None,
        Argument(help="Models and runs to show: as for facegan sample. celeba64 is always among them."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        Option(help="Photographs, written by facegan prepare, for the game (repeatable); default: a run's own."),
    ] = None,
    port: Annotated[int, Option(help="Port; 0 takes a free one.")] = 7860,
    host: Annotated[
        str, Option(help="Address to listen at. Another than 127.0.0.1 lets others in, who need the token printed.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, Option("--open/--no-open", help="Open the page in your browser.")] = True,
    device: options.Device = "auto",
) -> None:
    """Look at faces, change them, watch a training, and play, in your browser.

    It runs on this machine and sends nothing anywhere. Runs may be in training while you look: new snapshots and
    samples appear by themselves. http://127.0.0.1:7860/face/SEED.png?Smiling=1 is a face for your own pages.

    \b
    facegan studio
    facegan studio runs/style --data data/celeba64
    facegan studio runs/style runs/dcgan celeba64 --port 8000
    """
    options.check_between("--port", port, 0, 65535)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f"the studio needs {error.name}: pip install 'facegan[studio]'") from None
    with _listen(host, port) as listener:
        _serve(listener, host, sources or [], data or [], device, open_browser)


def _serve(
    listener: socket.socket, host: str, sources: list[Path], data: list[Path], device: str, open_browser: bool
) -> None:
    """Serve until Ctrl-C."""
    import uvicorn

    from facegan.data.packed import PackedDataset
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.studio.app import Studio, create_app
    from facegan.studio.sources import Sources

    keep_freed_memory()
    port = listener.getsockname()[1]
    token = None if host in _HERE else secrets.token_urlsafe(16)
    found = Sources(sources, device=str(inference_device(device)))
    made = Studio(found, [PackedDataset.open(path) for path in data])
    own = _own_address() if host in ("0.0.0.0", "::") else host
    shown = f"[{own}]" if ":" in own else own
    address = f"http://{shown}:{port}/" + (f"?token={token}" if token else "")
    typer.echo(f"{address}  (Ctrl-C ends it)", err=True)
    if token:
        typer.echo("others can open it too, with this address: it shows your faces and photographs", err=True)
    if open_browser and token is None:
        webbrowser.open(address)
    config = uvicorn.Config(
        create_app(made, port=port, token=token), log_level="warning", limit_concurrency=2000, timeout_keep_alive=5,
        server_header=False, date_header=False, h11_max_incomplete_event_size=1 << 15,
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):  # how a studio ends
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything is loaded: who waits wants to know at once.

    Raises:
        UserError: the address is not this machine's, or taken.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as unless_bound:
            listener = unless_bound.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            unless_bound.pop_all()
        return listener
    except OSError as error:
        raise UserError(
            f"--host {host} --port {port}: {error.strerror or error}; choose another, such as --port 0"
        ) from None


def _own_address() -> str:
    """Return the address by which others find this machine, or its name; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of documentation's: a route is looked for, no packet goes out
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
