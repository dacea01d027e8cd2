"""Training, scoring and whole runs beside a plain loop: `HETAL_DATA=... python -m benchmarks.training`.

Writes docs/TRAINING.md in about ten minutes; needs Fashion-MNIST. The plain loop is written as research code
usually is: a dataset that decodes one image at a time with PIL and torchvision's transforms, a DataLoader, Adam as
it comes, a moving average updated parameter by parameter and run on every batch, `.item()` after every step, every
row of the pool scored, and BADGE on whole gradient embeddings, one centre at a time. It is timed with two
DataLoaders. As published: one worker, started again every epoch, as in BADGE's code and in code derived from it.
Tuned: no worker or two persistent ones, whichever is faster here.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from hetal.app.compose import build_experiment
from hetal.app.launch import resolved
from hetal.bench import learner, limits, synthetic_task
from hetal.experiment import Setup
from hetal.noise import class_noise
from hetal.pool import Pool
from hetal.rng import stream
from hetal.train.fit import Fitting
from hetal.train.precision import lacks_bfloat16
from tests.command_line import REPOSITORY, composed, records, run_here

CPU = torch.device("cpu")
GREY, COLOUR = (1, 28, 28), (3, 32, 32)


class Rows(Dataset):
    """Rows of a pool, decoded one at a time."""

    def __init__(
        self, images: Tensor, labels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        self.images = images.numpy()
        self.labels = labels.tolist()
        self.is_vector = images.ndim == 2
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize([m / 255 for m in mean], [s / 255 for s in std])]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int, int]:
        if self.is_vector:
            return torch.tensor(self.images[i]), self.labels[i], i
        image = self.images[i]
        picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        return self.transform(picture), self.labels[i], i


def loader(rows: Rows, batch_size: int, shuffle: bool, workers: int) -> DataLoader:
    return DataLoader(rows, batch_size, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0)


def published_loader(rows: Rows, batch_size: int) -> DataLoader:
    return DataLoader(rows, batch_size, shuffle=True, num_workers=1)


def plain_train(
    network: nn.Module, batches: Iterable[Sequence[Tensor]], epochs: int, lr: float, clip: float
) -> None:
    ema = copy.deepcopy(network)
    device = next(network.parameters()).device
    optimiser = torch.optim.Adam(network.parameters(), lr=lr)
    step = 0
    for _ in range(epochs):
        network.train()
        right = ema_right = 0.0
        for x, y, _ in batches:
            x, y = x.to(device), y.to(device)
            optimiser.zero_grad()
            logits, _ = network(x)
            loss = cross_entropy(logits, y)
            loss.backward()
            for parameter in network.parameters():
                parameter.grad.data.clamp_(-clip, clip)
            optimiser.step()
            right += (logits.argmax(1) == y).sum().item()
            step += 1
            a = min(1 - 1 / (step + 1), 0.999)
            with torch.no_grad():
                for mean, parameter in zip(ema.parameters(), network.parameters(), strict=True):
                    mean.data.mul_(a).add_(parameter.data, alpha=1 - a)
                ema_right += (ema(x)[0].argmax(1) == y).sum().item()


def plain_score(network: nn.Module, batches: DataLoader, n: int) -> tuple[Tensor, Tensor]:
    network.eval()
    probs = features = None
    with torch.no_grad():
        for x, _, i in batches:
            logits, h = network(x)
            if probs is None:
                probs, features = torch.zeros(n, logits.shape[1]), torch.zeros(n, h.shape[1])
            probs[i], features[i] = logits.softmax(1), h
    return probs, features


def plain_badge(probs: Tensor, features: Tensor, n: int) -> list[int]:
    surplus = probs.numpy().copy()
    surplus[np.arange(len(surplus)), surplus.argmax(1)] -= 1
    g = (surplus[:, :, None] * features.numpy()[:, None, :]).reshape(len(surplus), -1)
    rng = np.random.default_rng(0)
    picks = [int((g**2).sum(1).argmax())]
    nearest = np.full(len(g), np.inf)
    while len(picks) < n:
        nearest = np.minimum(nearest, ((g - g[picks[-1]]) ** 2).sum(1))
        picks.append(int(rng.choice(len(g), p=nearest / nearest.sum())))
    return picks


@dataclass
class Line:
    """One comparison: seconds of the plain loop, as published where that was measured and tuned, and of hetal."""

    what: str
    tuned: float
    ours: float
    published: float | None = None
    about: bool = False
    note: str = ""

    def markdown(self) -> str:
        about = "about " if self.about else ""
        cells = [self.what]
        for plain in (self.published, self.tuned):
            cells += (
                ["", ""]
                if plain is None
                else [f"{about}{plain:.3g} s", f"{about}**{plain / self.ours:.1f}x**"]
            )
        return f"| {' | '.join(cells)} | {self.ours:.3g} s | {self.note} |"


def seconds(work: Callable[..., object], *arguments: object) -> float:
    began = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - began


def alternately(*works: Callable[[], object], times: int = 5) -> list[float]:
    """Return the median seconds of each, measured in turn, so that what else the machine does meets all."""
    for work in works:
        work()
    rounds = [[seconds(work) for work in works] for _ in range(times)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def faster(rows: Rows, batch_size: int) -> int:
    """Return the number of workers, 0 or 2, with which a DataLoader is faster."""
    times = {}
    for workers in (0, 2):
        batches = loader(rows, batch_size, True, workers)
        times[workers] = min(seconds(list, batches) for _ in range(3))
    return min(times, key=lambda workers: times[workers])


def training(name: str, n: int, shape: tuple[int, ...], precision: str, threads: int, epochs: int) -> Line:
    """Train for some epochs on n images."""
    task = synthetic_task(n, shape)
    rows = Rows(task.train.images, task.train.labels, (128.0,) * shape[0], (64.0,) * shape[0])
    workers = faster(rows, 64)
    pool = Pool(task.train.images, torch.arange(n))
    pool.reveal(torch.arange(n), task.train.labels)
    rules = learner(name, task, CPU, f"train.precision={precision}")
    fitting = Fitting(rules, pool, stream(0, "fit"), 0, False)
    network = rules.network(shape, 10)

    def ours() -> None:
        torch.set_num_threads(threads)
        for _ in range(epochs):
            fitting.epoch()

    def plain(batches: DataLoader) -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        plain_train(network, batches, epochs, 1e-4, 0.1)

    published, tuned, fast = alternately(
        partial(plain, published_loader(rows, 64)), partial(plain, loader(rows, 64, True, workers)), ours
    )
    rates = [f"{n * epochs / s:,.0f}" for s in (published, tuned, fast)]
    size = "x".join(map(str, shape))
    return Line(
        f"train {name}, {size}, {precision}", tuned, fast, published,
        note=f"{', '.join(rates)} images/s; {threads} thread{'s' * (threads > 1)}",
    )  # fmt: skip


def scoring(name: str, n: int, threads: int) -> Line:
    """Score a pool of n clean images with class noise at mult=x4."""
    task = synthetic_task(n, (3, 32, 32))
    noisy = class_noise(task.train, 10, stream(0, "noise"), factor=4, noisy_class=1, n_templates=100)
    rows = Rows(noisy.images_M[noisy.source_N], noisy.labels_N, (128.0,) * 3, (64.0,) * 3)
    workers = faster(rows, 1000)
    pool = Pool(noisy.images_M, noisy.source_N)
    pool.reveal(torch.arange(64), noisy.labels_N[:64])
    rules = learner(name, task, CPU)
    fitting = Fitting(rules, pool, stream(0, "fit"), 0, False)
    network, batches = rules.network((3, 32, 32), 10), loader(rows, 1000, False, workers)

    def ours() -> None:
        torch.set_num_threads(threads)
        fitted = fitting.read()
        _ = fitted.probs_MC, fitted.features_MD

    def plain() -> None:
        torch.set_num_threads(os.cpu_count() or 1)
        plain_score(network, batches, len(rows))

    slow, fast = alternately(plain, ours)
    return Line(
        f"score a pool of {len(rows):,} rows, {name}, 3x32x32", slow, fast,
        note=f"{len(noisy.images_M):,} distinct; {threads} thread{'s' * (threads > 1)}",
    )  # fmt: skip


def setup_of(*overrides: str, root: Path) -> Setup:
    return build_experiment(resolved(composed(*overrides, root=root)), "badge").prepare(CPU)


def whole_run(what: str, share: float, *overrides: str, badge: bool) -> Line:
    """Run an experiment, and the plain loop on the same labels for `share` of the same epochs."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ours = seconds(lambda: run_here(*overrides, "device=cpu", "tracker=none", root=root))
        (rounds,) = records(root).values()
        (queries,) = root.glob("*/*/queries.npz")
        bought = np.load(queries)
        setup = setup_of(*overrides, root=root)
    torch.set_num_threads(os.cpu_count() or 1)
    task, images = setup.task, setup.pool.images_M[setup.pool.source_N]
    labels, rules = setup.oracle.label(torch.arange(len(setup.pool))), setup.learner
    everything = Rows(images, labels, task.mean, task.std)
    test = Rows(task.test.images, task.test.labels, task.mean, task.std)
    everyone = loader(everything, 1000, False, faster(everything, 1000))
    train_s = rest_s = 0.0
    for t, row in enumerate(rounds):
        ids = torch.from_numpy(bought["ids"][bought["round"] < t])
        mine = Rows(images[ids], labels[ids], task.mean, task.std)
        batches = loader(mine, rules.batch_size, True, faster(mine, rules.batch_size))
        network = rules.network(task.image_shape, task.n_classes)
        epochs = max(1, round(share * row["epochs"]))
        trained = seconds(plain_train, network, batches, epochs, rules.lr, rules.clip)
        train_s += trained * row["epochs"] / epochs
        rest_s += seconds(plain_score, network, loader(test, 1000, False, 0), len(test))
        if row["n_bought"]:
            began = time.perf_counter()
            probs, features = plain_score(network, everyone, len(everything))
            if badge:
                plain_badge(probs, features, row["n_bought"])
            rest_s += time.perf_counter() - began
    note = (
        f"plain: training {train_s:.0f} s, the rest {rest_s:.0f} s; {sum(r['epochs'] for r in rounds)} epochs"
    )
    return Line(what, train_s + rest_s, ours, about=share < 1, note=note)


