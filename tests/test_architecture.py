"""One way through the house: a module imports only what stands before it, or beside it."""

import ast
from pathlib import Path

import facegan

ORDER = [
    {"errors", "cores", "files", "hints", "durations"},
    {"collectives", "tensor_cache"},
    {"randomness", "provenance", "pixels", "attributes", "config", "config_changes"},
    {"metrics"},
    {"data", "networks", "losses", "augment", "recipes", "machine"},
    {"sampling"},
    {"runs"},
    {"perception"},
    {"training"},
    {"doctor", "planning"},
    {"evaluation"},
    {"report", "api"},
    {"synthetic_dataset", "bulk", "editing", "export"},
    {"studio"},
    {"cli"},
]
ROOT = Path(facegan.__file__).parent
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def imports(file: Path) -> set[str]:
    """Return the top-level parts of facegan that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "facegan":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("facegan."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("facegan.")}
    return found & LEVEL.keys()


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def test_arrows_point_backwards_only():
    files = [file for file in ROOT.rglob("*.py") if part_of(file) not in ("__init__", "__main__")]
    assert {part_of(file) for file in files} == LEVEL.keys()
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imports(file)
        if LEVEL[name] > LEVEL[part_of(file)]
    ]
    assert wrong == []


def test_no_file_is_too_long():
    long = {file.name: lines for file in ROOT.rglob("*.py") if (lines := len(file.read_text().splitlines())) > 400}
    assert long == {}
