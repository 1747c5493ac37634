"""The only room that knows gRPC: bytes in, a task's calls through the engine, bytes out.

Not aware of any model library.
"""
