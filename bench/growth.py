"""How cost grows: with open sessions, backends, stick entries, checks, lines of configuration."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import contenders
import measure
import report
import sinks

NAMES = ["open", "backends", "entries", "checks", "lines", "start"]
BOTH = ["haproxy", "posthouse"]
# Short runs, many of them, in turn: the lowest of a step is what it costs when nobody disturbs.
ROUNDS = 5

TITLES = {
    "open": ("open sessions", "CPU us per session"),
    "backends": ("backends of two servers", "CPU us per session"),
    "entries": ("stick entries", "CPU us per session"),
    "checks": ("checks per second", "CPU us per check"),
    "lines": ("lines of configuration", "ms for -c"),
    "start": ("lines of configuration", "ms from start to the first connection"),
}
SIZES = {
    "open": [1, 10, 100, 1000, 4000, 8000],
    "backends": [1, 10, 100, 500, 2000],
    "entries": [1000, 10_000, 100_000, 1_000_000],
    "checks": [10, 100, 1000, 5000],
    "lines": [10, 100, 1000, 10_000, 20_000],
    "start": [10, 100, 1000, 10_000, 20_000],
}
QUICK = {"open": [1, 100], "backends": [1, 20], "entries": [1000, 5000], "checks": [10, 100], "lines": [10, 100], "start": [10, 100]}


def run(step, field, quick):
    """Rows of a size and the cost with each contender."""
    print(f"growth: {step}: {TITLES[step][0]}", file=sys.stderr)
    return globals()[step](QUICK[step] if quick else SIZES[step], field)


def panels(found):
    """For [`plot.svg`]."""
    return [(*TITLES[step], rows) for step, rows in found.items()]


def table(found):
    """A row per size; the last column: the cost of one at this size, to that at the smallest."""
    lines = []
    for step, rows in found.items():
        title, unit = TITLES[step]
        lines += [f"| {title} | haproxy, {unit} | posthouse | to haproxy | to the smallest |", "|---|---|---|---|---|"]
        least = rows[0]
        for row in rows:
            own, theirs = row["posthouse"], row["haproxy"]
            per = (row["size"] / least["size"]) if step in ("lines", "start") else 1
            grown = own / least["posthouse"] / per
            lines.append(
                f"| {row['size']:,} | {report.number(theirs)} | {report.number(own)}"
                f" | {own / theirs:.2f} | {grown:.2f} |"
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def session_cost(contender, count=600):
    """CPU us of a short session, 20 in parallel."""
    before = measure.cpu_us(contender)
    sinks.sessions(contender.ports.mail, count, 20)
    time.sleep(0.05)
    return (measure.cpu_us(contender) - before) / count


def costs(running):
    """Of each contender, in turn."""
    tries = {one.name: [] for one in running}
    for number in range(ROUNDS):
        for one in running[number % 2 :] + running[: number % 2]:
            tries[one.name].append(session_cost(one))
    return {name: min(values) for name, values in tries.items()}


def open(sizes, field):
    """Sessions beside so many that keep still."""
    rows = []
    with field(BOTH) as running:
        for one in running:
            session_cost(one)
        for size in sizes:
            row = {"size": size}
            # Each contender holds its own, so that the load generator stays within its descriptors.
            for one in running:
                clients = sinks.open_sessions(one.ports.bulk, size)
                row[one.name] = min(session_cost(one) for _ in range(ROUNDS))
                for client in clients:
                    client.close()
                time.sleep(1)
            rows.append(row)
    return rows


def backends(sizes, field):
    """A session of one backend beside so many others."""
    rows = []
    for size in sizes:
        more = "".join(
            f"backend farm{number}\n    server one 127.0.0.1:9\n    server two 127.0.0.1:9 backup\n"
            for number in range(size - 1)
        )
        with contenders.extended(more), field(BOTH) as running:
            rows.append({"size": size, **costs(running)})
    return rows


def entries(sizes, field):
    """A session whose source is one of so many in the table."""
    rows = []
    with contenders.table_size(max(sizes) + 10_000), field(BOTH) as running:
        filled = 0
        for size in sizes:
            for one in running:
                fill(one, filled, size)
            filled = size
            rows.append({"size": size, **costs(running)})
    return rows


def fill(contender, first, end):
    """Writes entries into the table of `mail`, by the stats socket."""
    for begin in range(first, end, 500):
        keys = range(begin, min(begin + 500, end))
        commands = (
            f"set table mail key 10.{key >> 16}.{key >> 8 & 255}.{key & 255} data.server_id 1" for key in keys
        )
        measure.ask(contender.stats, ";".join(commands))


def checks(sizes, _field):
    """So many checks per second, of servers that only accept; no session."""
    rows = []
    with socket.create_server(("0.0.0.0", 0), backlog=4096) as listener:
        port = listener.getsockname()[1]
        helper = sinks.in_background(sinks.accept_and_close, listener)
        try:
            for size in sizes:
                rows.append({"size": size, **{name: check_cost(name, size, port) for name in BOTH}})
        finally:
            helper.terminate()
            helper.join()
    return rows


def check_cost(name, rate, port, seconds=4):
    """CPU us per check, over some seconds."""
    # One check per server and second; addresses differ, so that no pair of ports is needed twice.
    servers = "".join(
        f"    server s{number} 127.1.{number >> 8}.{number & 255}:{port} check inter 1s\n" for number in range(rate)
    )
    text = f"listen checked\n    bind 127.0.0.1:{contenders.free_port()}\n{servers}"
    with alone(name, text) as contender:
        time.sleep(2)
        before = measure.cpu_us(contender)
        time.sleep(seconds)
        return (measure.cpu_us(contender) - before) / (rate * seconds)


def lines(sizes, _field):
    """How long `-c` takes."""
    return [{"size": size, **times(size, check_time)} for size in sizes]


def start(sizes, _field):
    """How long it takes from the start until somebody can connect."""
    return [{"size": size, **times(size, start_time)} for size in sizes]


def times(size, measured):
    """The shortest of some, in ms, of each contender with a configuration of so many lines."""
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as directory:
        path = pathlib.Path(directory) / "long.cfg"
        port = contenders.free_port()
        path.write_text(long_config(size, port))
        return {name: min(measured(name, path, port) for _ in range(ROUNDS)) * 1e3 for name in BOTH}


def long_config(size, port):
    """So many lines: backends of four lines each, behind one listener."""
    text = contenders.head() + f"listen first\n    bind 127.0.0.1:{port}\n    server one 127.0.0.1:9\n"
    farm = "backend farm{0}\n    balance leastconn\n    server one 127.0.0.1:9\n    server two 127.0.0.1:9 backup\n"
    more = max(0, size - text.count("\n")) // farm.count("\n")
    return text + "".join(farm.format(number) for number in range(more))


def check_time(name, path, _port):
    begun = time.perf_counter()
    command = [contenders.program(name), "-c", "-q", "-f", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def start_time(name, path, port):
    begun = time.perf_counter()
    command = [contenders.program(name), "-db", "-f", path]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return time.perf_counter() - begun
            except ConnectionRefusedError:
                time.sleep(0.0005)
    finally:
        contenders.stop(process)


@contextlib.contextmanager
def alone(name, text):
    """A contender with a configuration of its own."""
    with tempfile.TemporaryDirectory(prefix="posthouse-bench-") as directory:
        path = pathlib.Path(directory) / "own.cfg"
        path.write_text(contenders.head(maxconn=1000) + text)
        with (pathlib.Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen([contenders.program(name), "-db", "-f", path], stdout=log, stderr=log)
        try:
            yield contenders.Contender(name, contenders.Ports(0, 0), process)
            if process.poll() is not None:
                raise SystemExit(f"bench: {name} ended:\n" + (pathlib.Path(directory) / "log").read_text()[-2000:])
        finally:
            contenders.stop(process)
