#!/usr/bin/env python3
"""CPU per request of gRPC servers, side by side, under h2load.

    compare.py 'fletch=.build/release/fletch serve --store STORE --listen 127.0.0.1:{port}' \\
               'other=/path/to/server {port}' --request other=/pkg.Service/Method:body.bin

Each server is NAME=COMMAND, where {port} becomes its port. Servers run on core 0, h2load on core 1. All of them are
loaded in turn in short rounds, so that noise of the machine meets all alike; the least CPU of a server's rounds is
reported, and its ratio to the first server's. A round in which no request was answered, or one failed, or the kernel
counted no CPU, is skipped and said to be. Needs h2load (Debian: nghttp2-client) and two cores.

h2load does not read grpc-status: an error counts as success there. A server that logs `calls_ok=N` to its standard
output or error when it gets SIGTERM (Fletch does) has that count printed beside h2load's; the bytes of an answer tell
for the others.
"""
import argparse
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SERVER_CORE, LOAD_CORE = "0", "1"
DEFAULT_PATH = "/fletch.v1.RelatedProducts/Related"
START_SECONDS = 60


def default_body(product, limit):
    """A framed fletch.v1.RelatedRequest."""
    message = b"\x0a" + bytes([len(product)]) + product.encode() + b"\x20" + bytes([limit])
    return b"\0" + struct.pack(">I", len(message)) + message


def cpu_seconds(pid):
    """CPU that all threads of a process have used: what the scheduler counted, finer than clock ticks."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as stat:
                total += int(stat.read().split()[0])
        except FileNotFoundError:
            pass  # the thread has ended meanwhile
    return total / 1e9


def settled_cpu_seconds(pid):
    """The same once a server that nobody loads stands still: the kernel's counter can lag behind."""
    seconds = cpu_seconds(pid)
    for _ in range(10):
        time.sleep(0.02)
        before, seconds = seconds, cpu_seconds(pid)
        if seconds == before:
            break
    return seconds


class Server:
    def __init__(self, name, command, port, path, body):
        self.name, self.port, self.path, self.body = name, port, path, body
        self.log = tempfile.TemporaryFile("w+")
        self.requests = 0
        self.rounds = {}
        self.skipped = []
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE] + shlex.split(command.replace("{port}", str(port))),
            stdout=self.log, stderr=subprocess.STDOUT)

    def wait_until_ready(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended at once:\n{self.output()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"{self.name} does not listen on 127.0.0.1:{self.port}; its command needs {{port}}")

    def load(self, shape, seconds, record):
        clients, streams = shape.split("x")
        before = settled_cpu_seconds(self.process.pid)
        result = subprocess.run(
            ["taskset", "-c", LOAD_CORE, "h2load", "-t1", "-c", clients, "-m", streams, "-D", str(seconds),
             "-d", self.body, "-H", "content-type: application/grpc", "-H", "te: trailers",
             f"http://127.0.0.1:{self.port}{self.path}"],
            capture_output=True, text=True, timeout=seconds + 60)
        if self.process.poll() is not None:
            sys.exit(f"{self.name} ended under load ({shape}); its log:\n{self.output()}")
        cpu = settled_cpu_seconds(self.process.pid) - before
        total = re.search(r"(\d+) total, \d+ started, (\d+) done, (\d+) succeeded", result.stdout)
        data = re.search(r"\((\d+)\) data", result.stdout)
        if not total or not data:
            sys.exit(f"h2load failed against {self.name}:\n{result.stdout}{result.stderr}")
        done, succeeded = int(total[2]), int(total[3])
        self.requests += done
        if not record:
            return
        if done == 0 or succeeded < done:
            self.skipped.append(f"{shape}: {succeeded} of {done} requests succeeded")
        elif cpu == 0:
            self.skipped.append(f"{shape}: no CPU counted")
        else:
            latency = re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", result.stdout)
            self.rounds.setdefault(shape, []).append(
                {"cpu": 1e6 * cpu / done, "rate": done / seconds, "bytes": int(data[1]) / done,
                 "mean": latency[1] if latency else "-"})

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """Ends the server; the count of OK calls from its log, or None."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        counts = re.findall(r"calls_ok=(\d+)", self.output())
        return int(counts[-1]) if counts else None


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--request", action="append", default=[], metavar="NAME=PATH:BODYFILE",
                        help="what NAME is asked: method path and framed body (default: Related of --product)")
    parser.add_argument("--product", default="B000123456", help="the product asked for by default (%(default)s)")
    parser.add_argument("--limit", type=int, default=10, help="items asked for by default (%(default)s)")
    parser.add_argument("--shapes", default="1x1,8x10,50x100", help="CLIENTSxSTREAMS, by commas (%(default)s)")
    parser.add_argument("--rounds", type=int, default=12, help="rounds per server and shape (%(default)s)")
    parser.add_argument("--seconds", type=int, default=1, help="length of a round (%(default)s)")
    parser.add_argument("--port", type=int, default=21700, help="the first server's port (%(default)s)")
    return parser.parse_intermixed_args()


def main():
    arguments = parse_arguments()
    requests = dict(request.split("=", 1) for request in arguments.request)
    with tempfile.NamedTemporaryFile() as body:
        body.write(default_body(arguments.product, arguments.limit))
        body.flush()
        servers = []
        try:
            for offset, entry in enumerate(arguments.servers):
                name, command = entry.split("=", 1)
                path, file = requests.get(name, f"{DEFAULT_PATH}:{body.name}").split(":", 1)
                servers.append(Server(name, command, arguments.port + offset, path, file))
            for server in servers:
                server.wait_until_ready()
            run(servers, arguments)
        finally:
            counts = [server.stop() for server in servers]
    report(servers, counts, arguments.shapes.split(","))


def run(servers, arguments):
    for number in range(-1, arguments.rounds):  # the first round warms up
        for shape in arguments.shapes.split(","):
            for server in servers:
                server.load(shape, arguments.seconds, record=number >= 0)


def report(servers, counts, shapes):
    print(f"{'shape':8} {'server':14} {'CPU us/req':>10} {'ratio':>6} {'req/s':>9} {'mean':>9} {'bytes/req':>9}")
    for shape in shapes:
        first = min((entry["cpu"] for entry in servers[0].rounds.get(shape, [])), default=None)
        for server in servers:
            rounds = server.rounds.get(shape)
            if not rounds:
                print(f"{shape:8} {server.name:14} no round counts")
                continue
            best = min(rounds, key=lambda entry: entry["cpu"])
            rate = max(entry["rate"] for entry in rounds)
            ratio = f"{best['cpu'] / first:6.2f}" if first else f"{'-':>6}"
            print(f"{shape:8} {server.name:14} {best['cpu']:10.2f} {ratio} {rate:9.0f} "
                  f"{best['mean']:>9} {best['bytes']:9.1f}")
    for server, ok in zip(servers, counts):
        told = "does not count" if ok is None else f"counted {ok} OK calls"
        print(f"{server.name}: h2load saw {server.requests} answers, the server {told}")
        if server.skipped:
            print(f"{server.name}: {len(server.skipped)} rounds skipped ({'; '.join(sorted(set(server.skipped)))})")


main()
