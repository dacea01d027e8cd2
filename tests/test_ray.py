"""A sweep on a real Ray. It listens on every interface whatever it is told, so it gets a network of its own."""

import importlib.util
import subprocess
import sys

import pytest

from tests.command_line import REPOSITORY, TOY, command, environment, records
from tests.killers import install


def absent() -> str | None:
    """Say what this test lacks."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed: pip install -e '.[ray]'"
    try:
        alone = subprocess.run(["unshare", "-n", "true"], capture_output=True)
    except OSError:
        return "there is no unshare, to make a network namespace with"
    return "no network namespace can be made here" if alone.returncode else None


def on_ray(*line: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line on a Ray of its own."""
    ray = [
        "hydra/launcher=ray_cluster", "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init._node_ip_address=127.0.0.1",
    ]  # fmt: skip
    alone = ["unshare", "-n", "bash", "-c", 'ip link set lo up && exec "$@"', "-"]
    return subprocess.run(
        [*alone, sys.executable, "launch.py", *line, *ray],
        cwd=REPOSITORY,
        env=environment({"RAY_USAGE_STATS_ENABLED": "0", **(env or {})}),
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.skipif(absent() is not None, reason=str(absent()))
def test_eight_jobs_leave_the_records_of_the_basic_launcher(tmp_path):
    line = ["-m", "alg=random,badge", "noise=blank,class", "seed=0,1", *TOY]
    here = command(*line, f"root={tmp_path / 'here'}")
    assert here.returncode == 0, here.stderr
    there = on_ray(*line, f"root={tmp_path / 'there'}")
    assert there.returncode == 0, there.stderr
    assert "8 jobs: 8 done" in there.stdout
    assert len(records(tmp_path / "here")) == 8
    assert records(tmp_path / "there") == records(tmp_path / "here")


@pytest.mark.skipif(absent() is not None, reason=str(absent()))
def test_jobs_that_bring_down_their_process_are_named_and_the_others_run(tmp_path):
    find, env = install(tmp_path)
    line = ["-m", "alg=harm", "alg.deed=kill,exit,nothing,abort", *TOY, *find, f"root={tmp_path / 'out'}"]
    done = on_ray(*line, env=env)
    assert done.returncode == 1
    assert "4 jobs: 2 died, 1 failed, 1 done" in done.stdout
    assert "failed: called sys.exit(0)" in done.stdout
