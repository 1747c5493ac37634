"""Pictures and sounds as they travel: files to pixels and samples and back, addresses to files.

Not aware of gRPC, of messages, of models or of tasks: it knows bytes, limits and what can be wrong with them.
"""
