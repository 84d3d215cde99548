"""Mixed load with random kills, resets, slow readers and garbage, against the interoperability server.

    python Tests/EndToEnd/chaos.py [--seconds 60] [--seed 1]

Well-behaved clients check every answer; the others break every rule. FLETCH_INTEROP_SERVER names the server, one built
with a sanitizer best. Fails on a wrong answer, on a server that ends or reports anything, and on handlers left over.
"""

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import random
import signal
import socket
import struct
import sys
import tempfile
import time

import harness

WORKERS = {"well_behaved": 3, "killed": 2, "resetting": 2, "slow": 2, "garbage": 1}
REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error", "Fatal error", "Crash")


def imported(stubs):
    """The generated modules; in each process of its own."""
    sys.path.insert(0, str(stubs))
    import probe_pb2, probe_pb2_grpc, testing_pb2, testing_pb2_grpc

    return testing_pb2, testing_pb2_grpc, probe_pb2, probe_pb2_grpc


# Clients that behave, and check what they get.


def well_behaved(address, stubs, seed, until, counts, errors):
    import grpc

    testing, testing_grpc, _, _ = imported(stubs)
    choose = random.Random(seed)

    def payload():
        return testing.Payload(body=choose.randbytes(choose.choice([0, 1, 100, 5_000, 70_000, 300_000])))

    def unary(stub):
        size = choose.choice([0, 10, 1_000, 20_000, 500_000])
        compression = choose.choice([None, grpc.Compression.Gzip, grpc.Compression.Deflate])
        request = testing.SimpleRequest(response_size=size, payload=payload())
        request.response_compressed.value = choose.random() < 0.5
        answer = stub.UnaryCall(request, timeout=60, compression=compression)
        assert len(answer.payload.body) == size

    def server_stream(stub):
        sizes = [choose.choice([0, 7, 4_000, 90_000]) for _ in range(choose.randrange(20))]
        answers = stub.StreamingOutputCall(streamed(sizes), timeout=60)
        assert [len(answer.payload.body) for answer in answers] == sizes

    def client_stream(stub):
        requests = [testing.StreamingInputCallRequest(payload=payload()) for _ in range(choose.randrange(20))]
        answer = stub.StreamingInputCall(iter(requests), timeout=60)
        assert answer.aggregated_payload_size == sum(len(request.payload.body) for request in requests)

    def duplex(stub):
        sizes = [[choose.choice([1, 300, 40_000])] * choose.randrange(3) for _ in range(choose.randrange(20))]
        answers = stub.FullDuplexCall((streamed(group) for group in sizes), timeout=60)
        assert [len(answer.payload.body) for answer in answers] == [size for group in sizes for size in group]

    def late(stub):
        call = stub.StreamingOutputCall(streamed([1, 1], interval=30_000_000), timeout=choose.random() * 0.2)
        expect(grpc.StatusCode.DEADLINE_EXCEEDED, call)

    def status(stub):
        request = testing.SimpleRequest(response_status=testing.EchoStatus(code=9, message="as asked ☺"))
        try:
            stub.UnaryCall(request, timeout=60)
            raise AssertionError("a status that was asked for did not come")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION and error.details() == "as asked ☺", error

    def cancelled(stub):
        call = stub.FullDuplexCall(iter([streamed([1000] * 50)]), timeout=60)
        next(call)
        call.cancel()

    def streamed(sizes, interval=0):
        parameters = [testing.ResponseParameters(size=size, interval_us=interval) for size in sizes]
        return testing.StreamingOutputCallRequest(response_parameters=parameters)

    def expect(code, call):
        try:
            for _ in call:
                pass
            raise AssertionError(f"{code} was expected")
        except grpc.RpcError as error:
            assert error.code() == code, error

    def was_shed(error):
        """Whether the server said that it has too much to do, and when to come back: no wrong answer."""
        error = error.args[0] if isinstance(error, AssertionError) and error.args else error
        if not isinstance(error, grpc.RpcError) or error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
            return False
        return any(name == "grpc-retry-pushback-ms" for name, _ in error.trailing_metadata() or ())

    kinds = [unary, unary, server_stream, client_stream, duplex, late, status, cancelled]
    while time.monotonic() < until:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = testing_grpc.TestServiceStub(channel)
            for _ in range(choose.randrange(1, 60)):
                kind = choose.choice(kinds)
                try:
                    kind(stub)
                except Exception as error:
                    if was_shed(error):
                        time.sleep(1)
                        continue
                    errors.put(f"{kind.__name__} (seed {seed}): {error!r}")
                    return
                with counts.get_lock():
                    counts.value += 1
                if time.monotonic() > until:
                    return


