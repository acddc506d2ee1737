"""`python -m tests.faults`: the long forms of the tests in this folder; `--help` says which there are."""

import argparse
import os
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # before torch


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Puts runs through faults, and says what is left of them. The exit code is 1 where a fault did "
        "harm. Needs Linux. Works in the folder for temporary files (TMPDIR); keeps what is wrong there.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    kills = commands.add_parser("kills", help="processes are killed (SIGKILL) and continued")
    for kind, number, text in (
        ("single", 100, "single runs"),
        ("sweep", 30, "sweeps of 4 jobs"),
        ("search", 20, "searches of 4 candidates that are halved twice"),
        ("parallel", 20, "sweeps of 3 jobs, two at once, each a process"),
    ):
        kills.add_argument(f"--{kind}", type=int, default=number, help=f"how many {text} are killed ({number})")
    kills.add_argument("--seed", type=int, default=0, help="of the times and places (0)")
    bits = commands.add_parser("bits", help="single bits are flipped in the files of runs, which are then read")
    bits.add_argument("--per-file", type=int, default=20, help="bits of each file that a command reads (20)")
    bits.add_argument("--seed", type=int, default=0, help="of the positions (0)")
    commands.add_parser("disk", help="writes fail, files may not grow, a small disk is filled (as root: it is mounted)")
    arguments = parser.parse_args()
    if arguments.command == "disk":
        from tests.faults.disk import fill_disks

        return 0 if fill_disks() else 1
    if arguments.command == "bits":
        from tests.faults.bits import flip_all

        return 0 if flip_all(arguments.per_file, arguments.seed) else 1

    from tests.faults.kills import KINDS, kill_all

    good = kill_all({kind: getattr(arguments, kind) for kind in KINDS}, arguments.seed)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
