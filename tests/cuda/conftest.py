"""Tests for an NVIDIA GPU: `python -m pytest tests/cuda -n 0`. Without one they are not collected."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
