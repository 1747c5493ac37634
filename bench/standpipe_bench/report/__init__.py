"""A result as a page that a person decides by: one file, which needs no network and nothing beside it."""
