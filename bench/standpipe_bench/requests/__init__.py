"""What RPCs are called with: examples, files, or generated texts, as serialized messages.

By descriptor, so for any RPC. Not aware of servers, nor of when calls are made.
"""
