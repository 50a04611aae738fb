"""Train networks: one loop for all recipes."""

from impasto.training.distributed import this_process
from impasto.training.session import OnStep, Stopped
from impasto.training.train import CHECKPOINT, Trained, train

__all__ = ["CHECKPOINT", "OnStep", "Stopped", "Trained", "this_process", "train"]
