"""Long runs of the property tests: `python tools/nightly.py [--graphs 20000] [--only NAME …]`.

Each row of SUITES is a test over random cases; it runs in processes of --chunk cases, each with a
seed of its own, so that a failure names the seed that repeats it. Ends with 1 if something failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITES = {
    "forward": "tests/schedule/test_compiled.py::test_random_graphs_equal_numpy",
    "reference": "tests/emit/test_python.py::test_random_graphs_equal_numpy",
    "backward": "tests/autodiff/test_compiled.py::test_compiled_gradients_equal_the_reference",
    "twice": "tests/autodiff/test_compiled.py::"
    "test_compiled_second_derivatives_equal_the_reference",
    "slopes": "tests/autodiff/test_properties.py::"
    "test_random_gradients_equal_finite_differences",
    "tangents": "tests/autodiff/test_forward.py::test_forward_is_the_transpose_of_reverse",
    "mapped": "tests/autodiff/test_forward.py::test_a_graph_of_a_batch_and_of_other_tensors",
    "memory": "tests/schedule/test_plan.py::test_temporaries_that_live_at_once_never_overlap",
    "names": "tests/emit/test_fingerprint.py::test_one_name_one_text",
    "programs": "tests/tensor/test_programs.py::test_random_programs_are_as_in_torch",
    "captured": "tests/tensor/test_programs.py::test_random_programs_captured_are_the_plain_ones",
    "orders": "tests/jit/test_orders.py::test_reductions_of_a_batch_anywhere_are_the_plain_ones",
    "comprehensions": "tests/tensor/test_comprehensions.py::test_random_comprehensions",
}


def chunk(name: str, cases: int, seed: int, limit: float) -> str | None:
    """Run some cases of one suite; what pytest printed if it failed."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "",
        f"--hypothesis-seed={seed}", SUITES[name],
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "GROUNDUP_GRAPHS": str(cases)},
            capture_output=True, text=True, timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not done after {limit:.0f} s"
    return done.stdout + done.stderr if done.returncode else None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--graphs", type=int, default=20_000, help="cases of each suite")
    parser.add_argument("--chunk", type=int, default=1000, help="cases of one process")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first process")
    parser.add_argument("--limit", type=float, default=1800.0, help="seconds for one process")
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES), metavar="NAME")
    given = parser.parse_args()
    failed = []
    for name in given.only:
        for start in range(0, given.graphs, given.chunk):
            cases, seed = min(given.chunk, given.graphs - start), given.first + start // given.chunk
            began = time.perf_counter()
            report = chunk(name, cases, seed, given.limit)
            line = f"{name}: {cases} cases of seed {seed}: {time.perf_counter() - began:.0f} s"
            print(line + (", FAILED" if report else ""), flush=True)
            if report:
                failed.append(f"--only {name} --graphs {cases} --chunk {cases} --first {seed}")
                print(report, flush=True)
    for what in failed:
        print(f"again: python tools/nightly.py {what}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
