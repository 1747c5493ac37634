"""One profile for every property: the same examples on every run, and no limit on their time."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, derandomize=True, database=None)
settings.load_profile("unit")
