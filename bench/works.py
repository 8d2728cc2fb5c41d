"""The kinds of work. Each is done with one contender at a time and notes its figures."""

import time

import measure
import sinks
from contenders import OURS

NAMES = ["sessions", "lone", "latency", "crowd", "bulk", "messages", "idle", "syscalls"]

# Bounded by the 20,000 descriptors a process may have: a proxy needs two for each.
IDLE = 8000


class Works:
    def __init__(self, quick):
        self.quick = quick
        self.results = {}

    def note(self, figure, contender, value):
        self.results.setdefault(figure, {}).setdefault(contender.name, []).append(value)

    def scale(self, full, quick):
        return quick if self.quick else full

    def sessions(self, contender):
        count = self.scale(2000, 400)
        used, speed = per_unit(contender, count, lambda: sinks.sessions(contender.ports.mail, count, 50))
        self.note("sessions per second, 50 in parallel", contender, speed)
        if contender.process:
            self.note("CPU us per session, 50 in parallel", contender, used)

    def lone(self, contender):
        count = self.scale(400, 100)
        used, _ = per_unit(contender, count, lambda: sinks.sessions(contender.ports.mail, count, 1))
        if contender.process:
            self.note("CPU us per session, one at a time", contender, used)

    def latency(self, contender):
        """Sessions one at a time. What a proxy adds is the difference to the column of the direct connection."""
        greetings, replies = sinks.latencies(contender.ports.mail, self.scale(500, 50), 3)
        for what, times in (("a new session's greeting", greetings), ("a reply", replies)):
            for part in (50, 99):
                self.note(f"us to {what}, p{part}", contender, times[len(times) * part // 100] * 1e6)

    def crowd(self, contender):
        """Both cores are full of bulk: how long until a new session is greeted?"""
        with sinks.streams(contender.ports.bulk, 8):
            greetings, _ = sinks.latencies(contender.ports.mail, self.scale(300, 30), 0)
        for part in (50, 95):
            value = greetings[len(greetings) * part // 100] * 1e3
            self.note(f"ms to a greeting beside 8 bulk streams, p{part}", contender, value)

    def bulk(self, contender):
        megabytes = self.scale(500, 100)
        work = lambda: sinks.bulk(contender.ports.bulk, megabytes // 10, 10 << 20)
        used, speed = per_unit(contender, megabytes / 1024, work)
        self.note("MiB per second, 10 MiB messages", contender, speed)
        if contender.process:
            self.note("CPU ms per GiB, 10 MiB messages", contender, used / 1e3)

    def messages(self, contender):
        if not contender.process:
            return
        for size in (64, 128, 256):
            count = self.scale(200, 40)
            work = lambda: sinks.bulk(contender.ports.bulk, count, size << 10)
            used, _ = per_unit(contender, count, work)
            self.note(f"CPU us per message of {size} KiB", contender, used)

    def idle(self, contender):
        if not contender.process:
            return
        count = self.scale(IDLE, 400)
        before = measure.memory(contender)
        clients = sinks.open_sessions(contender.ports.bulk, count)
        time.sleep(1)
        used = measure.memory(contender) - before
        shares = measure.shares(contender) if contender.name in OURS else []
        for client in clients:
            client.close()
        time.sleep(2)
        kept = measure.memory(contender) - before
        self.note("bytes per idle session", contender, used / count)
        self.note("bytes kept of it after they closed", contender, kept / count)
        for worker, share in enumerate(shares):
            self.note(f"idle sessions on worker {worker + 1}", contender, share)

    def syscalls(self, contender):
        if not contender.process:
            return
        count = self.scale(500, 100)
        work = lambda: sinks.sessions(contender.ports.mail, count, 10)
        self.note("system calls per session", contender, measure.syscalls(contender, work) / count)

    # Memory grows once, afterwards the allocator has it; system calls are counted, not measured.
    ONCE = ("idle", "syscalls")


def per_unit(contender, units, work):
    """CPU microseconds per unit, and what the work returned."""
    before = measure.cpu_us(contender)
    result = work()
    # What is still being closed belongs to it.
    time.sleep(0.1)
    return (measure.cpu_us(contender) - before) / units, result
