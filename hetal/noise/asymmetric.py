"""Asymmetric label noise: labels of some classes are replaced by that of one other class each, such as truck by car.

Source: Patrini et al., "Making Deep Neural Networks Robust to Label Noise", CVPR 2017 (arXiv 1609.03683); for the
map `pair`, Han et al., "Co-teaching", NeurIPS 2018 (arXiv 1804.06872). With a rate e and a map m of classes, the
probability of the label j of a row of class i is

    e for j = m(i), and 1 - e for j = i,   of a class with m(i) != i; others keep their labels.

The maps `cifar10` and `mnist` move half of ten classes, so that about e / 2 of all labels are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hetal.errors import BadInput
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import check_share, drawn_in_place
from hetal.task import Examples

#: Maps of ten classes, as Patrini et al. have them; that of MNIST fits any ten digits.
MAPS = {
    # truck to automobile, bird to airplane, cat to dog and back, deer to horse
    "cifar10": {9: 1, 2: 0, 3: 5, 5: 3, 4: 7},
    "mnist": {2: 7, 3: 8, 5: 6, 6: 5, 7: 1},
}


def asymmetric_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    rate: float,
    map: str | Mapping[int, int],
) -> NoisyPool:
    """Give a random share of the rows the label to which a map takes their class.

    Args:
        train: the clean rows.
        n_classes: number of classes, C.
        rng: CPU generator.
        rate: e, the probability that the label of a row of a class that the map moves is replaced, in [0, 1].
        map: "pair", which takes c to c + 1 and the last class to 0; "cifar10" or "mnist", for ten classes; or classes
            by class, such as {2: 7, 7: 2}.

    Raises:
        BadInput: `rate` is out of range, or `map` is none of these, or not of the classes that the data have.
    """
    check_share("noise.rate", rate)
    target_C = _targets(map, n_classes)

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        labels = train.labels[rows]
        is_moved = torch.rand(len(rows), generator=rng, dtype=torch.float64) < rate
        return torch.where(is_moved, target_C[labels], labels)

    return drawn_in_place(train, draw, rng)


def _targets(map: object, n_classes: int) -> Tensor:
    """Return the class (C,) int64 to which a map takes each class.

    Raises:
        BadInput: it is no map of these classes.
    """
    target_C = torch.arange(n_classes)
    if map == "pair":
        return (target_C + 1) % n_classes
    if isinstance(map, str) and map in MAPS:
        if n_classes != 10:
            raise BadInput(f"noise.map={map}: is for 10 classes; the data have {n_classes}")
        map = MAPS[map]
    if not isinstance(map, Mapping) or not map:
        raise BadInput(
            f"noise.map={map}: must be pair, {', '.join(MAPS)}, or classes by class, such as {{2:7,7:2}}"
        )
    for c, to in map.items():
        for one in (c, to):
            if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < n_classes:
                raise BadInput(
                    f"noise.map: takes {c} to {to}; classes are whole numbers in 0..{n_classes - 1}"
                )
        target_C[c] = to
    return target_C
