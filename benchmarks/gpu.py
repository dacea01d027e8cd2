"""hetal on a GPU, checked and timed in under 8 minutes: `benchmarks/gpu.sh`; fills docs/GPU.md.

Every section stands for itself: one that fails leaves its error on the page, and one that there is no time for leaves a
line that says so. `--device cpu --tiny` tries the script itself on any machine, and prints instead of writing.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.tables import markdown
from benchmarks.training import Rows, plain_train, published_loader
from hetal.acquisition import OuterProduct, k_center, kmeans_plusplus
from hetal.bench import (
    best_seconds,
    compose_experiment,
    learner,
    limits,
    precisions,
    speed,
    standard_run,
    synthetic_task,
    timed_run,
)
from hetal.experiment import Setup
from hetal.loop import run
from hetal.machine.arithmetic import float32_products
from hetal.machine.device import pick_device
from hetal.machine.process import new_process_settings
from hetal.pool import Pool
from hetal.record.checkpoint import packed, unpacked
from hetal.record.history import History
from hetal.rng import seeded, stream
from hetal.task import Task
from hetal.train.fit import Fitting
from tests.command_line import REPOSITORY

PAGE = REPOSITORY / "docs" / "GPU.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"  # what stands between them on the page is filled in
COLOUR = (3, 32, 32)
SMALL_RESNET = ("model=resnet", "model.widths=[16,32]", "model.blocks=[1,1]")
NO_TRACKER = "tracker=none"


@dataclass(frozen=True)
class Where:
    """What is measured on.

    Attributes:
        device: to compute on.
        tiny: whether to do as little as shows that the script runs.
        seconds: for each measurement of speed.
    """

    device: torch.device
    tiny: bool
    seconds: float

    def sync(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def checks(on: Where) -> list[str]:
    """Check what must hold on every device, and return a table of what was found."""
    found = {
        "the same run twice": _repeats(on),
        "a round continued from its state after 2 of 4 epochs, with dropout": _resumes(on),
        "core-set, 200 of 5,000: picks that are the CPU's": _picks_of_the_cpu(on, is_kmeans=False),
        "k-means++, 200 of 5,000, same draws: picks that are the CPU's": _picks_of_the_cpu(
            on, is_kmeans=True
        ),
        "largest error of a product of 2,048 float32 numbers, of its size": _rounding(on, tf32=False),
    }
    if on.device.type == "cuda":
        found |= {
            "the same in TF32": _rounding(on, tf32=True),
            "with train.graph=true, the same run twice": _repeats(on, "train.graph=true"),
            "with train.graph=true, a round continued": _resumes(on, "train.graph=true"),
            "times that the host waits in an epoch of 40 steps": _waits(on),
            "largest difference of weights after 5 epochs, steps from a graph and plain, MLP with dropout": (
                _graph_differs(on, "model=mlp_dropout")
            ),
            "the same, ResNet": _graph_differs(on, *SMALL_RESNET),
            "memory of a run by least confidence, expected and held": _memory(on),
        }
    return [markdown(("check", "found"), list(found.items()))]


def _setup(on: Where, *overrides: str) -> Setup:
    experiment = compose_experiment(
        "n_start=100", "n_query=50", "n_end=200", "train.max_epochs=5", NO_TRACKER, *overrides
    )
    return experiment.prepare(on.device)


def _repeats(on: Where, *overrides: str) -> str:
    ends = []
    for _ in range(2):
        history = History()
        run(_setup(on, *SMALL_RESNET, *overrides), history)
        ends.append(
            [[p.ids.tolist() for p in history.purchases], [(r.accuracy, r.nll) for r in history.rounds]]
        )
    return "the same bits" if ends[0] == ends[1] else "DIFFERS"


def _fitting(on: Where, *overrides: str, n: int = 640) -> Fitting:
    task = synthetic_task(n, (1, 8, 8))
    pool = Pool(task.train.images.to(on.device), torch.arange(n))
    pool.reveal(torch.arange(n), task.train.labels)
    recipe = learner("mlp", task, on.device, *overrides)
    return Fitting(recipe, pool, stream(0, "fit"), past_steps=0, snapshot=False)


def _weights(fitting: Fitting) -> Tensor:
    pair = fitting.read().networks
    return torch.cat(
        [p.detach().flatten() for net in (pair.online, pair.ema) for p in net.parameters()]
    ).cpu()


def _trained(on: Where, epochs: int, *overrides: str, stop_at: int | None = None) -> Tensor:
    with seeded(stream(0, "fit"), on.device):
        fitting = _fitting(on, *overrides)
        for epoch in range(epochs):
            fitting.epoch()
            if epoch + 1 == stop_at:
                state = unpacked(packed(fitting.state_dict()))
                fitting = _fitting(on, *overrides)
                fitting.load_state_dict(state)
        return _weights(fitting)


def _resumes(on: Where, *overrides: str) -> str:
    whole, parts = (_trained(on, 4, "model=mlp_dropout", *overrides, stop_at=stop) for stop in (None, 2))
    return (
        "the same bits"
        if torch.equal(whole, parts)
        else f"DIFFERS by {float((whole - parts).abs().max()):.2g}"
    )


def _graph_differs(on: Where, *overrides: str) -> str:
    plain, graphed = (_trained(on, 5, *overrides, *graph) for graph in ((), ("train.graph=true",)))
    return f"{float((plain - graphed).abs().max()):.2g}, of weights of up to {float(plain.abs().max()):.2g}"


def _picks_of_the_cpu(on: Where, is_kmeans: bool) -> str:
    rng = torch.Generator().manual_seed(0)
    h, r = torch.randn(5000, 64, generator=rng), torch.randn(5000, 10, generator=rng)
    picks = []
    for device in (torch.device("cpu"), on.device):
        there = h.to(device), r.to(device)
        if is_kmeans:
            found = kmeans_plusplus(OuterProduct(*there), 200, torch.Generator().manual_seed(1))
        else:
            found = k_center(there[0], 200, centers=there[0][:100])
        picks.append(found.cpu())
    return f"{int((picks[0] == picks[1]).sum())} of 200"


def _rounding(on: Where, tf32: bool) -> str:
    a, b = torch.randn(2, 512, 2048, generator=torch.Generator().manual_seed(0)).to(on.device)
    with float32_products(tf32):
        product = a @ b.T
    exact = a.double() @ b.double().T
    return f"{float((product - exact).abs().max() / exact.abs().max()):.1g}"


def _waits(on: Where) -> str:
    fitting = _fitting(on, n=40 * 64)
    for _ in range(2):
        fitting.epoch()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        fitting.epoch()
        torch.cuda.set_sync_debug_mode("default")
    return str(sum("synchroniz" in str(warning.message) for warning in caught))


def _memory(on: Where) -> str:
    setup, history = _setup(on, "alg=confidence", *SMALL_RESNET), History()
    run(setup, history)
    held = max(row.peak_memory_mb or 0 for row in history.rounds)
    return f"{setup.memory.total / 2**20:.0f} MiB, {held:.0f} MiB"


def networks(on: Where) -> list[str]:
    """Measure training and scoring in images per second, beside a plain loop."""
    rates = limits(on.device, on.seconds / 2)
    products = [f"{key[5:9]} {rate:,.0f}" for key, rate in rates.items() if "gemm" in key]
    head = f"Limits: products in GFLOP/s {', '.join(products)}; copies {rates['copy_gb_per_s']:,.0f} GB/s."
    rows = []
    for name in ("mlp",) if on.tiny else ("mlp", "resnet", "resnet18"):
        task = synthetic_task(640 if on.tiny else 6400, COLOUR)
        plain, fed = _plain(on, name, task)
        rows.append([name, "plain loop, images decoded by a worker", f"{plain:,.0f}", "", ""])
        rows.append([name, "the same, images on the device", f"{fed:,.0f}", "", ""])
        for precision in precisions(on.device):
            for graph in (False, True) if on.device.type == "cuda" else (False,):
                rate = speed(
                    name,
                    COLOUR,
                    on.device,
                    on.seconds,
                    f"train.precision={precision}",
                    f"train.graph={graph}".lower(),
                )
                train = rate["train_images_per_s"]
                rows.append(
                    [
                        name,
                        precision + ", CUDA graph" * graph,
                        f"{train:,.0f}",
                        f"{train / plain:.1f}x, {train / fed:.1f}x",
                        f"{rate['score_images_per_s']:,.0f}",
                    ]
                )
    columns = ("network, 3x32x32", "how", "trained, images/s", "of the plain loops", "scored, images/s")
    return [head, "", markdown(columns, rows)]


def _plain(on: Where, name: str, task: Task) -> tuple[float, float]:
    """Return images per second of the plain loop, and of the same with all batches on the device already."""
    n = len(task.train)
    batches = published_loader(Rows(task.train.images, task.train.labels, (128.0,) * 3, (64.0,) * 3), 64)
    ready = [tuple(t.to(on.device) for t in batch) for batch in batches]
    found = []
    for source in (batches, ready):
        network = learner(name, task, on.device).new_network()
        work = partial(plain_train, network, source, 1, 1e-4, 0.1)
        with new_process_settings():  # as torch comes, without hetal's choice of kernels that repeat
            found.append(n / best_seconds(work, on.device, on.seconds))
    return found[0], found[1]


def members(on: Where) -> list[str]:
    """Measure training of several networks in one batched step, as members of an ensemble."""
    rows = []
    for name in ("mlp",) if on.tiny else ("mlp", "resnet"):
        alone = 0.0
        for k in (1, 2, 5) if on.tiny else (1, 2, 5, 10):
            graph = "train.graph=true" if on.device.type == "cuda" else "train.graph=false"
            rate = speed(name, COLOUR, on.device, on.seconds, f"model.members={k}", graph)[
                "train_images_per_s"
            ]
            alone = alone or rate
            rows.append([name, str(k), f"{rate:,.0f}", f"{k * rate / alone:.1f}x"])
    return [
        markdown(
            ("network, 3x32x32", "members", "images/s, each by all members", "of one after the other"), rows
        )
    ]


def selection(on: Where) -> list[str]:
    """Measure BADGE's and core-set's selection on points of ImageNet's shape."""
    M, C, D, n = (5000, 100, 64, 100) if on.tiny else (1_281_167, 1000, 512, 10_000)
    with seeded(stream(0, "points"), on.device):
        middles = torch.randn(C, D, device=on.device)
        h = middles[torch.randint(C, (M,), device=on.device)] + torch.randn(M, D, device=on.device)
        r = torch.randn(M, C, device=on.device).softmax(1)
    h.relu_()
    r[torch.arange(M, device=on.device), r.argmax(1)] -= 1
    rows = []
    work: dict[str, Callable[[], Any]] = {
        f"badge, {M:,} x ({C} + {D})": lambda: kmeans_plusplus(
            OuterProduct(r, h), n, torch.Generator().manual_seed(0)
        ),
        f"core-set, {M:,} x {D}, 10,000 labelled": lambda: k_center(h, n, centers=h[:10_000]),
    }
    for what, select in work.items():
        if on.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began, before = time.perf_counter(), _held(on)
        select()
        on.sync()
        rows.append([what, f"{n:,}", f"{time.perf_counter() - began:.2f}", f"{_peak(on) - before:,.0f}"])
    return [markdown(("strategy", "picks", "seconds", "MiB beside the points"), rows)]


