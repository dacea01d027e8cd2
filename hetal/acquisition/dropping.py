"""Predictions that flip when features are dropped at random: the candidates of DropQuery.

Gupte, Aklilu, Nirschl & Yeung-Levy (TMLR 2024, arXiv 2401.14555): the head predicts a class from features, and again
from features of which each is set to 0 with probability rho, the others divided by 1 - rho, as dropout does. A point
whose prediction is another in more than half of the passes is a candidate.
"""

from __future__ import annotations

import torch

from hetal.acquisition.inputs import AnyArray, Array, as_tensor, checked_generator, like
from hetal.acquisition.mixing import Head, split
from hetal.machine.transfer import to_device


@torch.no_grad()
def dropout_flips(
    features_MD: Array,
    head: Head,
    generator: torch.Generator,
    *,
    n_passes: int,
    dropout: float,
    rows: AnyArray | None = None,
) -> Array:
    """Count in how many passes with dropout the predicted class is another than without.

    Args:
        features_MD: (M, D); may be backed by a file.
        head: gives logits (n, C) of features (n, D); of equal ones the first is predicted.
        generator: where all randomness comes from; its device need not be that of the features.
        n_passes: how many.
        dropout: the probability that a feature is dropped, above 0 and below 1.
        rows: (P,) int64, which of the points to look at; None for all.

    Returns:
        (P,) int64 in 0..n_passes, a numpy array as `features_MD`.

    Raises:
        ValueError: `dropout` is not in (0, 1), or `n_passes` is below 1.
    """
    features, rng = as_tensor(features_MD, "features_MD"), checked_generator(generator)
    if not 0 < dropout < 1:
        raise ValueError(f"dropout={dropout}: must be above 0 and below 1")
    if n_passes < 1:
        raise ValueError(f"n_passes={n_passes}: must be at least 1")
    counts = [torch.zeros(0, dtype=torch.int64, device=features.device)]
    for block in split(features, rows):
        h = features[block].float()
        predicted = head(h).argmax(1)
        count = torch.zeros_like(predicted)
        for _ in range(n_passes):
            kept = torch.empty(h.shape, device=rng.device).bernoulli_(1 - dropout, generator=rng)
            count += head(h * to_device(h.device, kept)[0] / (1 - dropout)).argmax(1) != predicted
        counts.append(count)
    return like(features_MD, torch.cat(counts))
