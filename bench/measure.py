"""What a contender used: CPU time, memory, system calls."""

import contextlib
import pathlib
import re
import signal
import subprocess
import time

from contenders import need


def cpu_us(contender):
    """CPU time of all its threads so far, in microseconds (schedstat: the scheduler's own account)."""
    total = 0
    for pid in contender.pids():
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(task.read_text().split()[0])
    return total / 1000


def memory(contender):
    """Proportional set size in bytes: user memory."""
    total = 0
    for pid in contender.pids():
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024
    return total


def syscalls(contender, work):
    """How many system calls it makes while `work` runs."""
    pids = [argument for pid in contender.pids() for argument in ("-p", str(pid))]
    tracer = subprocess.Popen(
        [need("strace"), "-f", "-c", "-q", *pids], stderr=subprocess.PIPE, text=True
    )
    time.sleep(0.5)
    work()
    time.sleep(0.3)
    tracer.send_signal(signal.SIGINT)
    _, table = tracer.communicate(timeout=20)
    totals = [line.split() for line in table.splitlines() if line.rstrip().endswith("total")]
    return sum(int(words[3] if len(words) > 3 else words[2]) for words in totals)
