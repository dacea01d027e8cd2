"""Memory that a run holds on its device at once, computed from shapes and a forward pass of two images.

What strategies compute with comes on top, from next to nothing for random choice to many times the outputs of a pool.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hetal.errors import BadInput
from hetal.noise.pool import NoisyPool
from hetal.train.epoch import NUMBERS_KEPT, numbers_per_gather
from hetal.train.members import logits_of_members

if TYPE_CHECKING:
    from hetal.algs.base import QueryStrategy
    from hetal.task import Task
    from hetal.train.learner import Learner

GIB = 2**30


@dataclass(frozen=True)
class Footprint:
    """Bytes that a run holds at once, by part.

    Attributes:
        images: distinct images of the pool and the test set, and what the data bring along.
        networks: weights, their average, gradients and moments, and the pairs that are kept.
        training: labelled rows as network input, and what a step keeps for its gradients; not while scoring.
        scoring: a batch on its way through the network, and the outputs of all images; not while training.
    """

    images: int
    networks: int
    training: int
    scoring: int

    @property
    def total(self) -> int:
        """The most at one time."""
        return self.images + self.networks + max(self.training, self.scoring)

    @property
    def least(self) -> int:
        """What no run can do without; batches of scoring can be halved."""
        return self.images + self.networks + self.training

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {_size(n)}" for name, n in asdict(self).items())
        return f"{_size(self.total)} at once: {parts}"

    def check(self, device: torch.device, batch_size: int) -> None:
        """Refuse a run that cannot fit, whose training has this batch size.

        Raises:
            BadInput: names the GPU, and what takes how much.
        """
        if device.type != "cuda":
            return
        about = torch.cuda.get_device_properties(device)
        if self.least > about.total_memory:
            raise BadInput(
                f"device=cuda: the run needs at least {_size(self.least)} (images {_size(self.images)}, networks "
                f"{_size(self.networks)}, training with train.batch_size={batch_size} {_size(self.training)}), "
                f"and {about.name} has {_size(about.total_memory)}"
            )


def footprint(
    task: Task, noisy: NoisyPool, learner: Learner, network: nn.Module, strategy: QueryStrategy, n_end: int
) -> Footprint:
    """Return the memory that a run holds.

    Args:
        task: with its test set.
        noisy: the pool.
        learner: that trains networks.
        network: such a network; it is run on two images.
        strategy: that queries.
        n_end: labelled rows at the end; with fine-tuning, all rows of the pool may be trained on.
    """
    images_M, pixels = noisy.images_M, noisy.images_M[0].numel()
    M = len(images_M)
    given = [images_M, task.test.images, noisy.source_N, noisy.source_N]  # labels are as many numbers
    given += [] if noisy.features_M is None else [noisy.features_M]
    weights = _bytes([*network.parameters(), *network.buffers()])
    n_rows = n_end if learner.finetune is None else len(noisy)
    pairs = strategy.reads_snapshot + (learner.finetune is not None)
    kept, largest, width = _activations(network, learner, images_M[:2])
    is_kept = n_rows * pixels <= NUMBERS_KEPT
    gathered = min(numbers_per_gather(learner.device, learner.augment), n_rows * pixels)
    step = (kept + 2 * largest) * min(learner.batch_size, n_rows)
    return Footprint(
        images=_bytes(given),
        networks=weights * (5 + 2 * pairs + 1),
        training=4 * (n_rows * pixels * is_kept + gathered) + step,
        scoring=2 * largest * min(learner.score_batch_size, M) + 4 * M * (2 * task.n_classes + width),
    )


def _activations(network: nn.Module, learner: Learner, images: Tensor) -> tuple[int, int, int]:
    """Return bytes per image that a step keeps for its gradients, those of the largest tensor, and D."""
    x = learner.prepare(network)(images.to(learner.device))
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits_of_members(network.train(), x).logsumexp(-1).sum()
    memories = {memory.data_ptr(): memory.nbytes() for memory in (t.untyped_storage() for t in saved)}
    for tensor in (*network.parameters(), *network.buffers()):
        memories.pop(tensor.untyped_storage().data_ptr(), None)
    with torch.inference_mode():
        width = network.eval()(x)[1].shape[1]
    largest = max([*memories.values(), _bytes([x])])
    return sum(memories.values()) // len(images), largest // len(images), width


def _bytes(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _size(n: int) -> str:
    return f"{n / GIB:,.1f} GiB" if n >= GIB else f"{max(n / 2**20, 0.1):,.1f} MiB"
