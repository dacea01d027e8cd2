#!/usr/bin/env bash
# Checks and times hetal on an NVIDIA GPU in under 8 minutes, and writes what it finds to docs/GPU.md.
# Needs nothing but Python: where torch is not installed, it makes an environment of its own outside the tree.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python -c 'import torch, torchvision, hydra, pydantic, rich, scipy, sklearn, matplotlib' 2>/dev/null; then
    environment="${TMPDIR:-/tmp}/hetal-gpu"
    python3 -m venv "$environment"
    . "$environment/bin/activate"
    pip install --quiet -e '.[test]'
fi
export PYTHONPATH="$PWD" WANDB_MODE=disabled
exec python -m benchmarks.gpu "$@"