def _held(on: Where) -> float:
    return torch.cuda.memory_allocated() / 2**20 if on.device.type == "cuda" else 0


def _peak(on: Where) -> float:
    return torch.cuda.max_memory_allocated() / 2**20 if on.device.type == "cuda" else 0


def runs(on: Where) -> list[str]:
    """Time whole runs: a standard one, and the paper's at its size with fewer epochs."""
    rows = []
    if not on.tiny:
        standard = standard_run(on.device)
        rows.append(["standard run: 4,000 x 1x28x28, class x4, MLP, badge, 1,400 labels", *_phases(standard)])
    task = synthetic_task(500 if on.tiny else 50_000, COLOUR)
    sizes = (
        ("n_start=50", "n_query=50", "n_end=100")
        if on.tiny
        else ("n_start=1000", "n_query=1000", "n_end=4000")
    )
    epochs = 2 if on.tiny else 40
    graph = "true" if on.device.type == "cuda" else "false"
    common = [
        "model=resnet",
        "noise=class",
        "mult=x4",
        f"train.graph={graph}",
        NO_TRACKER,
    ]
    common += [*sizes, *(SMALL_RESNET if on.tiny else ())]
    what = f"{len(task.train):,} x 3x32x32, class x4, ResNet, {sizes[-1]}, {epochs} epochs a round"
    for name in ("random", "coreset", "badge", "lhd"):
        seconds = timed_run(task, on.device, f"alg={name}", f"train.max_epochs={epochs}", *common)
        rows.append([f"{name}: {what}", *_phases(seconds)])
    return [markdown(("run, one seed", "seconds", "train", "test", "score", "select", "rest"), rows)]


