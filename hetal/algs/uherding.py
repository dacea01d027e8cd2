"""UHerding: MaxHerding that counts what it covers by how uncertain the network is there.

Bae, Oliveira & Sutherland: Uncertainty Herding: One Active Learning Method for All Label Budgets (ICLR 2025, arXiv
2412.20644). With k and S as in `hetal.algs.maxherding`, and U = 1 - (p_(1) - p_(2)) of the two largest probabilities of
p = softmax(logits / T),

    argmax_x  sum_x' U(x') max(k(x, x') - max_{y in S} k(y, x'), 0),   B times.

Two adaptations to the number of labels let it pass from MaxHerding to margin. T is the temperature of 1, 1.1, .. 19.9
at which the expected calibration error on held-out labelled rows is least, in as many bins as there are classes; the
less is known, the larger T and the more equal U. The bandwidth s shrinks with the distances between labelled rows.

Departures. Each round the published code trains a second network without the last 30% of the labelled rows, in order
of purchase, and calibrates on those. Here the network of the last round is the one that was trained without the rows
bought since, which are held out: no second training. Rows that were filled up with at random are not used, nor
rejected ones. In the first round nothing is held out, and U = 1 is the limit of large T; so it is while all that was
bought was hidden or rejected. The published s is the least distance between two labelled rows, on features of norm 1:
0 with copies, and with near copies hardly more, when covering stops. Here it is a quantile, over labelled images, of
the distance to the nearest other one that does not coincide; 0 is the published rule, and the default 0.5 needs half
of the labelled images to be near copies before it gives way. With fewer than two different ones it is MaxHerding's.

Cost: MaxHerding's, and L^2 D for L labelled images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hetal.acquisition import margin
from hetal.acquisition.calibration import best_temperature
from hetal.acquisition.herding import distances_to_nearest
from hetal.algs.base import Features
from hetal.algs.maxherding import MaxHerding
from hetal.errors import BadInput
from hetal.machine.transfer import to_host
from hetal.pool import Pool
from hetal.train.fitted import Fitted

# Those of the published code.
TEMPERATURES = [1 + step / 10 for step in range(190)]


class UHerding(MaxHerding):
    """Buys by greedy coverage of uncertain rows; it remembers what the last network said of the images it bought.

    Args:
        features: "trained", the network's; "given", those of the data; or "both".
        unit_length: scale features to length 1, as published.
        quantile: of the distances of labelled images to the nearest other one, which is the bandwidth, in 0..1.
        max_images: look only at so many random images; None for all.

    Raises:
        BadInput: `features` is none of the three, `quantile` is not in 0..1, or `max_images` is below 1.
    """

    def __init__(
        self, features: Features, unit_length: bool, quantile: float, max_images: int | None
    ) -> None:
        super().__init__(features, unit_length, 1.0, max_images)
        if not 0 <= quantile <= 1:
            raise BadInput(f"alg.quantile={quantile}: must be in 0..1")
        self.quantile = quantile
        self.needs_network = True
        self._held_out: dict[str, Tensor] = {}

    def temperature(self, pool: Pool) -> float | None:
        """Return T, from the rows bought since the last query; None where there are none."""
        labelled = pool.labelled_ids()
        if not self._held_out or not len(labelled):
            return None
        place_M = torch.full((len(pool.images_M),), -1, device=pool.device)
        images = self._held_out["images"].to(pool.device)
        place_M[images] = torch.arange(len(images), device=pool.device)
        place = place_M[pool.source_N[labelled]]
        logits = self._held_out["logits"].to(pool.device)[place[place >= 0]]
        if not len(logits):
            return None
        return best_temperature(logits, pool.labels(labelled[place >= 0]), TEMPERATURES, logits.shape[1])

    def scale(self, h_MD: Tensor, pool: Pool) -> float:
        """Return the bandwidth, from the features (M, D) of all images."""
        nearest = distances_to_nearest(h_MD[pool.source_N[pool.bought_ids()].unique()])
        nearest = nearest[nearest.isfinite()]
        return float(nearest.quantile(self.quantile)) if len(nearest) else super().scale(h_MD, pool)

    def weights(self, fitted: Fitted, pool: Pool, images: Tensor) -> Tensor:
        """Return the uncertainty U of each of P images, (P,)."""
        temperature = self.temperature(pool)
        if temperature is None:
            return super().weights(fitted, pool, images)
        return 1 + margin((fitted.logits_MC[images].double() / temperature).softmax(1))

    def remember(self, fitted: Fitted, picks: Tensor) -> None:
        """Take note of the images picked, and of the logits of the network that was trained without them."""
        self._held_out = {}
        if len(picks):
            images, logits = to_host(picks, fitted.logits_MC[picks])
            self._held_out = {"images": images, "logits": logits}

    def state_dict(self) -> dict[str, Any]:
        """Return the images picked last, and their logits."""
        return dict(self._held_out)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._held_out = dict(state)
