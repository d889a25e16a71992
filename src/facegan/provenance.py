"""What leaves facegan says what it is: marks in pictures, and how those of facegan and of other tools are known.

A made picture bears IPTC's digital source type, which others filter by, in an XMP packet, and a sentence for people.
The values: http://cv.iptc.org/newscodes/digitalsourcetype/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facegan import __version__

STATEMENT = "made by a neural network"
MADE_BY_NETWORK = b"trainedAlgorithmicMedia"
"""IPTC's digital source type of what a neural network made, in a file's metadata."""
SHEET = b"facegan sheet"
"""In the metadata of a picture of ours that shows many faces."""
SOFTWARE = f"facegan {__version__}"
XMP_KEY = "XML:com.adobe.xmp"
"""Of the PNG chunk with an XMP packet."""

_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_IN_PART = "compositeSynthetic"
_WEIGHTS_DIGITS = 16
_LONGEST_NAME = 80
_EXIF_DESCRIPTION, _EXIF_SOFTWARE = 0x010E, 0x0131
_MARKS = {
    b"rainedAlgorithmicMedia": "its metadata says so",  # compositeWithTrainedAlgorithmicMedia too
    "\nSteps: ".encode("utf-16-be"): "it has settings of Stable Diffusion web UI",  # of its JPEG and WebP files
}
_TEXTS = {
    "parameters": ("Steps:", "it has settings of Stable Diffusion web UI"),
    "prompt": ('"class_type"', "it has a prompt of ComfyUI"),
    "workflow": ('"nodes"', "it has a workflow of ComfyUI"),
    XMP_KEY: ("rainedAlgorithmicMedia", "its metadata says so"),  # compressed
}
"""{key of a PNG's text: (what is in it, what that means)}"""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made the faces of a picture, as far as it is known; the same facts give the same bytes."""

    model: str = ""
    """A shipped model's name, or the recipe."""
    nimg: int | None = None
    """Real images that the model had seen."""
    sha256: str = ""
    """Of the file with the weights."""
    seed: int | None = None
    first: int | None = None
    """Number of the first face."""
    count: int = 1
    truncation: float = 1.0
    attributes: Mapping[str, float] = field(default_factory=dict)
    """Those that were asked for."""
    labels: str = ""
    """Where the others came from."""
    sheet: bool = False
    """Whether the picture shows many faces."""
    in_part: bool = False
    """Whether other pictures are among them, such as photographs."""

    photographs: bool = False
    """Whether it shows nothing else: then no network made it, and a PNG tells only whether it is a sheet."""

    def of_face(self, place: int) -> Provenance:
        """Return that of a single face, the one at ``place`` from 0."""
        return replace(self, first=None if self.first is None else self.first + place, count=1, sheet=False)

    @property
    def source_type(self) -> str:
        """IPTC's digital source type, a URI."""
        return _SOURCE_TYPES + (_IN_PART if self.in_part else MADE_BY_NETWORK.decode())

    def sentence(self) -> str:
        """Return all that is known in one line."""
        known = [SOFTWARE]
        if self.model:
            known.append(f"model {''.join(filter(str.isprintable, self.model))[:_LONGEST_NAME]}")
        if self.nimg is not None:
            known.append(f"{self.nimg:,} images seen")
        if self.sha256:
            known.append(f"weights {self.sha256[:_WEIGHTS_DIGITS]}")
        if self.seed is not None:
            known.append(f"seed {self.seed}")
        if self.first is not None:
            many = f"numbers {self.first} to {self.first + self.count - 1}"
            known.append(f"number {self.first}" if self.count == 1 else many)
        if self.truncation != 1:
            known.append(f"truncation {self.truncation:g}")
        known += [f"{name}={value:g}" for name, value in self.attributes.items()]
        if self.labels == "none":
            known.append("labels none")
        return f"{'in part ' if self.in_part else ''}{STATEMENT}: {', '.join(known)}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values: all that is known, for a file beside an array."""
        return {
            "statement": self.sentence(),
            "digital_source_type": self.source_type,
            "software": SOFTWARE,
            "model": self.model,
            "weights_sha256": self.sha256,
            "nimg": self.nimg,
            "seed": self.seed,
            "first": self.first,
            "count": self.count,
            "truncation": self.truncation,
            "attributes": dict(self.attributes),
            "labels": self.labels,
        }

    def xmp(self) -> bytes:
        """Return an XMP packet: digital source type, description, program, and of a sheet that it is one."""
        title = f"<dc:title><rdf:Alt>{_text(SHEET.decode())}</rdf:Alt></dc:title>" if self.sheet else ""
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
            'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">'
            f"<Iptc4xmpExt:DigitalSourceType>{self.source_type}</Iptc4xmpExt:DigitalSourceType>"
            f"<dc:description><rdf:Alt>{_text(self.sentence())}</rdf:Alt></dc:description>{title}"
            f"<xmp:CreatorTool>{escape(SOFTWARE)}</xmp:CreatorTool>"
            '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
        ).encode()

    def png_info(self) -> PngInfo:
        """Return the text chunks of a PNG: they come before the pixels."""
        info = PngInfo()
        info.add_text("Software", SOFTWARE)
        if self.sheet:
            info.add_text("Title", SHEET.decode())
        if self.photographs:
            return info
        info.add_text("Description", self.sentence())
        info.add_itxt(XMP_KEY, self.xmp().decode())
        return info

    def exif(self) -> Image.Exif:
        """Return the EXIF entries of a JPEG or WebP file."""
        exif = Image.Exif()
        exif[_EXIF_DESCRIPTION], exif[_EXIF_SOFTWARE] = self.sentence(), SOFTWARE
        return exif

    def comment(self) -> bytes:
        """Return the comment of a GIF, which takes no XMP from Pillow. The marks come first: a block has 255 bytes."""
        return "; ".join([*([SHEET.decode()] if self.sheet else []), self.source_type, self.sentence()]).encode()

    def save_options(self, kind: str) -> dict[str, Any]:
        """Return what Pillow's ``save`` needs to write it into a file of format PNG, GIF, JPEG, WEBP or AVIF."""
        match kind:
            case "PNG":
                return {"pnginfo": self.png_info()}
            case "GIF":
                return {"comment": self.comment()}
            case "JPEG" | "WEBP" | "AVIF":
                return {"xmp": self.xmp(), "exif": self.exif()}
        raise ValueError(f"{kind} has no place for it")


SHEET_OF_PHOTOGRAPHS = Provenance(sheet=True, photographs=True)


def _text(text: str) -> str:
    return f'<rdf:li xml:lang="x-default">{escape(text)}</rdf:li>'


def made_by_network(data: bytes, info: Mapping[Any, Any]) -> str | None:
    """Return how a picture says that a neural network made it; None if it does not.

    ``data``: the file. ``info``: Pillow's of the loaded picture.
    """
    found = (reason for mark, reason in _MARKS.items() if mark in data)
    told = (reason for key, (mark, reason) in _TEXTS.items() if isinstance(info.get(key), str) and mark in info[key])
    return next(found, None) or next(told, None)
