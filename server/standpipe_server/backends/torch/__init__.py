"""Models on torch: processors, CUDA, Apple's GPU."""
