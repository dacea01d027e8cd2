"""Benchmark of training and scoring on this machine, compared with its limits: `python -m hetal.bench`.

Every speed is the best of a few repetitions, since other load on a machine can only make it slower. The data are
synthetic, in the shape of real data, so nothing is downloaded.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from hetal.app.compose import build_experiment
from hetal.app.launch import resolved
from hetal.errors import BadInput
from hetal.experiment import Experiment
from hetal.loop import run
from hetal.machine.arithmetic import float32_products
from hetal.machine.device import pick_device
from hetal.machine.files import write_json
from hetal.machine.installation import CONF
from hetal.pool import Pool
from hetal.record.writer import Record
from hetal.rng import stream
from hetal.task import Examples, Task
from hetal.train.fit import Fitting
from hetal.train.learner import Learner
from hetal.train.precision import lacks_bfloat16
from hetal.train.recipe import PRECISIONS
from hetal.watch.console import Display
from hetal.watch.watcher import Watchers

NETWORKS = ("mlp", "resnet", "resnet18", "vgg")

# Epochs are timed one after another, so no stopping rule may end training.
NO_STOPPING = ("train.max_epochs=1000000000", "train.restart_below=0", "train.stop.accuracy=2")


def compose_experiment(*overrides: str) -> Experiment:
    """Build the experiment of these overrides, from the configs that runs use."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build_experiment(resolved(compose("config", list(overrides))), "badge")