STANDARD = (
    "data=fashion_mnist", "data.n_train=4000", "noise=class", "alg=badge", "model=mlp", "train=fast",
    "n_start=200", "n_query=200", "n_end=1400",
)  # fmt: skip


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--share", type=float, default=0.1, help="of the epochs that the plain loop trains in whole runs"
    )
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "TRAINING.md")
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    has_bf16 = not lacks_bfloat16(CPU)
    measures: list[Callable[[], Line]] = [
        lambda: training("mlp", 2048, GREY, "fp32", 1, 5),
        lambda: training("mlp", 2048, GREY, "fp32", 2, 5),
        lambda: training("mlp", 2048, COLOUR, "fp32", 1, 3),
        lambda: training("mlp", 2048, COLOUR, "fp32", 2, 3),
        *([lambda: training("mlp", 2048, COLOUR, "bf16", 2, 3)] if has_bf16 else []),
        lambda: training("resnet", 512, COLOUR, "fp32", 2, 2),
        *([lambda: training("resnet", 512, COLOUR, "bf16", 2, 2)] if has_bf16 else []),
        lambda: scoring("mlp", 4000, 1),
        lambda: scoring("resnet", 1000, 2),
        lambda: whole_run(
            "a whole Four-Moons run", options.share, "+experiment=four_moons", "alg=confidence", badge=False
        ),
        lambda: whole_run("a whole standard run", options.share, *STANDARD, badge=True),
    ]
    rates = limits(CPU, 1.0)
    lines = [
        "# Training: speed",
        "",
        f"Written by `python -m benchmarks.training` on {os.cpu_count()} CPU cores ({platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {'with' if has_bf16 else 'without'} bfloat16 arithmetic), torch "
        f"{torch.__version__}; products of matrices run at {rates['gemm_fp32_gflops']:.0f} GFLOP/s, copies at "
        f"{rates['copy_gb_per_s']:.0f} GB/s. The plain loop is "
        + " ".join(__doc__.split("The plain loop is ")[1].split())  # type: ignore[union-attr]
        + " It has all cores; hetal has the number of threads in the table. Medians of five, measured in turn.",
        "",
        "| what | as published | over hetal | tuned | over hetal | hetal | |",
        "|---|---|---|---|---|---|---|",
    ]
    foot = [
        "",
        "In whole runs hetal has one thread, as by default, and its time is that of everything from the config to the "
        f"figure; the plain loop trains {options.share:.0%} of the epochs that hetal took in each round, and its "
        "training time is extrapolated from that (hence *about*). A standard run is `"
        + " ".join(STANDARD)
        + "`.",
    ]
    for measure in measures:
        lines.append(measure().markdown())
        print(lines[-1], flush=True)
        options.out.write_text("\n".join([*lines, *foot]) + "\n")


if __name__ == "__main__":
    main()
