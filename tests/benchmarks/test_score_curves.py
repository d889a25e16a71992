import json

import pytest


def test_a_line_on_logarithmic_axes_is_continued_exactly():
    from score_curves import extrapolate, reckoning

    points = {images: {"a": 1.5 + 4e5 * images**-0.8} for images in (100_000, 200_000, 500_000)}
    expected = 1.5 + 4e5 * 3_000_000**-0.8
    assert extrapolate(points, "a", 1.5, [3_000_000]) == pytest.approx([expected], rel=1e-9)
    assert extrapolate(points, "a", 0.0, [3_000_000])[0] < expected

    _, _, row = reckoning({"run": points, "short": dict(list(points.items())[:2])}, {"a": 1.5}, 0, [3_000_000])
    assert row.startswith("| run, a, 100,000 to 500,000 |") and row.endswith(f"to {expected:.3g} |")


def test_a_receipt_joins_the_table_in_the_order_of_images(tmp_path):
    from score_curves import read_receipt, read_table, write_table

    receipt = {
        "model": {"nimg": 3000},
        "scores": [
            {"name": "frechet", "space": "judge-net", "estimate": {"value": 7.25}},
            {"name": "recall", "space": "judge-net", "estimate": {"value": 0.5}},
        ],
    }
    (tmp_path / "receipt.json").write_text(json.dumps(receipt))
    images, scores = read_receipt(tmp_path / "receipt.json")
    curves = {"run": {5000: {"judge-net": 6.0}, images: scores}}
    write_table(tmp_path / "table.csv", curves)
    assert (tmp_path / "table.csv").read_text() == "run,images,judge-net\nrun,3000,7.25\nrun,5000,6\n"
    assert read_table(tmp_path / "table.csv") == curves


def test_the_picture_is_written(tmp_path):
    from score_curves import draw

    draw({"run": {1000: {"a": 9.0}, 4000: {"a": 5.0}}}, {"a": 1.0}, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
