"""What stands behind the proxies, and the load in front of them that Postfix has no program for."""

import contextlib
import multiprocessing
import os
import selectors
import socket
import subprocess
import time

from contenders import need, wait_for

GREETING = b"220 sink ESMTP\r\n"
PIECE = bytes(1 << 20)


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


def accept_and_close(listener):
    """Says nothing and closes: all that a check without a script asks for."""
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            pass


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


def bulk(port, count, size):
    """So many connections, one after the other, each with so many bytes; returns MiB per second."""
    begun = time.monotonic()
    for _ in range(count):
        with greeted(port) as client:
            for sent in range(0, size, len(PIECE)):
                client.sendall(PIECE[: size - sent])
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass
    return count * size / (1 << 20) / (time.monotonic() - begun)


@contextlib.contextmanager
def streams(port, count):
    """So many bulk transfers at once, by processes of ours, for as long as the block lasts."""
    senders = [in_background(stream, port) for _ in range(count)]
    time.sleep(0.3)
    try:
        yield
    finally:
        for sender in senders:
            sender.terminate()
            sender.join()
        # What is still on its way is not the next one's.
        time.sleep(0.3)


def stream(port):
    with contextlib.suppress(OSError):
        while True:
            bulk(port, 1, 10 << 20)


def greeted(port, source="127.0.0.1"):
    """A connection whose server has spoken."""
    client = socket.socket()
    client.settimeout(30)
    if source != "127.0.0.1":
        client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    if not client.recv(512).startswith(b"220"):
        raise SystemExit(f"bench: no greeting on port {port}")
    return client


def open_sessions(port, count):
    """So many greeted sessions that keep still, from several addresses, so that no port runs out."""
    return [greeted(port, f"127.0.0.{2 + number % 8}") for number in range(count)]


def latencies(port, count, replies):
    """Seconds from connect to the greeting, and from a NOOP to its reply (so many in each session), sorted;
    sessions one at a time."""
    new, within = [], []
    for _ in range(count):
        begun = time.perf_counter()
        with greeted(port) as client:
            new.append(time.perf_counter() - begun)
            for _ in range(replies):
                begun = time.perf_counter()
                client.sendall(b"NOOP\r\n")
                client.recv(512)
                within.append(time.perf_counter() - begun)
            client.sendall(b"QUIT\r\n")
            while client.recv(512):
                pass
    return sorted(new), sorted(within)
