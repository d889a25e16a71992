"""Requests and replies: small JSON or safetensors in, safetensors, PNG or JSON out; everything bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from facegan.errors import UserError
from facegan.files import parse_json

LARGEST_JSON = 1 << 16
LARGEST_ARRAYS = 1 << 22
_PATIENCE = 20.0
"""Seconds in which a request has to come whole."""
MOST_FACES = 128
"""In one request."""


class TooLargeError(UserError):
    """A request's body is larger than it may be."""


async def read_body(request: Request, largest: int) -> bytes:
    """Return a request's body, of which no more than ``largest`` bytes are ever held.

    Raises:
        TooLargeError: there is more.
    """
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or len(said) > 15 or int(said) > largest:
        raise TooLargeError(f"the request is larger than {largest:,} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(_PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > largest:
                    raise TooLargeError(f"the request is larger than {largest:,} bytes")
                parts.append(part)
    except (TimeoutError, ClientDisconnect):
        raise UserError("the request did not come whole") from None
    return b"".join(parts)


async def read_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request.

    Raises:
        UserError: it holds something else.
    """
    try:
        found = parse_json(await read_body(request, LARGEST_JSON))
    except ValueError as error:
        raise UserError(f"the request holds no JSON object: {error}") from None
    if not isinstance(found, dict):
        raise UserError("the request holds no JSON object")
    return found


async def read_arrays(request: Request) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file in a request, float32 and finite, one row for each face.

    Raises:
        UserError: it holds something else, or too many faces.
    """
    content = await read_body(request, LARGEST_ARRAYS)
    try:
        found = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"the request holds no safetensors file: {error}") from None
    counts = {len(array) if array.ndim else 0 for array in found.values()}
    if len(counts) != 1 or not 1 <= min(counts) <= MOST_FACES:
        raise UserError(f"give from 1 to {MOST_FACES} faces, and one row of each array for each of them")
    if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in found.values()):
        raise UserError("arrays must be float32 and finite")
    return found


def query(request: Request) -> dict[str, str]:
    """Return what stands behind the question mark.

    Raises:
        UserError: something stands there twice.
    """
    given = dict(request.query_params)
    if len(given) < len(request.query_params.multi_items()):
        raise UserError("the address says something twice")
    return given


def count(found: Mapping[str, np.ndarray]) -> int:
    """Return how many faces arrays of a request are of."""
    return len(next(iter(found.values())))


def arrays(found: Mapping[str, np.ndarray | None]) -> Response:
    """Return a reply with the arrays that are there."""
    kept = {name: np.ascontiguousarray(array) for name, array in found.items() if array is not None}
    return Response(save(kept), media_type="application/octet-stream")


def failure(status: int, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def whole_number(found: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    """Return a whole number of a JSON object; one too large for JavaScript comes as text.

    Raises:
        UserError: it is none, or out of range.
    """
    value = found.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20:
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise UserError(f"{name}: give a whole number from {least} to {most}")
    return value


def numbers(found: Mapping[str, Any]) -> list[int]:
    """Return the numbers of the faces that are asked for.

    Raises:
        UserError: there are none, too many, or others than whole numbers.
    """
    value = found.get("numbers")
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_FACES:
        raise UserError(f"numbers: give from 1 to {MOST_FACES} numbers of faces")
    if any(type(number) is not int or not 0 <= number <= 2**62 for number in value):
        raise UserError("numbers: faces are numbered from 0 to 2^62")
    return value


def settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Model.sample`` in a JSON object: attributes, truncation, labels.

    Raises:
        UserError: one has a wrong type; what it says is checked where it is used.
    """
    attributes, truncation = found.get("attributes", {}), found.get("truncation", 1)
    labels = found.get("labels", "prior")
    if not isinstance(attributes, dict) or not isinstance(labels, str):
        raise UserError("attributes: give an object of names and values; labels: prior or none")
    if isinstance(truncation, bool) or not isinstance(truncation, (int, float)):
        raise UserError("truncation: give a number from 0 to 1")
    return {"attributes": attributes or None, "truncation": truncation, "labels": labels}


def as_json(value: Any) -> Response:
    """Return a reply of JSON; numbers that are not finite become null."""
    return Response(json.dumps(_finite(value)), media_type="application/json", headers={"cache-control": "no-store"})


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(each) for each in value]
    return value
