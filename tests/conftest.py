"""What all tests share: one thread, so that two test processes on two cores do not wait for each other."""

import torch

torch.set_num_threads(1)
