"""Noise stability: buy rows whose outputs change most, and differently, when the weights are shaken a little.

Li, Yang, Gu, Zhan, Wang, Xu & Xu: Deep Active Learning with Noise Stability (AAAI 2024, arXiv 2205.13340). With outputs
f(x; W) and K draws of Gaussian noise N_k on the weights, of relative norm s in each layer, the point of x is

    d(x) = [f(x; W + N_k) - f(x; W)]_k=1..K / |f(x; W)|,   |N_k| = s |W|

of K times the width of f. Picked is, again and again, the point farthest from 0 and from all picked: greedy k-centre
with one centre at 0, so that the first is the largest change. For small s, d is a random projection of the gradient.

f are the class probabilities, as in the authors' code for classification; `features` takes the penultimate features,
which the code takes for regression. s = 0.001 and K = 50, as published. Noise is on all parameters but biases; the
code's is on those called `weight`, which for torch's layers is the same. Members of an ensemble get noise of their own.
Outputs are computed in float32 whatever training uses, since bfloat16 would round most of the noise away.

Cost: K + 1 forward passes and k-centre on points of width K C (probs) or K D (features). These are held in memory
up to 256 MiB, and in an unnamed file beyond; noise is drawn again for each block of images.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hetal.acquisition import OuterProduct, k_center
from hetal.algs.base import QueryStrategy, check_draws, fill_up
from hetal.errors import BadInput
from hetal.machine.scratch import Stack
from hetal.machine.transfer import to_device
from hetal.pool import Pool
from hetal.rng import draw_seed, permutation
from hetal.train.fitted import Fitted
from hetal.train.forward import Outputs, check_finite
from hetal.train.members import ensemble_in
from hetal.train.precision import InBfloat16

Output = Literal["probs", "features"]

# Numbers of a block of points, 128 MiB.
NUMBERS_AT_ONCE = 2**25


class NoiseStability(QueryStrategy):
    """Buys by greedy k-centre on changes of outputs under noise on the weights.

    Args:
        output: what is looked at, "probs" or "features".
        n_draws: K, of noise.
        scale: s, the norm of the noise of a layer as a share of that of its weights.

    Raises:
        BadInput: a setting is out of range.
    """

    def __init__(self, output: Output, n_draws: int, scale: float) -> None:
        if output not in get_args(Output):
            raise BadInput(f"alg.output={output}: must be one of {', '.join(get_args(Output))}")
        check_draws("n_draws", n_draws, 1)
        if not 0 < scale < float("inf"):
            raise BadInput(f"alg.scale={scale}: must be above 0, and finite")
        self.output = output
        self.n_draws = n_draws
        self.scale = scale

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return n ids, the largest change first; once no image changes in another way, random ids of the others."""
        images, _ = pool.distinct()
        # Shuffled, since ties go to the first.
        images = images[permutation(len(images), rng, images.device)]
        with _exact_convolutions():
            changes = self._changes(fitted, images, rng)
        origin = torch.zeros_like(changes[:1])
        picks = k_center(OuterProduct(changes), min(n, len(images)), centers=origin, fill=False)
        return fill_up(pool.rows_showing(images[picks.to(images.device)], rng), pool, n, rng)

    def _changes(self, fitted: Fitted, images: Tensor, rng: torch.Generator) -> Tensor:
        """Return d of these images, (P, K * width) float32."""
        network = copy.deepcopy(fitted.networks.online)
        network = network.network if isinstance(network, InBfloat16) else network
        noise = Noise(network, self.scale)
        seeds = [draw_seed(rng) for _ in range(self.n_draws)]
        width = self._read(fitted.outputs(network, fitted.images(images[:2]))).shape[1]
        changes = Stack(len(images))
        for block in images.split(max(NUMBERS_AT_ONCE // (width * self.n_draws), 1)):
            shown = fitted.images(block)
            calm = self._read(fitted.outputs(network, shown))
            norm = calm.norm(dim=1, keepdim=True)
            norm = norm.masked_fill_(norm < torch.finfo(norm.dtype).eps, 1)  # features that are all 0 stay so
            d = calm.new_empty(len(block), self.n_draws, width)
            are_finite: list[Tensor] = []
            for k, seed in enumerate(seeds):
                noise.draw(seed)
                d[:, k] = (self._read(fitted.outputs(network, shown, are_finite)) - calm) / norm
            noise.remove()
            check_finite([torch.stack(are_finite).all(0)])
            changes.append(d.flatten(1))
        return changes.tensor()

    def _read(self, outputs: Outputs) -> Tensor:
        return outputs.probs if self.output == "probs" else outputs.features


class Noise:
    """Noise on the weights of a network, which are changed in place.

    Args:
        network: all of its parameters but biases get noise.
        scale: norm of the noise on a parameter, as a share of its own.
    """

    def __init__(self, network: nn.Module, scale: float) -> None:
        self._scale = scale
        self._weights = [p for name, p in network.named_parameters() if not name.endswith("bias")]
        self._calm = [weight.detach().clone() for weight in self._weights]
        self._device = next((weight.device for weight in self._weights), torch.device("cpu"))
        self._is_stacked = ensemble_in(network) is not None

    @torch.no_grad()
    def draw(self, seed: int) -> None:
        """Put noise on the weights as they were; of one seed it is the same."""
        rng = torch.Generator().manual_seed(seed)
        noises = [torch.randn(calm.shape, generator=rng).to(calm.dtype) for calm in self._calm]
        noises = to_device(self._device, *noises)
        for weight, calm, noise in zip(self._weights, self._calm, noises, strict=True):
            flat, of = noise.view(self._rows(noise), -1), calm.reshape(self._rows(calm), -1)
            flat = flat * (self._scale * of.norm(dim=1, keepdim=True) / flat.norm(dim=1, keepdim=True))
            weight.copy_(calm + flat.view_as(calm))

    @torch.no_grad()
    def remove(self) -> None:
        """Make the weights what they were."""
        for weight, calm in zip(self._weights, self._calm, strict=True):
            weight.copy_(calm)

    def _rows(self, tensor: Tensor) -> int:
        """Return of how many networks a parameter holds the weights, one after another."""
        return len(tensor) if self._is_stacked else 1


@contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Let no convolution round to TF32, whose steps are as large as the noise."""
    was = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = was
