"""From a config to its run: find the record, build the parts, run, show where everything is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

import hetal.app.resolvers  # noqa: F401  # that configs refer to
from hetal.app.names import (
    data_name,
    noise_name,
    strategy_name,
    with_names_of_wrapped,
    with_parts_of_noise,
)
from hetal.errors import BadInput, RecordLocked
from hetal.machine.output import plain_console
from hetal.record.redact import check_settings
from hetal.sweep.jobs import JobResult, config_dirs, has_failed, job_label, raw_overrides
from hetal.sweep.overrides import nested_groups

if TYPE_CHECKING:
    from rich.console import Console

    from hetal.record.schema import Round
    from hetal.record.writer import Record


def resolved(cfg: DictConfig, choices: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return `cfg` as plain values, all interpolations resolved.

    Args:
        cfg: without Hydra's own settings.
        choices: the option chosen for each config group, by which strategies that others wrap are named.

    Raises:
        BadInput: a value is missing or refers to one that does not exist.
    """
    from hetal.app.annotations import shown

    try:
        # Before noise settings, which refer to its factor, are found to refer to nothing.
        if not OmegaConf.is_dict(mult := OmegaConf.select(cfg, "mult")):
            raise BadInput(
                f"mult={shown(mult)}: must be one of the choices of mult, or a number; --help lists them; "
                "in a YAML, override /mult: x4 in its defaults, or mult: {factor: 4}"
            )
        config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise BadInput(f"{error.full_key} is not set; set {error.full_key}=VALUE") from None
    except OmegaConfBaseException as error:
        where = f"{error.full_key}: " if error.full_key else ""
        raise BadInput(where + str(error).split("\n")[0]) from None
    assert isinstance(config, dict)
    _check_resolved(config)
    if isinstance(noise := config.get("noise"), dict):
        config["noise"] = with_parts_of_noise(noise)
    if isinstance(alg := config.get("alg"), dict):
        config["alg"] = with_names_of_wrapped(alg, choices or {})
    return {str(key): value for key, value in config.items()}


