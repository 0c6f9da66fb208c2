"""Floor 2: dtypes, expressions, axes, index functions; how to print and verify them.

Knows what is to be computed; never how it runs.
"""
