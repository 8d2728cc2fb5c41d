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
HELLO = b"EHLO bench.example\r\n"
ENVELOPE = b"MAIL FROM:<a@bench.example>\r\nRCPT TO:<b@bench.example>\r\nDATA\r\n"
LINE = b"x" * 62 + b"\r\n"
PIECE = LINE * ((1 << 20) // len(LINE))
END = b".\r\n"
ANSWERS = {
    b"EHLO": b"250-sink\r\n250 PIPELINING\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


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
    """A mail server that looks at no more than it must: of a body, at the end of what each read brings."""
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
                poll.register(client, selectors.EVENT_READ, Taken())
                continue
            client = key.fileobj
            try:
                read = client.recv_into(room)
                more = read > 0 and key.data.answer(client, memoryview(room)[:read])
            except BlockingIOError:
                continue
            except OSError:
                more = False
            if not more:
                poll.unregister(client)
                client.close()


class Taken:
    """What the bulk sink knows of a session: its last bytes, and whether they are a body's."""

    def __init__(self):
        self.body, self.tail = False, b""

    def answer(self, client, piece):
        """False: that was QUIT."""
        self.tail = (self.tail + bytes(piece[-5:]))[-5:]
        if self.body:
            if self.tail == b"\r\n" + END:
                self.body = False
                client.send(b"250 queued\r\n")
            return True
        words = [line[:4] for line in bytes(piece).splitlines()]
        client.send(b"".join(ANSWERS.get(word, b"250 fine\r\n") for word in words))
        self.body = b"DATA" in words
        return b"QUIT" not in words


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
    """So many sessions, one after the other, each with a message of so many bytes; returns MiB per second."""
    begun = time.monotonic()
    for _ in range(count):
        with greeted(port) as client:
            said(client, HELLO, b"PIPELINING\r\n")
            said(client, ENVELOPE, b"go on\r\n")
            for sent in range(0, size, len(PIECE)):
                client.sendall(PIECE[: size - sent])
            said(client, END, b"queued\r\n")
            client.sendall(b"QUIT\r\n")
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


def said(client, words, end):
    """Says it and waits until the answers end so."""
    client.sendall(words)
    answers = b""
    while not answers.endswith(end):
        more = client.recv(4096)
        answers += more
        if not more:
            raise SystemExit(f"bench: {words!r} was answered {answers!r}")


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
    """So many sessions that keep still after EHLO, from several addresses, so that no port runs out."""
    clients = [greeted(port, f"127.0.0.{2 + number % 8}") for number in range(count)]
    for client in clients:
        said(client, HELLO, b"\r\n")
    return clients


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
