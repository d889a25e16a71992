"""Drawn faces: CelebA's layout, labels that are true, the same from the same seed."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.drawn import draw_face, invent_face, paint_face, shown_attributes
from facegan.data.drawn_dataset import write_drawn_dataset
from facegan.errors import UserError

SIZE = (178, 218)


def everything(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def painted(face):
    return np.asarray(paint_face(face, SIZE)).astype(int)


def test_the_layout_is_celebas(drawn):
    lines = (drawn / "list_attr_celeba.txt").read_text().split("\n")
    assert lines[0] == "48" and lines[1] == " ".join(ATTRIBUTE_NAMES) + " " and len(lines) == 51
    for number, line in enumerate(lines[2:-1]):
        assert len(line) == len("000001.jpg") + 40 * 3
        _, attributes, _ = draw_face(3, number)
        cells = dict(zip(ATTRIBUTE_NAMES, map(int, line.split()[1:]), strict=True))
        assert {name: value for name, value in cells.items() if value} == attributes
    partitions = [line.split() for line in (drawn / "list_eval_partition.txt").read_text().splitlines()]
    identities = [line.split() for line in (drawn / "identity_CelebA.txt").read_text().splitlines()]
    names = [f"{number:06d}.jpg" for number in range(1, 49)]
    assert [row[0] for row in partitions] == [row[0] for row in identities] == names
    assert [int(row[1]) for row in identities] == [number // 4 + 1 for number in range(48)]
    split = {person: partition for (_, partition), (_, person) in zip(partitions, identities, strict=True)}
    assert all(split[person] == partition for (_, partition), (_, person) in zip(partitions, identities, strict=True))
    assert list(split.values()) == ["0"] * 9 + ["1"] + ["2"] * 2
    assert sorted(file.name for file in (drawn / "img_align_celeba").iterdir()) == names
    with Image.open(drawn / "img_align_celeba" / names[0]) as image:
        assert image.size == SIZE and image.format == "JPEG" and image.mode == "RGB"


def test_the_same_from_the_same_seed_with_any_number_of_processes(tmp_path):
    write_drawn_dataset(tmp_path / "one", 20, seed=1, workers=1)
    write_drawn_dataset(tmp_path / "two", 20, seed=1, workers=2)
    write_drawn_dataset(tmp_path / "other", 20, seed=2, workers=1)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")
    one, other = everything(tmp_path / "one"), everything(tmp_path / "other")
    assert all(one[name] != other[name] for name in one if name.endswith(".jpg"))


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_drawn_dataset(tmp_path / "out", 2)
    assert everything(tmp_path / "out") == {"mine.txt": b"mine"}
    with pytest.raises(UserError, match="count 0"):
        write_drawn_dataset(tmp_path / "new", 0)


def test_an_interruption_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_drawn_dataset(tmp_path / "out", 40, workers=1, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_attributes_are_mixed():
    signs = np.array([list(shown_attributes(invent_face(0, number)[0]).values()) for number in range(0, 800)])
    share = (signs == 1).mean(axis=0)
    expected = {"Bangs": 0.3, "Blond_Hair": 0.27, "Eyeglasses": 0.22, "Male": 0.5, "Smiling": 0.5, "Wearing_Hat": 0.15}
    assert np.abs(share - list(expected.values())).max() < 0.09
    relation = np.corrcoef(signs.T) - np.eye(6)
    relation[[0, 5], [5, 0]] = 0  # a hat hides a fringe
    assert np.abs(relation).max() < 0.2


def test_faces_of_a_person_share_skin_and_hair():
    people = [[invent_face(0, 4 * person + place)[0] for place in range(4)] for person in range(10)]
    assert all(len({(face.skin, face.hair, face.male, face.iris) for face in faces}) == 1 for faces in people)
    assert len({faces[0].skin for faces in people}) == 10
    assert all(len({face.yaw for face in faces}) == 4 for faces in people)


BARE = {"hat": None, "glasses": None, "bangs": False, "smiling": False, "beard": 0.0, "tilt": 0.0, "yaw": 0.0}
FACES = [replace(invent_face(0, number)[0], **BARE) for number in range(0, 32, 4)]


@pytest.mark.parametrize(
    ("change", "rows", "columns"),
    [
        ({"smiling": True}, slice(88, 170), slice(50, 128)),
        ({"glasses": (30, 30, 30), "sunglasses": False}, slice(96, 128), slice(38, 140)),
        ({"bangs": True}, slice(40, 107), slice(38, 140)),
        ({"hat": (180, 50, 50)}, slice(22, 100), slice(22, 156)),
    ],
    ids=["Smiling", "Eyeglasses", "Bangs", "Wearing_Hat"],
)
def test_an_attribute_changes_what_it_names_and_nothing_else(change, rows, columns):
    for face in FACES:
        before, after = painted(face), painted(replace(face, **change))
        assert sum(shown_attributes(replace(face, **change)).values()) == sum(shown_attributes(face).values()) + 2
        difference = np.abs(before - after).sum(axis=2)
        inside = difference[rows, columns]
        assert (inside > 60).sum() > 60, "to be seen at 64 pixels"
        assert difference.sum() == inside.sum(), "everything else stays as it is"


def test_eyes_and_mouth_stand_where_celeba_aligns_them():
    for face in FACES:
        grey = painted(replace(face, light=0.0)).mean(axis=2)
        for eye_x in (69, 108):
            patch = grey[104:118, eye_x - 8 : eye_x + 9]
            assert patch.min() < 40 and patch.max() > 225, "a pupil and the white round it"
        closed, laughing = (painted(replace(face, smiling=True, teeth=teeth)) for teeth in (False, True))
        changed = np.argwhere(np.abs(closed - laughing).sum(axis=2) > 60)
        assert np.abs(changed.mean(axis=0) - (152, 88.5)).max() < 4


def test_blond_hair_is_blond():
    for seed in range(3):
        for number in range(0, 120, 4):
            face, _ = invent_face(seed, number)
            red, green, blue = face.hair
            looks_blond = red > 190 and green > 150 and red - blue > 50
            assert looks_blond == face.blond


def test_any_size():
    small = draw_face(0, 7, (89, 109))[0]
    assert small.size == (89, 109)
    reduced = np.asarray(draw_face(0, 7, (178, 218))[0].reduce(2)).astype(int)
    assert np.abs(np.asarray(small) - reduced).mean() < 6
