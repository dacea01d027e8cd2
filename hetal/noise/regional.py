"""Regional label noise: every region of the inputs has a rate of its own, so that the pool is heteroskedastic.

hetal's own. The inputs, standardised per feature (images per channel), are cut into K cells by k-means; with a mean
rate e and a concentration k, the cell r has the rate

    e_r ~ Beta(e k, (1 - e) k),   of mean e and variance e (1 - e) / (k + 1),

and with probability e_r the label of a row in it is uniform among the other classes. The centres come from a sample of
the rows, after a few iterations: cells are to be regions, not the best clusters. They are computed in float64, so that
rounding, which differs between machines, moves no row to another.
"""

from __future__ import annotations

import torch
from scipy.special import betaincinv
from torch import Tensor

from hetal.acquisition.seeding import kmeans_plusplus
from hetal.errors import BadInput
from hetal.noise.inputs import Inputs
from hetal.noise.pool import NoisyPool
from hetal.noise.rows import check_integer, check_share, drawn_in_place
from hetal.task import Examples

#: Of k-means.
N_ITERATIONS = 10

#: Most regions, and bounds of the concentration.
MOST_REGIONS = 1000
CONCENTRATIONS = (1e-3, 1e6)


def regional_noise(
    train: Examples,
    n_classes: int,
    rng: torch.Generator,
    *,
    rate: float,
    concentration: float,
    n_regions: int,
) -> NoisyPool:
    """Give a random share of the rows of each region a wrong label; regions differ in their rate.

    Regions are numbered by their rate, the lowest first.

    Args:
        train: the clean rows.
        n_classes: number of classes, C.
        rng: CPU generator.
        rate: e, the mean of the rates of regions, in [0, 1].
        concentration: k; 2 spreads rates widely, 100 hardly, and under 1 most are near 0 or 1.
        n_regions: K; fewer where the data have fewer rows.

    Raises:
        BadInput: a setting is out of range.
    """
    check_share("noise.rate", rate)
    check_integer("noise.n_regions", n_regions, low=1, high=MOST_REGIONS)
    is_number = isinstance(concentration, (int, float)) and not isinstance(concentration, bool)
    if not (is_number and CONCENTRATIONS[0] <= concentration <= CONCENTRATIONS[1]):
        low, high = CONCENTRATIONS
        raise BadInput(f"noise.concentration={concentration}: must be a number in {low:g}..{high:g}")
    cell_N = _cells(Inputs(train.images, "feature", rng), n_regions, rng)
    rate_K, order_K = _rates(n_regions, rate, concentration, rng).sort(stable=True)
    region_N = order_K.argsort().to(torch.int16).gather(0, cell_N.long())

    def draw(rows: Tensor, rng: torch.Generator) -> Tensor:
        labels = train.labels[rows]
        uniform = torch.rand(len(rows), generator=rng, dtype=torch.float64)
        other = (labels + torch.randint(1, n_classes, labels.shape, generator=rng)) % n_classes
        return torch.where(uniform < rate_K[region_N[rows].long()], other, labels)

    return drawn_in_place(train, draw, rng, region_N)


def _cells(inputs: Inputs, k: int, rng: torch.Generator) -> Tensor:
    """Return the number (n,) int16 in 0..k-1 of the cell of each row, that of the nearest centre."""
    points = inputs[inputs.sample]
    centers_KD = points[kmeans_plusplus(points, min(k, len(points)), rng, first="sampled")]
    for _ in range(N_ITERATIONS):
        cell = _nearest(points, centers_KD)
        count_K = torch.bincount(cell, minlength=len(centers_KD))[:, None]
        sum_KD = torch.zeros_like(centers_KD).index_add_(0, cell, points)
        centers_KD = torch.where(count_K > 0, sum_KD / count_K.clamp(min=1), centers_KD)
    parts = inputs.parts(torch.arange(len(inputs)), k)
    return torch.cat([_nearest(x, centers_KD).to(torch.int16) for _, x in parts])


def _nearest(x: Tensor, centers_KD: Tensor) -> Tensor:
    """Return the nearest centre (n,) int64 of each point (n, D)."""
    return torch.addmm(centers_KD.square().sum(1), x, centers_KD.T, alpha=-2).argmin(1)


def _rates(k: int, mean: float, concentration: float, rng: torch.Generator) -> Tensor:
    """Draw the rates (k,) float64 of regions."""
    uniform = torch.rand(k, generator=rng, dtype=torch.float64)
    a, b = mean * concentration, (1 - mean) * concentration
    if a == 0 or b == 0:
        return torch.full((k,), float(mean), dtype=torch.float64)
    return torch.from_numpy(betaincinv(a, b, uniform.numpy()))
