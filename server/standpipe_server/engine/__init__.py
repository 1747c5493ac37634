"""Queues, batches and workers. Not aware of gRPC, protobuf, numpy or any model library."""
