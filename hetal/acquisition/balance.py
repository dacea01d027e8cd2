"""Equal shares of classes: points picked at random, as many of each class as there can be."""

from __future__ import annotations

import torch

from hetal.acquisition.inputs import Array, as_tensor, checked_generator, like


def balanced(labels_M: Array, n: int, generator: torch.Generator) -> Array:
    """Pick `n` points, as many of each class, at random within a class.

    Where `n` is no multiple of the number of classes, random ones get one more; where a class has too few points, the
    others share what is missing.

    Args:
        labels_M: (M,) int64, 0 or more; points under 0 are of no class and come last.
        n: how many to pick.
        generator: where all randomness comes from; its device need not be that of the labels.

    Returns:
        (n,) int64 distinct indices into the points, on their device, or a numpy array as they are: a point of each
        class, then a second of each, and so on.

    Raises:
        ValueError: `n` is negative or exceeds M.
    """
    given, rng = as_tensor(labels_M, "labels_M"), checked_generator(generator)
    if not 0 <= n <= len(given):
        raise ValueError(f"n={n}: must be in 0..{len(given)}, the number of points")
    labels = given.cpu()
    order = torch.randperm(len(labels), generator=rng, device=rng.device).cpu()
    classes = labels[labels >= 0].unique()
    classes = classes[torch.randperm(len(classes), generator=rng, device=rng.device).cpu()]
    # The classes take turns: a first point of each, then a second, and so on.
    shuffled, turn = labels[order], torch.full_like(order, len(classes) * len(labels))
    for place, label in enumerate(classes.tolist()):
        points = (shuffled == label).nonzero().squeeze(1)
        turn[points] = torch.arange(len(points)) * len(classes) + place
    return like(labels_M, order[turn.argsort(stable=True)[:n]].to(given.device))
