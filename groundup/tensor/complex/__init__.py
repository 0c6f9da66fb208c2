"""Complex numbers: pairs (re, im) along one more axis of a real tensor, and all that they can do.

Everything here is made of operations on real tensors, so it is compiled, differentiated and
captured like them. Must not know expressions, or how anything runs.
"""
