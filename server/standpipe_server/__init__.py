"""Standpipe's server: typed gRPC over Hugging Face models.

The rooms and what each may import are in ARCHITECTURE.md; ``app`` is the only one that sees them all.
"""
