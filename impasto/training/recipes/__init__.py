"""Recipes: what is trained, on which loss, and what is exported."""

from impasto.training.datasets import Batch, Dataset
from impasto.training.recipes.base import RECIPES, FeedForwardRecipe, FeedForwardTrainingConfig, Recipe, TrainingConfig

__all__ = ["RECIPES", "Batch", "Dataset", "FeedForwardRecipe", "FeedForwardTrainingConfig", "Recipe", "TrainingConfig"]
