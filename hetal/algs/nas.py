"""NAS, noise-aware sampling: a coverage strategy, for which labelled rows cover nothing if their label is not believed.

Shafir, Hacohen & Weinshall: Active Learning with a Noisy Annotator (2025, arXiv 2504.04506). A strategy that covers the
pool with labelled rows takes a mislabelled one to cover its surroundings; NAS leaves it out, so that the strategy buys
there again. Which labels are believed is decided by `hetal.acquisition.believed`, on features that no network learned
from these labels.

Cost: that of the strategy, and K logistic regressions on L / K labelled rows each.

Departures. The paper asks for C labels at a time, C classes, and filters after each; here labels come once a query, so
that `n_query` is what it calls b, and `n_query` = C its setting; new picks cover as they do without NAS. Rows not
believed are not shown to the strategy at all: they are not covered, but are not counted among what is to be covered
either, as they are there. They are still trained on. Rows that were rejected are not filtered: nothing is to be had
there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hetal.acquisition.noise_filter import believed
from hetal.algs.base import Features, QueryStrategy, check_features, features_of
from hetal.algs.wrapper import Wrapper
from hetal.errors import BadInput
from hetal.pool import Pool
from hetal.train.fitted import Fitted


class NAS(Wrapper):
    """Buys what another strategy buys of a pool without the labelled rows whose labels are not believed.

    Args:
        of: the strategy, one that covers the pool with labelled rows, such as MaxHerding, CoreSet or ProbCover.
        features: what labels are predicted from: "given", those of the data; "trained", the network's, which has
            learned the noise as well; or "both".
        folds: K, models that vote on each label.

    Raises:
        BadInput: `features` is none of the three, or `folds` is below 2.
    """

    def __init__(self, of: QueryStrategy, features: Features, folds: int) -> None:
        super().__init__(of)
        check_features(features)
        if folds < 2:
            raise BadInput(f"alg.folds={folds}: must be at least 2")
        self.features = features
        self.folds = folds
        self.needs_network = of.needs_network or features != "given"

    def query(self, fitted: Fitted, pool: Pool, n: int, rng: torch.Generator) -> Tensor:
        """Return the n ids that the other strategy chooses."""
        labelled = pool.labelled_ids()
        if len(labelled):
            points = features_of(fitted, self.features)[pool.source_N[labelled]]
            labelled = labelled[believed(points, pool.labels(labelled), self.folds, rng)]
        ids = torch.cat([labelled, pool.rejected_ids(), pool.unlabelled_ids()]).sort().values
        return self.ask(fitted, pool, ids, n, rng)
