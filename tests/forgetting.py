"""A strategy with an `after_epoch`: it counts forgetting events, as the example of docs/EXTENDING.md does."""

import torch

from hetal.algs import QueryStrategy


class Forgetting(QueryStrategy):
    """Buys images whose predicted class changed most often between the epochs of this round."""

    def __init__(self) -> None:
        self.attempt = 0
        self.predicted_M = torch.zeros(0, dtype=torch.long)
        self.changes_M = torch.zeros(0, dtype=torch.long)

    def after_epoch(self, epoch, fitted, pool):
        torch.rand(()), torch.randn(3)  # what is drawn here must not be missing from training
        predicted_M = fitted.probs_MC.argmax(1).cpu()
        if epoch == 1 or fitted.attempt != self.attempt:
            self.attempt, self.changes_M = fitted.attempt, torch.zeros_like(predicted_M)
        else:
            self.changes_M += predicted_M != self.predicted_M
        self.predicted_M = predicted_M

    def query(self, fitted, pool, n, rng):
        ids = pool.unlabelled_ids()
        ids = ids[torch.randperm(len(ids), generator=rng)]
        return ids[self.changes_M[pool.source_N[ids]].topk(n).indices]

    def state_dict(self):
        return {"attempt": self.attempt, "predicted": self.predicted_M, "changes": self.changes_M}

    def load_state_dict(self, state):
        self.attempt = state["attempt"]
        self.predicted_M, self.changes_M = state["predicted"], state["changes"]


class Dies(Forgetting):
    """Fails after the second epoch of the second round, as long as `dies` says so."""

    dies = True

    def after_epoch(self, epoch, fitted, pool):
        if self.dies and epoch == 3 and len(pool.labelled_ids()) > 40:
            raise RuntimeError("killed")
        super().after_epoch(epoch, fitted, pool)
