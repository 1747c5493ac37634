"""One module per way from the files that a package ships to a folder that ``transformers`` loads.

They import torch, transformers and onnx; nothing imports them before a model must be converted.
"""
