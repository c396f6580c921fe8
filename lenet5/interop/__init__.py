"""Weights to and from PyTorch and Keras."""
