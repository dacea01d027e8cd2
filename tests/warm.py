"""What is imported once, in a process that others are forked from: they then start in 0.1 s instead of 4.

All that a run imports before it ends belongs here: what is missing, every forked run imports anew.
"""

# ruff: noqa: F401

import matplotlib.backends.backend_agg  # by hetal.watch.curve, at a run's end
import matplotlib.figure
import torch
import torch._dynamo  # torch itself imports it, but only when it first trains
import torchvision.models.resnet  # by hetal.models.resnet

import hetal.algs
import hetal.app.compose
import hetal.app.single_run
import hetal.data
import hetal.models
import hetal.noise
import hetal.watch.console
import hetal.watch.curve

torch.set_num_threads(1)
