"""What is imported once, in a process that others are forked from: they then start in 0.1 s instead of 4."""

# ruff: noqa: F401

import torch
import torch._dynamo  # torch itself imports it, but only when it first trains

import hetal.algs.lhd
import hetal.build
import hetal.conduct
import hetal.data.digits
import hetal.display
import hetal.figure
import hetal.noise.class_

torch.set_num_threads(1)