def best_seconds(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the shortest wall time of `work`, repeated at least twice and for about `seconds` after one warm-up."""
    shortest, began, n = float("inf"), time.perf_counter(), -1
    while n < 2 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        if device.type != "cpu":
            torch.get_device_module(device).synchronize()
        n += 1
        if n:
            shortest = min(shortest, time.perf_counter() - start)
    return shortest


def precisions(device: torch.device) -> list[str]:
    """Return the values of train.precision that `device` computes at speed."""
    return [
        name
        for name, kinds in PRECISIONS.items()
        if device.type in kinds and not (name == "bf16" and lacks_bfloat16(device))
    ]


def limits(device: torch.device, seconds: float) -> dict[str, float]:
    """Measure the limits of the machine: matrix products in GFLOP/s, copies in GB/s read and written."""
    n = 1024 if device.type == "cpu" else 8192
    rates = {}
    for name in precisions(device):
        a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if name == "bf16" else torch.float32)
        with float32_products(name == "tf32"):
            shortest = best_seconds(partial(torch.matmul, a, a), device, seconds)
        rates[f"gemm_{name}_gflops"] = 2 * n**3 / shortest / 1e9
    a = torch.randn(2**26, device=device)
    b = torch.empty_like(a)
    rates["copy_gb_per_s"] = 2 * a.numel() * 4 / best_seconds(lambda: b.copy_(a), device, seconds) / 1e9
    return rates


def synthetic_task(n: int, shape: tuple[int, ...], n_classes: int = 10) -> Task:
    """Return a task of noisy images around `n_classes` prototypes, which takes some epochs to learn."""
    rng = torch.Generator().manual_seed(0)
    prototypes = torch.randn(n_classes, *shape, generator=rng) * 25
    labels = torch.arange(n) % n_classes
    images = prototypes[labels] + 60 * torch.randn(n, *shape, generator=rng) + 128
    examples = Examples(images.clamp(0, 255).to(torch.uint8), labels)
    return Task(
        examples, Examples(examples.images[:1000], labels[:1000]), n_classes, mean=(128.0,), std=(64.0,)
    )


def learner(name: str, task: Task, device: torch.device, *overrides: str) -> Learner:
    """Return the paper's learner of the network called `name`, without stopping rules."""
    experiment = compose_experiment(f"model={name}", *NO_STOPPING, *overrides)
    return dataclasses.replace(experiment, finetune=None).learner(task, device)


def speed(
    name: str, shape: tuple[int, ...], device: torch.device, seconds: float, *overrides: str
) -> dict[str, float]:
    """Measure training and scoring of one network in images per second, and their operations (FLOPs) per image.

    Args:
        name: of the network.
        shape: of an image.
        device: to compute on.
        seconds: for each measurement.
        overrides: settings of training.
    """
    n = 64 * (100 if device.type != "cpu" else 20 if name == "mlp" else 2)
    task = synthetic_task(n, shape)
    recipe = learner(name, task, device, *overrides)
    pool = Pool(task.train.images.to(device), torch.arange(n))
    pool.reveal(torch.arange(n), task.train.labels)
    fitting = Fitting(recipe, pool, stream(0, "fit"), past_steps=0, snapshot=False)
    train = n / best_seconds(fitting.epoch, device, seconds)
    fitted = fitting.read()
    score = n / best_seconds(lambda: fitted.outputs(fitted.networks.online, pool.images_M), device, seconds)
    with FlopCounterMode(display=False) as training:
        fitting.epoch()
    with FlopCounterMode(display=False) as scoring:
        fitted.outputs(fitted.networks.online, pool.images_M)
    return {
        "train_images_per_s": train,
        "score_images_per_s": score,
        "train_flops_per_image": training.get_total_flops() / n,
        "score_flops_per_image": scoring.get_total_flops() / n,
    }


def standard_run(device: torch.device) -> dict[str, float]:
    """Time a run with 4,000 clean images of Fashion-MNIST's shape, class noise, mult=x4, MLP, BADGE, six queries."""
    budget = ("n_start=200", "n_query=200", "n_end=1400")
    return timed_run(synthetic_task(4000, (1, 28, 28)), device, "noise=class", "train=fast", *budget)


def timed_run(task: Task, device: torch.device, *overrides: str) -> dict[str, float]:
    """Time a run on a task.

    Returns:
        Seconds by phase; `rest` is the time outside all phases: data, record, display.
    """
    began = time.perf_counter()
    experiment = compose_experiment(*overrides)
    setup = dataclasses.replace(experiment, data=lambda rng: task).prepare(device)
    with tempfile.TemporaryDirectory() as root:
        config = {"name": "bench", "root": root, "seed": 0, "noise": {"factor": 4}, "mult": {}, "train": {}}
        record = Record(config, {"alg": "badge", "data": "made_up", "noise": "class", "model": "mlp"})
        display = Display(Console(file=io.StringIO()), "")
        with record.hold(device, setup.fingerprint):
            display.start(setup, record)
            summary = run(setup, record, Watchers([display]))
    whole = time.perf_counter() - began
    seconds: dict[str, float] = summary["seconds"]
    return {**seconds, "rest": whole - sum(seconds.values()), "whole": whole}


def overhead_share(device: torch.device) -> float:
    """Return the share of an MLP's training time outside operations: in Python and autograd."""
    task = synthetic_task(1280, (1, 28, 28))
    pool = Pool(task.train.images.to(device), torch.arange(1280))
    pool.reveal(torch.arange(1280), task.train.labels)
    fitting = Fitting(learner("mlp", task, device), pool, stream(0, "fit"), past_steps=0, snapshot=False)
    fitting.epoch()
    with profile() as traced:
        began = time.perf_counter()
        fitting.epoch()
        wall = time.perf_counter() - began
    kind = "self_cpu_time_total" if device.type == "cpu" else "self_device_time_total"
    in_operations = sum(getattr(e, kind) for e in traced.key_averages() if e.key.startswith("aten::")) / 1e6
    return float(max(0.0, 1 - in_operations / wall))


def report(device: torch.device, seconds: float, networks: list[str], console: Console) -> dict[str, Any]:
    """Measure everything, print the results, and return them as plain values."""
    results: dict[str, Any] = {
        "torch": torch.__version__,
        "machine": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "limits": limits(device, seconds),
        "networks": {},
    }
    console.print(
        ", ".join(f"{key} {results[key]}" for key in ("device", "cpu", "threads", "torch")), highlight=False
    )
    rates = results["limits"]
    console.print(
        ", ".join(f"{key[5:9]} products {rate:,.0f} GFLOP/s" for key, rate in rates.items() if "gemm" in key)
        + f", copies {rates['copy_gb_per_s']:.1f} GB/s",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("network", "images", "precision"):
        table.add_column(name)
    for name in ("train img/s", "of products", "score img/s", "of products"):
        table.add_column(name, justify="right")
    for name in networks:
        for precision in precisions(device):
            for shape in ((1, 28, 28), (3, 32, 32)):
                rate = speed(name, shape, device, seconds, f"train.precision={precision}")
                size = "x".join(map(str, shape))
                results["networks"][f"{name} {size} {precision}"] = rate
                gemm = rates[f"gemm_{precision}_gflops"] * 1e9
                cells = [name, size, precision]
                for work in ("train", "score"):
                    per_s = rate[f"{work}_images_per_s"]
                    cells += [f"{per_s:,.0f}", f"{per_s * rate[f'{work}_flops_per_image'] / gemm:.0%}"]
                table.add_row(*cells)
    console.print(table)
    results["standard_run_seconds"] = phases = standard_run(device)
    results["outside_operations"] = overhead_share(device)
    console.print(
        f"a standard run: {phases['whole']:.1f} s: "
        + ", ".join(f"{name} {s:.2f}" for name, s in phases.items() if name != "whole")
        + f"; {results['outside_operations']:.0%} of an MLP's training is outside operations",
        highlight=False,
    )
    return results


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m hetal.bench", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU, as in a run")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["mlp", "resnet"])
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    options = parser.parse_args()
    try:
        device = pick_device(options.device, options.threads)
        results = report(device, options.seconds, options.networks, Console())
        if options.json:
            write_json(options.json, results)
    except BadInput as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