def _phases(seconds: dict[str, float]) -> list[str]:
    return [f"{seconds.get(name, 0):.1f}" for name in ("whole", "train", "test", "score", "select", "rest")]


SECTIONS: dict[str, Callable[[Where], list[str]]] = {
    "What must hold": checks,
    "Images per second": networks,
    "Selection": selection,
    "Whole runs": runs,
    "Several networks in one step": members,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all sections, and write or print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="as little as shows that the script runs; prints")
    parser.add_argument("--minutes", type=float, default=6.0, help="after which no further section begins")
    parser.add_argument(
        "--out", type=Path, default=PAGE, help="a copy of the page to fill, in place of docs/GPU.md"
    )
    options = parser.parse_args(arguments)
    on = Where(pick_device(options.device, 1), options.tiny, 0.05 if options.tiny else 1.0)
    name = torch.cuda.get_device_name() if on.device.type == "cuda" else platform.processor() or "a CPU"
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    text = [f"Measured on {datetime.date.today():%Y-%m-%d}: {name}, {versions}."]
    began, taken = time.monotonic(), []
    for title, section in SECTIONS.items():
        start = time.monotonic()
        print(f"{title} ...", flush=True)
        if start - began > 60 * options.minutes:
            lines = ["Not run: there was no time left."]
        else:
            try:
                lines = section(on)
            except Exception as error:
                if options.tiny:
                    raise
                traceback.print_exc()
                lines = [f"Failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"]
        taken.append(time.monotonic() - start)
        text += ["", f"## {title}", "", *lines]
        print("\n".join(lines), flush=True)
        if not options.tiny:  # after every section, so that a script that is stopped leaves what it has found
            page = (options.out if options.out.exists() else PAGE).read_text()
            before, _, rest = page.partition(BEGIN)
            lines = [BEGIN, "", *text, "", _took(taken), "", END]
            options.out.write_text(before + "\n".join(lines) + rest.partition(END)[2])


def _took(seconds: Sequence[float]) -> str:
    each = zip(SECTIONS, seconds, strict=False)
    return "Seconds: " + ", ".join(f"{title.lower()} {s:.0f}" for title, s in each) + "."


if __name__ == "__main__":
    main()
