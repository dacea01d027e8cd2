"""Gradient descent on labelled rows, one epoch at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hetal.augment import Augmentation
from hetal.errors import Diverged
from hetal.machine.arithmetic import float32_products
from hetal.machine.transfer import to_device
from hetal.record.checkpoint import State
from hetal.train.ema import EMA
from hetal.train.fitted import Pair
from hetal.train.forward import split
from hetal.train.graph import Graphs
from hetal.train.members import clip_members_by_norm, ensemble_in, joined, logits_of_members, loss_of
from hetal.train.optim import make_optimizer
from hetal.train.recipe import Recipe
from hetal.train.schedule import MakeSchedule, Schedule

# Numbers gathered, augmented and standardised at once: several small batches together, since every operation has a
# fixed cost, but no more than fits into the caches of a CPU.
NUMBERS_PER_GATHER = {"cpu": 2**20, "cuda": 2**26}

# Training sets of up to this many numbers (256 MiB) are standardised once, not in every epoch.
NUMBERS_KEPT = 2**26


def numbers_per_gather(device: torch.device, augment: Augmentation | None) -> int:
    """Return how many numbers are gathered at once.

    An augmentation draws for all images of a gather together, and must draw the same on every device.
    """
    kind = "cpu" if augment is not None else device.type
    return NUMBERS_PER_GATHER.get(kind, NUMBERS_PER_GATHER["cpu"])


class Training:
    """A network in training, with its moving average.

    Args:
        recipe: settings of training.
        network: trained in place.
        ema: moving average of `network`.
        images_M: (M, ...) stored images.
        source_L: (L,) int64, the image of each training row.
        labels_L: (L,) int64.
        rng: CPU generator of permutations and augmentation.
        schedule: of the learning rate; None keeps it constant.
        lr_factor: of the optimizer's learning rate.
        augment: applied to stored images before they are standardised, and to what comes of that; None for neither.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        ema: EMA,
        images_M: Tensor,
        source_L: Tensor,
        labels_L: Tensor,
        rng: torch.Generator,
        *,
        schedule: MakeSchedule | None = None,
        lr_factor: float = 1.0,
        augment: Augmentation | None = None,
    ) -> None:
        self.network = network
        self.ema = ema
        self.accuracies: list[float] = []
        self.losses: list[float] = []
        self.steps = 0
        self._images_M = images_M
        self._source_L = source_L
        self._labels_L = labels_L
        self._recipe = recipe
        self._prepare = prepare = recipe.prepare(network)
        self._batch_size = batch_size = recipe.batch_size
        self._loss = recipe.loss
        self._is_ensemble = ensemble_in(network) is not None
        self._rng = rng
        self._augment = augment
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._device = images_M.device
        self._optimizer = make_optimizer(recipe.optimizer, self._parameters)
        for group in self._optimizer.param_groups:
            group["lr"] *= lr_factor
        self._schedule = Schedule(schedule, self._optimizer)
        self._ema_accuracy: float | None = None
        self._ready_L: Tensor | None = (
            None  # all rows as network input, where augmentation does not change them
        )
        if augment is None and len(source_L) * images_M[0].numel() <= NUMBERS_KEPT:
            self._ready_L = prepare(images_M.index_select(0, source_L))
        batches = numbers_per_gather(self._device, augment) // (batch_size * images_M[0].numel())
        self._rows_per_gather = batch_size * min(max(batches, 1), 64)
        self._graphs: Graphs | None = None
        if recipe.graph:
            self._optimizer.in_graph()
            ema.in_graph()
            self._graphs = Graphs()

    @property
    def pair(self) -> Pair:
        """The network and its moving average."""
        return Pair(self.network, self.ema.network)

    def state_dict(self) -> State:
        """Return all that the next epoch depends on, except the random generators."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "rows": [self._source_L, self._labels_L],
            "accuracies": self.accuracies,
            "losses": self.losses,
            "steps": self.steps,
        }

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned, on the same rows."""
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        self.accuracies, self.losses = list(state["accuracies"]), list(state["losses"])
        self.steps = state["steps"]
        self._schedule.replay(self.losses[:-1])  # the next epoch begins with the last one's
        self._optimizer.load_state_dict(state["optimizer"])  # after the schedule, which changes its settings

    @property
    def lr(self) -> float:
        """The learning rate of the last epoch; before any, of the first."""
        return float(self._optimizer.param_groups[0]["lr"])

    def epoch(self) -> float:
        """Train on every row once, and return the online accuracy: the share predicted correctly before each step.

        Raises:
            Diverged: the epoch's loss is not finite.
        """
        with float32_products(self._recipe.precision == "tf32"):
            return self._epoch()

    def _epoch(self) -> float:
        if self.losses:  # only now, so that a schedule is never asked for more epochs than there are
            self._schedule.step(self.losses[-1])
        self._optimizer.before_epoch()
        self.network.train()
        if begin_epoch := getattr(self._loss, "begin_epoch", None):
            begin_epoch(len(self.losses) + 1)
        n = len(self._labels_L)
        (order,) = to_device(self._device, torch.randperm(n, generator=self._rng))
        n_right = torch.zeros((), dtype=torch.long, device=order.device)
        loss_sum = torch.zeros((), device=order.device)
        n_seen = []  # of the average, if it runs on batches
        # Told the step each time: an object that refers to itself would keep its memory.
        graphs = self._graphs
        for rows in split(order, self._rows_per_gather):
            x, y = self._gather(rows), self._labels_L[rows]
            outputs = []
            for x_B, y_B in zip(split(x, self._batch_size), split(y, self._batch_size), strict=True):
                self.ema.count()
                logits, *seen = graphs(self._step, x_B, y_B) if graphs else self._step(x_B, y_B)
                self.steps += 1
                outputs.append(logits)
                n_seen += seen
            logits_R = joined(outputs)
            n_right += (logits_R.argmax(1) == y).sum()
            loss_sum += cross_entropy(logits_R, y, reduction="sum")
        # The only time in an epoch that the host waits for a GPU.
        sums: list[float] = torch.stack([n_right.float(), loss_sum, *(s.float() for s in n_seen)]).tolist()
        accuracy, loss_mean = sums[0] / n, sums[1] / n
        self.accuracies.append(accuracy)
        self.losses.append(loss_mean)
        self._ema_accuracy = sum(sums[2:]) / n if n_seen else None
        if not math.isfinite(loss_mean):
            raise Diverged(f"epoch {len(self.losses)}: the loss is {loss_mean} at learning rate {self.lr:g}")
        return accuracy

    def ema_accuracy(self) -> float:
        """Return the accuracy of the moving average on the training rows; over the epoch, if it runs on batches."""
        if self._ema_accuracy is None:
            with float32_products(self._recipe.precision == "tf32"):
                self._ema_accuracy = self._measure(self.ema.network)
        return self._ema_accuracy

    def _step(self, x_B: Tensor, y_B: Tensor) -> list[Tensor]:
        """Take a step, and return the logits before it, and what the average is right on, see `EMA.see`."""
        logits = self._logits(x_B)
        loss = loss_of(self._loss, logits, y_B)
        gradients = list(
            torch.autograd.grad(loss, self._parameters, allow_unused=True, materialize_grads=True)
        )
        self._clip(gradients)
        self._optimizer.step(gradients)
        seen = self.ema.see(x_B, y_B)
        self.ema.average()
        return [logits.detach(), *seen]

    @torch.inference_mode()
    def _measure(self, network: nn.Module) -> float:
        network.eval()
        rows = torch.arange(len(self._labels_L), device=self._labels_L.device)
        n_right = torch.zeros((), dtype=torch.long, device=rows.device)
        for batch in rows.split(min(self._rows_per_gather, self._recipe.score_batch_size)):
            logits, _ = network(self._as_stored(batch))
            n_right += (logits.argmax(1) == self._labels_L[batch]).sum()
        return int(n_right) / len(rows)

    def _logits(self, x_B: Tensor) -> Tensor:
        """Return the logits (B, C) of the network, or those of all members of an ensemble, (K, B, C)."""
        if self._is_ensemble:
            return logits_of_members(self.network, x_B)
        logits: Tensor = self.network(x_B)[0]
        return logits

    def _clip(self, gradients: list[Tensor]) -> None:
        if self._recipe.clip is not None:
            clip_by_value(gradients, self._recipe.clip)
        elif self._recipe.clip_norm is not None:
            clip = clip_members_by_norm if self._is_ensemble else clip_by_norm
            clip(gradients, self._recipe.clip_norm)

    def _gather(self, rows: Tensor) -> Tensor:
        if self._augment is None:
            return self._as_stored(rows)
        images = self._images_M.index_select(0, self._source_L[rows])
        return self._augment.after(self._prepare(self._augment(images, self._rng)), self._rng)

    def _as_stored(self, rows: Tensor) -> Tensor:
        if self._ready_L is not None:
            # index_select is fast, but does not keep the memory layout.
            return self._ready_L.index_select(0, rows).contiguous(memory_format=self._prepare.layout)
        return self._prepare(self._images_M.index_select(0, self._source_L[rows]))


def clip_by_value(tensors: list[Tensor], limit: float) -> None:
    """Clamp every element to +-`limit`, in place."""
    if tensors[0].is_cuda:  # two kernel launches for all tensors
        torch._foreach_clamp_min_(tensors, -limit)
        torch._foreach_clamp_max_(tensors, limit)
    else:  # one pass over memory per tensor
        for tensor in tensors:
            tensor.clamp_(-limit, limit)


def clip_by_norm(tensors: list[Tensor], limit: float) -> None:
    """Scale tensors to a Euclidean norm of at most `limit`, taken over all of them, in place."""
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))
    torch._foreach_mul_(tensors, (limit / norm.clamp(min=limit)))
