"""A small task and its parts, for tests that need something to train on."""

from functools import partial

import torch
from torch import nn

from hetal.models.mlp import MLP
from hetal.pool import Pool
from hetal.task import Examples, Task
from hetal.train.learner import Learner
from hetal.train.optim import Adam
from hetal.train.stopping import Threshold

PAPER = {
    "schedule": None,
    "loss": nn.CrossEntropyLoss(),
    "label_smoothing": 0.0,
    "augment": None,
    "warm_start": None,
    "batch_size": 8,
    "score_batch_size": 16,
    "clip": 0.1,
    "clip_norm": None,
    "max_epochs": 6,
    "restart_every": 50,
    "restart_below": 0.2,
    "ema_decay": 0.999,
    "own_ema": False,
    "ema_on_batches": False,
    "falling_epochs": 5,
    "falls_over_restarts": False,
    "finetune_at_snapshot": False,
    "precision": "fp32",
    "graph": False,
    "checkpoint_minutes": None,
}


def blobs(n: int = 60, n_classes: int = 3, seed: int = 0) -> Task:
    """Two-dimensional clusters on a line, easily told apart."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % n_classes
    images = torch.randn(n, 2, generator=rng) * 0.3 + labels[:, None] * 3.0
    test = Examples(images.flip(0), labels.flip(0))
    return Task(Examples(images, labels), test, n_classes, mean=(3.0,), std=(2.0,))


def make_learner(task: Task, lr: float = 1e-2, **changes) -> Learner:
    settings = {
        "device": torch.device("cpu"),
        "stop": Threshold(2.0, 2.0),
        "finetune": None,
        "optimizer": partial(Adam, lr=lr),
        **PAPER,
        **changes,
    }
    settings.setdefault("network", lambda shape, n: MLP(shape, n, [16], 0.0))
    return Learner(task=task, **settings)


def labelled_pool(task: Task, n: int) -> Pool:
    pool = Pool(task.train.images, torch.arange(len(task.train)))
    pool.reveal(torch.arange(n), task.train.labels[:n])
    return pool
