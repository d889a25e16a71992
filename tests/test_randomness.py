"""Random123's known answers, our own test vectors for other languages, and the rules that resume stands on."""

import numpy as np
import pytest
import torch

from facegan.randomness import Stream, philox4x32, random_bytes, stream_key

KNOWN_ANSWERS = [  # from Random123's kat_vectors, philox 4x32 10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

VECTORS = {
    "key_low": 0x2709352F,
    "key_high": 0x0A49F409,
    "index": [0, 1, 4294967301],
    "words": [
        [0xC7E775E2, 0x25127F9C, 0x15C8ECEC, 0xCC090283, 0x877D6AB8],
        [0x349324C9, 0xFE9AB553, 0x759C0834, 0x8AB9508B, 0x8C04F3AA],
        [0x8EFA02A7, 0x5068F7A2, 0x8425C29D, 0x7DC7232F, 0x67589884],
    ],
    "normal": [
        [0.43172934651374817, 0.5552375316619873, 0.6462355852127075],
        [1.77824866771698, -0.06093759089708328, -1.2042897939682007],
        [-0.4230629801750183, 0.9929806590080261, -1.148297667503357],
    ],
    "permutation": [4, 2, 5, 7, 1, 0, 6, 3],
}
"""What ``Stream(0, "latents")`` and permutation 1 of ``Stream(0, "order")`` must give in any language."""


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_known_answers(counter, key, expected):
    numpy_words = philox4x32(tuple(np.array([word], np.int64) for word in counter), key)
    torch_words = philox4x32(tuple(torch.tensor([word]) for word in counter), key)
    assert tuple(int(word[0]) for word in numpy_words) == expected
    assert tuple(int(word[0]) for word in torch_words) == expected


def test_vectors_for_other_languages():
    assert stream_key(0, "latents") == (VECTORS["key_low"], VECTORS["key_high"])
    index = np.array(VECTORS["index"])
    np.testing.assert_array_equal(Stream(0, "latents").words(index, 5), np.array(VECTORS["words"], np.uint32))
    np.testing.assert_allclose(Stream(0, "latents").normal(index, 3), VECTORS["normal"], rtol=0, atol=1e-7)
    np.testing.assert_array_equal(Stream(0, "order").permutation(1, 8), VECTORS["permutation"])


def test_an_index_draws_the_same_in_any_batch():
    stream = Stream(3, "latents")
    index = np.array([5, 0, 2**40 + 1, 7])
    together = stream.normal(index, 101)
    for row, one in enumerate(index):
        np.testing.assert_array_equal(stream.normal(np.array([one]), 101)[0], together[row])


def test_a_longer_draw_begins_with_the_shorter_one_across_chunks():
    stream = Stream(0, "long")
    long = stream.words(np.array([1]), 300_000)
    np.testing.assert_array_equal(stream.words(np.array([1]), 1001)[0], long[0, :1001])
    np.testing.assert_array_equal(stream.words(np.arange(4), 300_000)[1], long[0])


def test_seeds_streams_and_indices_are_unlike():
    draws = [Stream(seed, name).words(np.array([index]), 4).tobytes() for seed in (0, 1) for name in ("a", "b")
             for index in (0, 1)]  # fmt: skip
    assert len(set(draws)) == len(draws)


def test_normal_and_uniform_moments():
    normal = Stream(0, "moments").normal(np.arange(2000), 100).astype(np.float64)
    assert abs(normal.mean()) < 0.01
    assert abs(normal.std() - 1) < 0.01
    assert abs((normal**4).mean() - 3) < 0.1
    uniform = Stream(0, "moments").uniform(np.arange(2000), 100)
    assert uniform.min() > 0 and uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005


def test_permutations_are_whole_and_differ():
    first, second = Stream(0, "order").permutation(0, 1000), Stream(0, "order").permutation(1, 1000)
    assert sorted(first) == list(range(1000))
    assert not np.array_equal(first, second)


def test_below_covers_its_range():
    draws = Stream(0, "below").below(np.arange(5000), 7)
    assert set(draws.tolist()) == set(range(7))


def test_random_bytes_are_the_words_of_the_stream_low_byte_first():
    index = torch.tensor([4, 9, 2**33])
    words = Stream(1, "mask").words(index.numpy(), 30)
    expected = words.astype("<u4").view(np.uint8).reshape(3, -1)[:, :117]
    np.testing.assert_array_equal(random_bytes(1, "mask", index, 117).numpy(), expected)
