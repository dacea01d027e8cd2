"""The command line's side of a run: find the record, build the parts, run, show where everything is."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from hetal.errors import BadInput


def factor_of(mult: Any) -> Any:
    """Return the noise factor that `mult=2.5` or `mult.factor=2.5` asks for; a number stands for itself."""
    return mult.factor if isinstance(mult, DictConfig) else mult


# Hydra takes no number as the name of an option, so mult is a value, not a group; noise settings read it here.
OmegaConf.register_new_resolver("factor_of", factor_of, replace=True)


class JobFailed(CompactHydraException):
    """A job of a sweep failed through a mistake of the user; Hydra shows the message without a traceback."""


def plainly(main: Callable[[DictConfig], float]) -> Callable[[DictConfig], float]:
    """Wrap a Hydra task so that a user's mistake ends in one line and a non-zero exit, not in a traceback."""

    @functools.wraps(main)
    def wrapped(cfg: DictConfig) -> float:
        try:
            return main(cfg)
        except BadInput as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise JobFailed(f"error: {error}") from None
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            print("interrupted; the same command continues where it stopped", file=sys.stderr)
            raise SystemExit(130) from None

    return wrapped


def _resolved(cfg: DictConfig) -> dict[str, Any]:
    try:
        config = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise BadInput(" ".join(str(error).split())) from None
    assert isinstance(config, dict)
    config["mult"] = {"factor": factor_of(cfg.mult)}
    return {str(key): value for key, value in config.items()}


def launch(cfg: DictConfig) -> float:
    """Run the experiment that `cfg` describes, or what is missing of it.

    Returns:
        The area under the learning curve, in [0, 1]: the objective of a hyperparameter search.

    Raises:
        BadInput: the settings, the data or the machine cannot do it.
    """
    # Imported here: torch takes seconds, which --help, shell completion and a mistyped option need not wait for.
    from hetal.build import build, check_config
    from hetal.device import pick_device
    from hetal.display import Display, show_finished
    from hetal.figure import draw_curve
    from hetal.record import Record
    from hetal.run import run
    from hetal.setup import prepare

    console = Console()
    config = _resolved(cfg)
    check_config(config)
    hydra = HydraConfig.get()
    choices = {
        k: str(v) for k, v in hydra.runtime.choices.items() if not k.startswith("hydra/") and k in config
    }
    record = Record(config, choices, list(hydra.overrides.task), force=cfg.force)
    if not cfg.force and record.summary is not None:
        console.print(f"{record.title}  finished already; force=true runs it again", highlight=False)
        if not (record.dir / "curve.png").exists():
            draw_curve(record.rounds, record.summary["base_rate"], record.title, record.dir / "curve.png")
        show_finished(console, record.rounds, record.summary, record.dir, None)
        return float(record.summary["area_under_curve"])

    parts = build(config)
    device = pick_device(parts["device"], parts["threads"])
    tracker = parts["tracker"]
    setup = prepare(
        data=parts["data"],
        noise=parts["noise"],
        model=parts["model"],
        train=parts["train"],
        finetune=parts["finetune"],
        strategy=parts["alg"],
        n_start=parts["n_start"],
        n_query=parts["n_query"],
        n_end=parts["n_end"],
        seed=parts["seed"],
        device=device,
    )
    with record.hold(device, data=setup.fingerprint, force=cfg.force):
        tracker.start(record, setup.oracle.clean_share)
        try:
            with Display(record.title, setup.budget, console) as display:
                if absent := setup.absent_classes:
                    display.note(f"the start set holds no label of class {', '.join(map(str, absent))}")
                display.resume(record.rounds)
                run(setup, record, tracker, display)
        finally:
            tracker.finish(record.summary)
        summary = record.summary
        assert summary is not None
        draw_curve(record.rounds, summary["base_rate"], record.title, record.dir / "curve.png")
    show_finished(console, record.rounds, summary, record.dir, tracker.where())
    return float(summary["area_under_curve"])
