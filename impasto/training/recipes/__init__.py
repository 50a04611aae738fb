"""Define what is trained: the network, its loss and the exported file, one recipe per file."""

from impasto.training.datasets import Batch, Dataset
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig, Recipe, TrainingConfig

__all__ = ["RECIPES", "Batch", "Dataset", "FeedForwardRecipe", "FeedForwardTrainingConfig", "Recipe", "TrainingConfig"]
