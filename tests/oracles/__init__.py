"""Oracles that nobody here wrote: other projects' own lists of operations, inputs and errors."""
