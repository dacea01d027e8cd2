"""Keyed randomness."""

import torch

from hetal.rng import draw_seed, stream


def draw(*key):
    return torch.rand(4, generator=stream(*key)).tolist()


def test_a_stream_is_a_function_of_its_key():
    assert draw(0, "fit", 3) == draw(0, "fit", 3)


def test_streams_of_other_keys_differ():
    keys = [
        (0, "fit", 0),
        (1, "fit", 0),
        (0, "fit", 1),
        (0, "query", 0),
        (10, "fit", 0),
        (1, "fit", 10),
        (-1, "fit", 0),
    ]
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)


def test_drawn_seeds_are_in_range():
    rng = stream(0, "x")
    seeds = [draw_seed(rng) for _ in range(100)]
    assert len(set(seeds)) == 100
    assert all(0 <= seed < 2**62 for seed in seeds)
