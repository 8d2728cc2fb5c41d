"""The programs that are compared: their configurations, their processes.

All of them run at the same time, each on ports of its own, in front of the same two sinks. HAProxy
and Posthouse read one and the same configuration; `mode-smtp` is Posthouse with another mode, and `floor` has none.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = {
    "haproxy": "haproxy",
    "openssl": "openssl",
    "nginx": "nginx libnginx-mod-stream",
    "smtp-source": "postfix",
    "smtp-sink": "postfix",
    "strace": "strace",
}
PROXIES = ["haproxy", "haproxy-splice", "nginx", "posthouse", "mode-smtp", "floor"]
OURS = ("posthouse", "mode-smtp")
POSTHOUSE = ROOT / "target/release/posthouse"
# The least that relays: what the kernel alone takes.
FLOOR = ROOT / "target/release/floor"
THREADS = 2
# HAProxy at its best with bulk.
SPLICE = ("tune.pipesize 1048576\n    maxpipes 64", "option splice-request\n    option splice-response")
NGINX_STREAM = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")


@dataclasses.dataclass
class Ports:
    """Where sessions (`mail`) and everything else (`bulk`) go in."""

    mail: int
    bulk: int


@dataclasses.dataclass
class Contender:
    name: str
    ports: Ports
    process: subprocess.Popen | None = None
    stats: str = ""

    def pids(self):
        """The process and its children: nginx and a master have workers."""
        if self.process is None:
            return []
        found = [self.process.pid]
        for pid in found:
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        return found


def need(program):
    """The path of a program, or the end, with the package that has it."""
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        raise SystemExit(f"bench: {program} is missing: apt-get install {PACKAGES[program]}")
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, seconds=10):
    """Until somebody accepts there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"bench: nothing answers on port {port}")




def head(more_global="", more_defaults="", maxconn=8400, mode="tcp"):
    """What is in every configuration: as an operator would have it."""
    return f"""
global
    maxconn {maxconn}
    nbthread {THREADS}
    {more_global}

defaults
    mode {mode}
    balance roundrobin
    timeout connect 5s
    timeout client 5m
    timeout server 5m
    {more_defaults}
"""


# What the growth measurements change.
VARIED = {"more": "", "table": 100_000}


@contextlib.contextmanager
def varied(name, value):
    before = VARIED[name]
    VARIED[name] = value
    try:
        yield
    finally:
        VARIED[name] = before


def extended(text):
    """With so much more configuration behind the rest."""
    return varied("more", text)


def table_size(entries):
    """With stick tables for so many."""
    return varied("table", entries)


def haproxy_config(ports, sinks, syslog, stats, more, mode):
    """`more`: a line of the global section and one of the defaults."""
    proxies = "".join(
        f"""
listen {name}
    bind 127.0.0.1:{port}
    stick-table type ip size {VARIED["table"]} expire 30m
    stick on src
    option tcp-check
    tcp-check expect rstring ^220
    server one 127.0.0.1:{sink} check inter 2s
"""
        for name, port, sink in [
            ("mail", ports.mail, sinks.mail),
            ("bulk", ports.bulk, sinks.bulk),
        ]
    )
    reports = f"stats socket {stats} mode 600 level admin\n    stats timeout 5m\n    log 127.0.0.1:{syslog} local0"
    logs = "log global\n    option tcplog"
    return head(f"{reports}\n    {more[0]}", f"{logs}\n    {more[1]}", mode=mode) + proxies + VARIED["more"]


def nginx_config(ports, sinks, syslog, directory):
    servers = "".join(
        f"    server {{ listen 127.0.0.1:{port}; proxy_pass 127.0.0.1:{sink}; }}\n"
        for port, sink in [(ports.mail, sinks.mail), (ports.bulk, sinks.bulk)]
    )
    return f"""
load_module {NGINX_STREAM};
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.error crit;
worker_processes 2;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
stream {{
    log_format session '$remote_addr:$remote_port [$time_local] $upstream_addr $upstream_connect_time '
                       '$session_time $bytes_sent $status';
    access_log syslog:server=127.0.0.1:{syslog} session;
{servers}}}
"""


def program(name):
    return POSTHOUSE if name in OURS else need("haproxy")


def haproxy_version():
    return subprocess.run([need("haproxy"), "-v"], capture_output=True, text=True).stdout.split()[2]


def start(name, sinks, syslog, directory):
    """Starts one; `direct` is the sinks themselves."""
    if name == "direct":
        return Contender(name, sinks)
    ports = Ports(free_port(), free_port())
    path = pathlib.Path(directory) / f"{name}.cfg"
    if name == "nginx":
        if not NGINX_STREAM.exists():
            raise SystemExit(f"bench: {NGINX_STREAM} is missing: apt-get install {PACKAGES['nginx']}")
        path.write_text(nginx_config(ports, sinks, syslog, directory))
        command = [need("nginx"), "-c", path, "-p", directory, "-e", f"{directory}/nginx.error"]
    elif name == "floor":
        routes = [f"{ports.mail}:{sinks.mail}", f"{ports.bulk}:{sinks.bulk}"]
        command = ["chrt", "--batch", "0", FLOOR, str(THREADS), *routes]
    else:
        stats = f"{directory}/{name}.sock"
        mode = "smtp" if name == "mode-smtp" else "tcp"
        more = SPLICE if name == "haproxy-splice" else ("", "")
        path.write_text(haproxy_config(ports, sinks, syslog, stats, more, mode))
        command = [program(name), "-db", "-f", path]
    with open(f"{directory}/{name}.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    contender = Contender(name, ports, process, f"{directory}/{name}.sock")
    wait_for(ports.mail)
    wait_for(ports.bulk)
    return contender


def stop(process):
    """Ends a process we started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
