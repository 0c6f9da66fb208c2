"""Floor 12: the command line. Reads options, calls the floors below, says what happened.

Must not hold anything that a program could not do without it.
"""


def main() -> None:
    """Run the command `groundup` with the arguments of this process."""
    from groundup.cli.app import run

    run()
