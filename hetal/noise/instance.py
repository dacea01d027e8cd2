"""Instance-dependent label noise: which wrong label a row gets, and how likely, depends on its input.

Source: Xia et al., "Part-dependent Label Noise: Towards Instance-dependent Label Noise", NeurIPS 2020 (arXiv
2006.07836), Algorithm 2, and the authors' code. A row i of class y has a rate q_i of its own and scores of the classes,

    q_i ~ N(e, s^2) truncated to [0, 1],   a = x_i W_y, a_y = -inf,   W_y (D, C) ~ N(0, 1) for each class y,

and the label y with probability 1 - q_i, else one drawn from softmax(a). Copies of the code that have one W for all
classes are another noise. With s = 0.1, as published, the mean rate is above e where e is small: 0.08 at e = 0, and
0.206 at e = 0.2.

x is what the authors' code has, the pixels in grey levels. Then the scores are far apart, so that softmax(a) is nearly
one label; and since all pixels are positive, it is mostly the same for all rows of a class: of the wrong labels of a
class of CIFAR-10, 68% are the most frequent one, and 27% with pixels standardised per channel (`standardise=feature`).

Departures: vectors, which the source has none of, are standardised per feature, as the units of columns would decide
the scores else. Scores are computed in float64, so that their rounding, which differs between machines, changes no
label.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.data.standardise import CHOICES
from hetal.errors import BadInput
from hetal.noise.inputs import Inputs
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import categorical, check_share, drawn_in_place
from hetal.rng import draw_seed, stream
from hetal.task import Examples


def instance_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    rate: float,
    std: float,
    standardise: str | None,
) -> NoisyPool:
    """Give each row, at a rate of its own, a wrong label that depends on its input.

    Args:
        train: the clean rows.
        n_classes: number of classes, C.
        rng: CPU generator.
        rate: e, about which the rates of rows are, in [0, 1].
        std: s, how far they are from it, in [0, 1]; with 0 all are e.
        standardise: of inputs: "none", "feature" (of images, per channel) or "all"; None is "none" for images and
            "feature" for vectors.

    Raises:
        BadInput: a setting is out of range.
    """
    check_share("noise.rate", rate)
    check_share("noise.std", std)
    if standardise not in (None, *CHOICES):
        raise BadInput(f"noise.standardise={standardise}: must be {', '.join(CHOICES)} or null")
    default = "feature" if train.images.dim() == 2 else "none"
    rate_N = truncated_normal(len(train), rate, std, rng)
    seed = draw_seed(rng)
    inputs = Inputs(train.images, standardise or default, rng)

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        is_wrong, uniform = torch.rand(2, len(rows), generator=rng, dtype=torch.float64)
        changed = torch.nonzero(is_wrong < rate_N[rows]).flatten()
        labels = train.labels[rows]
        wrong = _wrong_labels(inputs, rows[changed], labels[changed], n_classes, seed, uniform[changed])
        return labels.index_copy(0, changed, wrong)

    return drawn_in_place(train, draw, rng)


def truncated_normal(n: int, mean: float, std: float, rng: torch.Generator) -> Tensor:
    """Draw (n,) float64 from a normal distribution truncated to [0, 1].

    Args:
        n: how many.
        mean, std: of the distribution before it is truncated; `std` may be 0, and `mean` is in [0, 1].
        rng: CPU generator.
    """
    if std == 0:
        return torch.full((n,), mean, dtype=torch.float64)
    low, high = torch.special.ndtr((torch.tensor([0.0, 1.0], dtype=torch.float64) - mean) / std)
    uniform = low + (high - low) * torch.rand(n, generator=rng, dtype=torch.float64)
    normal: Tensor = torch.special.ndtri(uniform)
    return (mean + std * normal).clamp(0, 1)


def _wrong_labels(
    inputs: Inputs, rows: Tensor, labels: Tensor, n_classes: int, seed: int, uniform: Tensor
) -> Tensor:
    """Draw a wrong label (k,) int64 for each of `rows` (k,), of which `labels` (k,) are right.

    The weights W_y are drawn from `seed` one class at a time, as those of all classes together may be large.
    """
    wrong = torch.empty_like(labels)
    by_class = labels.argsort(stable=True)
    counts = torch.bincount(labels, minlength=n_classes).tolist()
    for y, of_class in enumerate(by_class.split(counts)):
        if len(of_class) == 0:
            continue
        weights = torch.randn(
            inputs.n_features, n_classes, generator=stream(seed, "weights", y), dtype=torch.float64
        )
        for places, x in inputs.parts(rows[of_class], n_classes):
            scores = x @ weights
            scores[:, y] = -torch.inf
            at = of_class[places]
            wrong[at] = categorical(scores.softmax(1), uniform[at])
    return wrong
