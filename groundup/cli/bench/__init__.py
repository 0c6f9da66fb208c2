"""`groundup bench`: our kernels and training steps side by side with peers, interleaved.

record says what a case and a row are, suites holds the cases, sides makes them ready in each
library, agree compares results, measure times, roof shows the roofline, rows puts these
together, report and docs show what came of it. Must not know how our compiler works.
"""

from groundup.cli.bench.command import bench
from groundup.cli.bench.record import BenchError, Row

__all__ = ["BenchError", "Row", "bench"]
