"""CelebA's layout of a folder, character by character."""

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.layout import file_name
from tests.data.conftest import labels_of


def test_the_layout_is_celebas(celeba):
    lines = (celeba / "list_attr_celeba.txt").read_text().split("\n")
    assert lines[0] == "48" and lines[1] == " ".join(ATTRIBUTE_NAMES) + " " and len(lines) == 51
    for number, line in enumerate(lines[2:-1]):
        assert len(line) == len("000001.jpg") + 40 * 3
        cells = dict(zip(ATTRIBUTE_NAMES, map(int, line.split()[1:]), strict=True))
        assert {name: value for name, value in cells.items() if value} == labels_of(number)[0]
    partitions = [line.split() for line in (celeba / "list_eval_partition.txt").read_text().splitlines()]
    identities = [line.split() for line in (celeba / "identity_CelebA.txt").read_text().splitlines()]
    names = [file_name(number) for number in range(48)]
    assert names[0] == "000001.jpg"
    assert [row[0] for row in partitions] == [row[0] for row in identities] == names
    assert [int(row[1]) for row in identities] == [number // 4 + 1 for number in range(48)]
    split = {person: partition for (_, partition), (_, person) in zip(partitions, identities, strict=True)}
    assert all(split[person] == partition for (_, partition), (_, person) in zip(partitions, identities, strict=True))
    assert list(split.values()) == ["0"] * 9 + ["1"] + ["2"] * 2