def _check_resolved(node: Any, path: str = "") -> None:
    """Refuse what only looks like a reference: whoever reads the config next would try to follow it."""
    if isinstance(node, dict):
        for key, value in node.items():
            _check_resolved(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            _check_resolved(value, f"{path}[{i}]")
    elif isinstance(node, str) and "${" in node:
        raise BadInput(f"{path}={node}: must not contain ${{")


def launch(cfg: DictConfig) -> JobResult:
    """Run the experiment that `cfg` describes, or what is missing of it.

    Raises:
        BadInput: the settings, the data or the machine cannot do it.
        Stopped: a signal asked for it; all finished rounds are on record.
    """
    # Imported here: torch takes seconds, which --help, shell completion and a mistyped option need not wait for.
    from hetal.app.compose import GROUPS, build_experiment, build_part, check_config
    from hetal.app.single_run import run_on_record
    from hetal.budget import Budget
    from hetal.machine.device import pick_device
    from hetal.machine.gpus import hold_gpu
    from hetal.machine.signals import SafeStop
    from hetal.record.writer import Record
    from hetal.watch.console import show_dry

    console = plain_console()
    hydra = HydraConfig.get()
    config = resolved(cfg, hydra.runtime.choices)
    check_settings(config)
    check_config(config, hydra.runtime.choices)
    config = with_budget(config)
    in_sweep = hydra.mode == RunMode.MULTIRUN
    chosen_in = (*GROUPS, *nested_groups())
    choices = {k: str(v) for k, v in hydra.runtime.choices.items() if k in chosen_in}
    choices["data"] = data_name(config, choices["data"])
    choices["noise"] = noise_name(config, choices["noise"])
    choices["alg"] = strategy_name(config, choices["alg"])
    record = Record(config, choices, raw_overrides(hydra.overrides.task), config["force"], config_dirs(hydra))
    budget = Budget(config["n_start"], config["n_query"], config["n_end"])
    progress = f"{job_label(hydra)} checked  " if config["dry_run"] and in_sweep else ""
    if not config["force"] and (rounds := record.finished(budget)) is not None:
        console.print(progress, end="")
        return _skip(record, rounds, console, brief=in_sweep, tell=not config["dry_run"])
    if config["dry_run"]:
        from hetal.app.dry_run import check_run
        from hetal.record.duration import expected_seconds

        memory = check_run(config, record, config["force"])
        outcome = JobResult(
            "to continue" if record.rounds else "to run",
            record.dir,
            expected_seconds=expected_seconds(record),
        )
        console.print(progress, end="")
        show_dry(console, record, outcome.state, outcome.expected_seconds, memory, brief=in_sweep)
        return outcome

    experiment, tracker = build_experiment(config, choices["alg"]), build_part(config, "tracker")
    chosen = pick_device(config["device"], config["threads"])
    should_stop = has_failed if in_sweep and config["fail_fast"] else lambda: False

    def say(text: str) -> None:
        console.print(text, style="dim", soft_wrap=True)

    while True:
        try:
            with hold_gpu(chosen, config["jobs_per_gpu"], say) as device:
                summary = run_on_record(experiment, record, tracker, device, console, should_stop)
            if summary is not None:
                return _outcome(record, summary, "done")
        except RecordLocked as locked:
            if not in_sweep:
                raise
            say(f"waiting: {locked}")
        # Two jobs of a sweep can be one run, as noise=clean is at any mult; so can jobs of two sweeps.
        with SafeStop(should_stop) as stop:
            record.wait(stop.check)
        if (rounds := record.finished(budget)) is not None:
            return _skip(record, rounds, console, brief=True, tell=True)


def with_budget(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config whose budget is set; where it is null, it follows from the size of the data, which are loaded.

    Rows that the noise leaves out, or makes to be rejected, do not count.

    Raises:
        BadInput: the data cannot be loaded, or the noise fails.
    """
    names = ("n_start", "n_query", "n_end")
    if all(config[name] is not None for name in names):
        return config
    import torch

    from hetal.app.compose import build_part
    from hetal.budget import Budget
    from hetal.experiment import corrupted, load
    from hetal.record.schema import REJECT

    seed, device = config["seed"], torch.device("cpu")
    task = load(build_part(config, "data"), seed, device)
    n = len(task.train)
    task, noisy = corrupted(task, build_part(config, "noise"), seed, device)
    n = min(n, int((noisy.labels_N != REJECT).sum()))
    budget = Budget.fitting(n, task.n_classes, *(config[name] for name in names))
    return {**config, "n_start": budget.n_start, "n_query": budget.n_query, "n_end": budget.n_end}


def _skip(record: Record, rounds: list[Round], console: Console, brief: bool, tell: bool) -> JobResult:
    """Say that a run is on record already, be it as a part of a longer one; with `tell`, its tracker too.

    Raises:
        BadInput: its data are no longer those that it was made of.
    """
    from hetal.app.audit import check_data
    from hetal.app.compose import build_part
    from hetal.evaluate import summarise
    from hetal.record.provenance import made_by
    from hetal.watch.console import show_skipped
    from hetal.watch.curve import draw_curve

    check_data(record.config, record)
    whole = record.summary
    if tell and whole is not None and not (record.dir / "curve.png").exists():
        draw_curve(record.rounds, whole["base_rate"], record.title, record.dir / "curve.png")
    summary = whole
    if summary is None or rounds != record.rounds:
        base_rate = None if whole is None else whole["base_rate"]
        summary = summarise(rounds, record.purchases[: len(rounds)], base_rate)
    show_skipped(console, record, rounds, summary, made_by(record.config), brief)
    if tell:
        build_part(record.config, "tracker").show_finished(record, rounds, summary)
    return _outcome(record, summary, "skipped")


def _outcome(record: Record, summary: Mapping[str, Any], state: str) -> JobResult:
    area, accuracy = float(summary["area_under_curve"]), float(summary["final_accuracy"])
    return JobResult(state, record.dir, area, accuracy, summary=summary, is_bound=record.is_bound)
