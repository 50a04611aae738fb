"""The training loop and the recipes."""

from impasto.training.distributed import this_process
from impasto.training.session import OnStep, Stopped, TrainingStep
from impasto.training.train import CHECKPOINT, Trained, train

__all__ = ["CHECKPOINT", "OnStep", "Stopped", "Trained", "TrainingStep", "this_process", "train"]
