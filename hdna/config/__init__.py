"""Recipes: a run's settings as frozen dataclasses, and the one way to load them."""

from hdna.config.recipe import dump_recipe, find_recipe, list_recipes, load_recipe, recipe_text
from hdna.config.schema import (
    CheckpointConfig,
    DataConfig,
    EvaluateConfig,
    ModelConfig,
    OptimConfig,
    ParallelConfig,
    RunConfig,
    RunSection,
    Stage,
)

__all__ = [
    "RunConfig",
    "RunSection",
    "ModelConfig",
    "DataConfig",
    "Stage",
    "OptimConfig",
    "ParallelConfig",
    "CheckpointConfig",
    "EvaluateConfig",
    "load_recipe",
    "dump_recipe",
    "find_recipe",
    "list_recipes",
    "recipe_text",
]
