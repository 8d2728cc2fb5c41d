"""What a contender used: CPU time, memory, system calls; and how its workers share the sessions."""

import collections
import contextlib
import pathlib
import re
import signal
import socket
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


def ask(path, command):
    """What a stats socket answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(path)
        client.sendall(command.encode() + b"\n")
        parts = []
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts).decode()


def shares(contender):
    """Sessions per worker of Posthouse: the name of a session begins with its worker's number."""
    names = re.findall(r"^(0x[0-9a-f]+):", ask(contender.stats, "show sess"), re.MULTILINE)
    workers = collections.Counter(int(name, 16) >> 36 & 0xFF for name in names)
    return [workers[worker] for worker in sorted(workers)]
