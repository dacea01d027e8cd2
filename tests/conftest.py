"""What all tests share."""

import signal

import torch

# One thread, so that two test processes on two cores do not wait for each other.
torch.set_num_threads(1)

# A shell that starts the tests in the background has them ignore SIGINT, and all they start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)
