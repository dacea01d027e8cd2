"""A sweep on a real Ray. It listens on every interface whatever it is told, so it gets a network of its own."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tests.command_line import REPOSITORY, TOY, command, records


def absent() -> str | None:
    """Say what this test lacks."""
    if importlib.util.find_spec("ray") is None:
        return "Ray is not installed: pip install -e '.[ray]'"
    try:
        alone = subprocess.run(["unshare", "-n", "true"], capture_output=True)
    except OSError:
        return "there is no unshare, to make a network namespace with"
    return "no network namespace can be made here" if alone.returncode else None


@pytest.mark.skipif(absent() is not None, reason=str(absent()))
def test_eight_jobs_leave_the_records_of_the_basic_launcher(tmp_path):
    line = ["-m", "alg=random,badge", "noise=blank,class", "seed=0,1", *TOY]
    here = command(*line, f"root={tmp_path / 'here'}")
    assert here.returncode == 0, here.stderr
    ray = [
        "hydra/launcher=ray_cluster", "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init._node_ip_address=127.0.0.1", f"root={tmp_path / 'there'}",
    ]  # fmt: skip
    alone = ["unshare", "-n", "bash", "-c", 'ip link set lo up && exec "$@"', "-"]
    there = subprocess.run(
        [*alone, sys.executable, "launch.py", *line, *ray],
        cwd=REPOSITORY,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert there.returncode == 0, there.stderr
    assert "8 jobs: 8 done" in there.stdout
    assert len(records(tmp_path / "here")) == 8
    assert records(tmp_path / "there") == records(tmp_path / "here")
