"""What is imported once, in a process that others are forked from: they then start in 0.1 s instead of 4."""

# ruff: noqa: F401

import torch
import torch._dynamo  # torch itself imports it, but only when it first trains

import hetal.algs.lhd
import hetal.app.compose
import hetal.app.single_run
import hetal.data.digits
import hetal.noise.class_
import hetal.watch.console
import hetal.watch.curve

torch.set_num_threads(1)
