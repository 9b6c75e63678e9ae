"""What the benchmarks share: whole processes run side by side, and what each costs.

CPU is user and system time of a process and of all that it waits for, from the kernel's own accounts (wait4(2)), which
are exact to the microsecond where the kernel keeps them so (CONFIG_VIRT_CPU_ACCOUNTING_GEN or the scheduler's own).
Sides are interleaved, so that all meet the same machine, and medians are taken.
"""

import ctypes
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

PROJECT = pathlib.Path(__file__).resolve().parent.parent
# Another build is measured by PROMDROP=PATH.
PROMDROP = pathlib.Path(os.environ.get("PROMDROP", PROJECT / "target/release/promdrop"))
# Programs whose packages would start a service, or which few machines have: unpacked here, never installed.
PARTS = PROJECT / ".test-parts/benches"
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C"}


@dataclass
class Cost:
    """What a process tree has cost, in milliseconds."""

    cpu: float
    wall: float


@dataclass
class Footprint:
    """What a process tree has needed."""

    kib: int
    calls: int
    execs: int


def need(*programs):
    """Ends the benchmark where something is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}")
    if not PROMDROP.exists():
        sys.exit(f"{PROMDROP} is missing: cargo build --release")


def unpacked(package, program):
    """The path of `program` of the Debian package `package`, which is fetched with apt and unpacked if it is not there."""
    path = PARTS / package / "usr/bin" / program
    if not path.exists():
        PARTS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=PARTS) as work:
            quiet = {"stdout": subprocess.DEVNULL, "check": True, "cwd": work}
            subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], **quiet)
            (deb,) = pathlib.Path(work).glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", str(deb), "tree"], **quiet)
            (pathlib.Path(work) / "tree").rename(PARTS / package)
    return str(path)


def in_own_network():
    """Starts this script again in a network namespace of its own, whose loopback is up."""
    if os.environ.get("PROMDROP_BENCH_INSIDE") != "1":
        env = dict(os.environ, PROMDROP_BENCH_INSIDE="1")
        os.execvpe("unshare", ["unshare", "-n", sys.executable, *sys.argv], env)
    ip("link set lo up")


def ip(*commands):
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


def end_with_parent():
    """For a child: it is ended when the benchmark is."""
    ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM


def cost(argv, good=(0,)):
    """Runs `argv` to its end, with nothing to read and nobody to read it."""
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
    begin = time.monotonic()
    pid = os.posix_spawnp(argv[0], argv, ENVIRONMENT, file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - begin
    if os.waitstatus_to_exitcode(status) not in good:
        sys.exit(f"{argv}: wait status {status}")
    return Cost(cpu=1000 * (usage.ru_utime + usage.ru_stime), wall=1000 * wall)


def interleaved(sides, rounds):
    """Each of `sides`, by name a function that returns a Cost, so many times in turn after once for nothing; medians."""
    samples = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            sample = side()
            if number > 0:
                samples[name].append(sample)
    median = lambda costs, what: statistics.median(getattr(cost, what) for cost in costs)
    return {name: Cost(median(costs, "cpu"), median(costs, "wall")) for name, costs in samples.items()}


def footprint(argv):
    """Peak memory of the largest process of `argv`, and the system calls of all, in two runs of their own.

    time(1) starts it, which is small: a child counts its parent's memory as its own until it runs its program.
    """
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": ENVIRONMENT}
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run(["time", "--quiet", "-o", log.name, "-f", "%M", *argv], **silent)
        kib = int(log.read())
    with tempfile.NamedTemporaryFile("r") as log:
        subprocess.run(["strace", "-f", "-c", "-U", "calls,errors,name", "-o", log.name, *argv], **silent)
        table = log.read()
    calls = int(re.search(r"^\s*(\d+)\s.*\btotal$", table, re.M)[1])
    made, failed = re.search(r"^\s*(\d+)\s+(\d*)\s*execve$", table, re.M).groups()
    return Footprint(kib, calls, int(made) - int(failed or 0))
