"""Small real models, fetched or put together once and then kept in the user's cache.

Not aware of gRPC, the engine or tasks: what it gives is a folder of files that ``transformers`` loads.
Importing it is light; only a conversion imports model libraries.
"""

from standpipe_server.demo_models.fetch import fetch
from standpipe_server.demo_models.recipes import RECIPES, Recipe
from standpipe_server.demo_models.sources import FetchError

__all__ = ["RECIPES", "FetchError", "Recipe", "fetch"]
