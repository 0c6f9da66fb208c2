"""Rooms that only hold names: those of PyTorch's modules whose functions stand in several files."""