# Clients that do not.


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(window):
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, struct.pack(">HI", 4, window))


class Raw:
    """A connection that sends frames as it likes and reads only when told."""

    def __init__(self, address, window=65_535, receive_buffer=None):
        import hpack

        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(5)
        self.socket.connect((host, int(port)))
        self.encoder = hpack.Encoder()
        self.stream = -1
        self.socket.sendall(settings(window))

    def begin(self, path):
        self.stream += 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
                  ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip
        self.socket.sendall(frame(1, 4, self.stream, self.encoder.encode(fields)))
        return self.stream

    def message(self, stream, body, end=False):
        self.socket.sendall(frame(0, 1 if end else 0, stream, b"\0" + struct.pack(">I", len(body)) + body))

    def abort(self):
        """Ends with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


PRODUCE = "/fletch.testing.Probe/Produce"
DUPLEX = "/grpc.testing.TestService/FullDuplexCall"
WAIT = "/fletch.testing.Probe/Wait"
UNARY = "/grpc.testing.TestService/UnaryCall"


def resetting(address, stubs, seed, until, *_):
    """Streams that are reset in every state."""
    _, _, probe, _ = imported(stubs)
    choose = random.Random(seed)
    while time.monotonic() < until:
        try:
            raw = Raw(address)
            for _ in range(choose.randrange(1, 200)):
                stream = raw.begin(choose.choice([PRODUCE, DUPLEX, WAIT, UNARY, "/no.Such/Method"]))
                body = probe.ProduceRequest(count=100, size=choose.choice([1, 10_000])).SerializeToString()
                if choose.random() < 0.7:
                    raw.message(stream, body, end=choose.random() < 0.7)
                if choose.random() < 0.2:
                    raw.socket.sendall(frame(0, 0, stream, b"\0\0\0\x0f\xff" + bytes(choose.randrange(500))))
                if choose.random() < 0.7:
                    raw.socket.sendall(frame(3, 0, stream, struct.pack(">I", choose.choice([0, 1, 8, 11]))))
                if choose.random() < 0.3:
                    raw.socket.setblocking(False)
                    try:
                        raw.socket.recv(100_000)
                    except BlockingIOError:
                        pass
                    raw.socket.settimeout(5)
            raw.abort() if choose.random() < 0.5 else raw.socket.close()
        except OSError:
            pass  # the server has had enough of it


def slow(address, stubs, seed, until, *_):
    """Many answers, hardly read."""
    _, _, probe, _ = imported(stubs)
    choose = random.Random(seed)
    while time.monotonic() < until:
        try:
            raw = Raw(address, window=choose.choice([0, 1, 1000, 1 << 20]), receive_buffer=4096)
            for _ in range(50):
                body = probe.ProduceRequest(count=100_000, size=choose.choice([0, 1000, 100_000])).SerializeToString()
                raw.message(raw.begin(PRODUCE), body, end=True)
            end = min(until, time.monotonic() + choose.random() * 5)
            while time.monotonic() < end:
                stream = choose.randrange(1, 100, 2)
                raw.socket.sendall(frame(8, 0, stream, struct.pack(">I", choose.choice([1, 100, 20_000]))))
                raw.socket.recv(choose.choice([1, 100, 5000]))
                time.sleep(0.01)
            raw.abort() if choose.random() < 0.5 else raw.socket.close()
        except OSError:
            pass


def garbage(address, stubs, seed, until, *_):
    """Bytes and frames that mean nothing, or nearly something."""
    choose = random.Random(seed)
    while time.monotonic() < until:
        try:
            raw = Raw(address)
            for _ in range(choose.randrange(1, 50)):
                if choose.random() < 0.1:
                    raw.socket.sendall(choose.randbytes(choose.randrange(1, 3000)))
                else:
                    payload = choose.randbytes(choose.choice([0, 1, 4, 5, 8, 100]))
                    stream = choose.choice([0, 1, 2, 3, raw.stream if raw.stream > 0 else 1])
                    raw.socket.sendall(frame(choose.randrange(12), choose.randrange(256), stream, payload))
                if choose.random() < 0.3:
                    raw.begin(choose.choice([DUPLEX, UNARY]))
            raw.socket.close()
        except OSError:
            pass


def killed(address, stubs, seed, until, *_):
    """A well-behaved client whose process ends without a word, again and again."""
    choose = random.Random(seed)
    while time.monotonic() < until:
        child = multiprocessing.get_context("spawn").Process(target=victim, args=(address, stubs, choose.random()))
        child.start()
        child.join(min(1 + choose.random() * 3, max(0, until - time.monotonic())))
        child.kill()
        child.join()


def victim(address, stubs, seed):
    well_behaved(address, stubs, seed, time.monotonic() + 3600, Forgotten(), Forgotten())


class Forgotten:
    """Takes what nobody will ask for: shared memory would stay behind when its process is killed."""

    value = 0

    def get_lock(self):
        return contextlib.nullcontext()

    def put(self, _):
        pass


# The run.


def run(seconds, seed, directory):
    """Calls that were checked; raises where anything was wrong."""
    stubs = directory / "stubs"
    stubs.mkdir()
    harness.generate_stubs(harness.ROOT / "Tests/Interop/Protos", stubs)
    context = multiprocessing.get_context("spawn")
    counts, errors = context.Value("L"), context.Queue()
    with harness.InteropServer(directory) as server:
        until = time.monotonic() + seconds
        workers = [
            context.Process(target=globals()[kind], name=kind, args=(server.address, stubs, seed * 100 + at * 10 + number, until, counts, errors))
            for at, (kind, count) in enumerate(WORKERS.items())
            for number in range(count)
        ]  # fmt: skip
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(seconds + 120)
        alive = [worker.name for worker in workers if worker.is_alive()]
        failed = [f"{worker.name}: exit code {worker.exitcode}" for worker in workers if worker.exitcode]
        for worker in workers:
            worker.kill()
        problems = failed + [f"{name} did not end" for name in alive]
        while not errors.empty():
            problems.append(errors.get())
        if server.process.poll() is None:
            problems += left_over(server.address, stubs)
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(60)
        log = server.log_path.read_text()
        if server.process.returncode != 0:
            problems.append(f"the server ended with {server.process.returncode}")
        if any(report in log for report in REPORTS) or server.process.returncode != 0:
            problems.append(log[-20_000:])
    if problems:
        raise AssertionError("\n".join(problems))
    return counts.value


def left_over(address, stubs):
    """Handlers that still run once all clients are gone."""
    import grpc

    _, _, probe, probe_grpc = imported(stubs)
    until = time.monotonic() + 60
    with grpc.insecure_channel(address) as channel:
        while True:
            seen = probe_grpc.ProbeStub(channel).Observe(probe.ObserveRequest(), timeout=60)
            running = seen.started - seen.returned - seen.cancelled - seen.failed
            if running == 0:
                return []
            if time.monotonic() > until:
                return [f"{running} of {seen.started} handlers still run"]
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        count = run(arguments.seconds, arguments.seed, pathlib.Path(directory))
    print(f"{count} calls answered as they should be in {arguments.seconds} s of chaos: {os.path.basename(harness.INTEROP_SERVER)}")


if __name__ == "__main__":
    main()
