"""The load generator: when calls are due, who makes them, and what was seen of each.

``schedules`` is pure; ``driver`` carries one out on an event loop, ``drivers`` in processes of their own;
``records`` holds what was seen. Not aware of what is called, nor of what figures are made of it.
"""
