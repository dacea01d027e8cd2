"""The command `hetal`, also `python -m hetal` and `python launch.py`: from the words typed to one run or a sweep."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import hetal
from hetal.app.launch import launch
from hetal.app.messages import answered
from hetal.errors import BadInput
from hetal.machine.installation import CONF
from hetal.machine.output import protect_output
from hetal.machine.signals import Supervisor
from hetal.record.redact import check_arguments, redacted
from hetal.sweep.jobs import failure_reason, run_job
from hetal.sweep.overrides import as_options


def main() -> None:
    """Run hetal on the words of the command line; its output and its end are plain whatever happens to it.

    Modules of the folder that it is started in can be named in configs, after all that is installed.

    Raises:
        SystemExit: a mistake of the user's, status 1; or it was stopped, 128 and the signal's number.
    """
    protect_output()
    if "--version" in sys.argv[1:]:
        print(f"hetal {hetal.__version__}, Hydra {hydra.__version__}")
        return
    try:
        check_arguments(sys.argv[1:])  # before Hydra repeats a key in a message or a file
        sys.argv[1:] = arranged(sys.argv[1:])
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        answered(hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task), CONF)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt as error:
        stopped(error)


def arranged(words: Sequence[str]) -> list[str]:
    """Return the words of a command line as Hydra takes them: options such as --config-dir before all overrides.

    Hydra's own parser does not take overrides from more than one place between options.

    Raises:
        SystemExit: status 2, an option that Hydra does not have.
    """
    overrides = get_args_parser().parse_intermixed_args(words).overrides
    return [*(word for word in words if word not in overrides), *as_options(overrides)]


def task(cfg: DictConfig) -> float | None:
    """Run one experiment as Hydra's task, and return its objective, the area under the learning curve.

    It stands here by its own name so that launchers can pickle it.

    Raises:
        SystemExit: of a single run, in one line: a mistake of the user's, status 1; or it was stopped, the status that
            shells expect, 128 and the signal's number. In a sweep a mistake ends one job.
    """
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        if in_sweep:
            return run_job(lambda: launch(cfg), cfg)
        return launch(cfg).area_under_curve
    except BadInput as error:
        if in_sweep:
            raise
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt as error:
        if in_sweep and Supervisor.present:
            raise
        stopped(error)
    # Nothing that a run consists of may end it, least of all as if it were done.
    except SystemExit as error:
        if in_sweep:
            raise
        print(f"error: {failure_reason(error)}, and the run is not done", file=sys.stderr)
        raise SystemExit(1) from None


def stopped(error: KeyboardInterrupt) -> NoReturn:
    """Say that a run was stopped, and exit.

    Raises:
        SystemExit: always.
    """
    number = getattr(error, "signal", None) or signal.SIGINT
    print("stopped; the same command continues", file=sys.stderr)
    raise SystemExit(128 + number) from None
