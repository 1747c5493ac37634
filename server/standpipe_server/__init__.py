"""Standpipe's server: typed gRPC over Hugging Face models.

The rooms and what each may import are in ARCHITECTURE.md; ``app`` is the only one that sees them all.
"""

import os

# diffusers reads it when it is imported, as Optimum does that without being asked, and then says where
# optimum-intel is installed that there is more than one Optimum.
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
