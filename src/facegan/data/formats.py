"""Which files are images: by their suffix, or by how their content begins."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
     ".jp2", ".avif")
)  # fmt: skip
UNSUPPORTED_SUFFIXES = frozenset(
    (".heic", ".heif", ".jxl", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".psd", ".svg", ".eps",
     ".tga", ".exr", ".hdr", ".ico")
)  # fmt: skip
"""Images too, but none that is read here."""
_OTHER_SUFFIXES = frozenset(
    (".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".html", ".xml", ".yaml", ".yml", ".zip", ".npy", ".npz", ".mat",
     ".parquet", ".arrow", ".safetensors", ".pt", ".pth", ".py", ".ipynb", ".pdf", ".log", ".db", ".ini", ".lock")
)  # fmt: skip
"""Not looked into: there may be one beside each image."""
SNIFFED_BYTES = 16
"""So many bytes of a file tell what it is."""
_IMAGE_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*", b"\x00\x00\x00\x0cjP  ",
)  # fmt: skip
_UNSUPPORTED_STARTS = (b"8BPS\x00\x01", b"\x00\x00\x00\x0cJXL ", b"\xff\x0a")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")


def kind_of_suffix(path: str) -> str | None:
    """Return "image", "unsupported" or "other"; None where only the content can tell."""
    suffix = suffix_of(path)
    for kind, suffixes in (
        ("image", IMAGE_SUFFIXES),
        ("unsupported", UNSUPPORTED_SUFFIXES),
        ("other", _OTHER_SUFFIXES),
    ):
        if suffix in suffixes:
            return kind
    return None


def kind_of_content(start: bytes) -> str:
    """Return "image", "unsupported" or "other" by the first ``SNIFFED_BYTES`` bytes of a file."""
    if start.startswith(_IMAGE_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "image"
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return "image"
    if start[4:8] == b"ftyp" and start[8:12] in (b"avif", b"avis"):
        return "image"
    if start.startswith(_UNSUPPORTED_STARTS) or (start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS):
        return "unsupported"
    return "other"


def suffix_of(path: str) -> str:
    """Return the suffix in lower case, with its dot; empty for none, and for names that begin with a dot."""
    stem, _, suffix = path.rsplit("/", 1)[-1].rpartition(".")
    return f".{suffix.lower()}" if stem else ""
