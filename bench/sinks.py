"""What stands behind the proxies, and the load in front of them that Postfix has no program for."""

import multiprocessing
import os
import selectors
import socket
import subprocess
import time

from contenders import need, wait_for

GREETING = b"220 sink ESMTP\r\n"
PIECE = bytes(1 << 20)
MESSAGE = 10 << 20


def mail_sink(port):
    """Postfix's smtp-sink."""
    command = [need("smtp-sink"), f"127.0.0.1:{port}", "4096"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "postfix"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port)
    return process


def in_background(function, *args):
    """A process of ours that runs a function until it is ended."""
    process = multiprocessing.get_context("fork").Process(target=function, args=args, daemon=True)
    process.start()
    return process


def discard_logs(receiver):
    """Takes log lines, so that nobody is told that nobody listens."""
    while True:
        receiver.recv(65536)


def bulk_sink(listener):
    """Greets, takes all that comes, says goodbye when the client has ended."""
    poll = selectors.DefaultSelector()
    listener.setblocking(False)
    poll.register(listener, selectors.EVENT_READ)
    room = bytearray(1 << 20)
    while True:
        for key, _ in poll.select():
            if key.fileobj is listener:
                try:
                    client, _ = listener.accept()
                except OSError:
                    continue
                client.send(GREETING)
                client.setblocking(False)
                poll.register(client, selectors.EVENT_READ)
                continue
            client = key.fileobj
            try:
                more = client.recv_into(room) > 0
                if not more:
                    client.send(b"221 bye\r\n")
            except BlockingIOError:
                continue
            except OSError:
                more = False
            if not more:
                poll.unregister(client)
                client.close()


def sessions(port, count, parallel):
    """So many short SMTP sessions, one message each; returns sessions per second."""
    begun = time.monotonic()
    subprocess.run(
        [need("smtp-source"), "-s", str(parallel), "-m", str(count), "-l", "2000"]
        + [f"127.0.0.1:{port}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return count / (time.monotonic() - begun)


def bulk(port, megabytes):
    """So many MiB in connections of 10 MiB, one after the other; returns MiB per second."""
    begun = time.monotonic()
    for _ in range(max(1, megabytes // 10)):
        with greeted(port) as client:
            for _ in range(MESSAGE // len(PIECE)):
                client.sendall(PIECE)
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    return megabytes / (time.monotonic() - begun)


def greeted(port, source="127.0.0.1"):
    """A connection whose server has spoken."""
    client = socket.socket()
    client.settimeout(30)
    client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    if not client.recv(512).startswith(b"220"):
        raise SystemExit(f"bench: no greeting on port {port}")
    return client


def latencies(port, count):
    """Milliseconds from connect to the answer to QUIT, of sessions one at a time."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        with greeted(port) as client:
            client.sendall(b"QUIT\r\n")
            while client.recv(512):
                pass
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)
