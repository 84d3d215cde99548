#!/usr/bin/env python3
"""Differential tests of the generator and the wire: see README.md."""

import argparse
import os
import random
import shutil
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.internal import api_implementation

import comparison
import drivers
import messages
import schemas

SCRATCH = drivers.ROOT / ".build-differential"
PLUGIN = drivers.ROOT / ".build/debug/protoc-gen-fletch"
SCHEMAS_PER_DRIVER = 5
KEPT_FINDINGS = 5  # of a kind and a driver


@dataclass
class Options:
    seed: str
    messages: int
    visibility: str = "internal"


@dataclass
class Report:
    """What one driver's run came to."""

    counts: Counter = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __iadd__(self, other: "Report") -> "Report":
        self.counts += other.counts
        self.findings += other.findings
        return self


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=os.environ.get("DIFFERENTIAL_SEED") or str(random.SystemRandom().randrange(10**9)))
    parser.add_argument("--schemas", type=int, default=30, help="how many random schemas (default 30)")
    parser.add_argument("--messages", type=int, default=30, help="valid messages of each type; twice as many are mutated (default 30)")
    parser.add_argument("--only", type=int, help="the one schema of the run with this number")
    arguments = parser.parse_args()
    if api_implementation.Type() != "upb":
        sys.exit(f"the oracle is protobuf's upb implementation, not '{api_implementation.Type()}'; install the protobuf wheel of this platform")

    numbers = [arguments.only] if arguments.only is not None else list(range(arguments.schemas))
    options = Options(arguments.seed, arguments.messages)
    print(f"seed {options.seed}: {len(numbers)} schemas, {options.messages} valid and {2 * options.messages} mutated messages of each type", flush=True)
    start = time.monotonic()
    drivers.build_runtime(SCRATCH)
    shutil.rmtree(SCRATCH / "findings" / options.seed, ignore_errors=True)
    batches = [numbers[first : first + SCHEMAS_PER_DRIVER] for first in range(0, len(numbers), SCHEMAS_PER_DRIVER)]
    total = Report()
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for report in pool.map(test_batch, [options] * len(batches), batches):
            total += report
            for finding in report.findings:
                print(finding, flush=True)
    print(table(total.counts), f"{time.monotonic() - start:.0f} s", sep="\n")
    return 1 if total.findings else 0


def table(counts: Counter) -> str:
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>12}" for name, count in sorted(rows))


# A driver and its schemas


def test_batch(options: Options, numbers: list[int]) -> Report:
    """Tests some schemas with one driver."""
    report = Report()
    folder = SCRATCH / f"run-{options.seed}-{numbers[0]}"
    shutil.rmtree(folder, ignore_errors=True)
    pools: dict[int, descriptor_pool.DescriptorPool] = {}
    well_known = well_known_types()
    for number in numbers:
        report.counts["schemas"] += 1
        try:
            pools[number] = prepare(options, number, folder, well_known)
        except drivers.BuildError as error:
            if comparison.is_clash_of_names(str(error)):
                report.counts["schemas refused for names that clash in Swift"] += 1
            else:
                report.findings.append(keep(options, number, "schema", str(error)))
    report += test_driver(options, folder, pools)
    shutil.rmtree(folder)
    return report


def well_known_types() -> list[tuple[str, str]]:
    """The path and the name of every message of google.protobuf that the repository has."""
    found = []
    for path in sorted((drivers.ROOT / "proto/google/protobuf").glob("*.proto")):
        found += [(f"google/protobuf/{path.name}", f"google.protobuf.{line.split()[1]}")
                  for line in path.read_text().splitlines() if line.startswith("message ")]
    return found


def prepare(options: Options, number: int, folder: Path, well_known: list[tuple[str, str]]) -> descriptor_pool.DescriptorPool:
    """Writes a schema and its Swift into the folder; its descriptors."""
    schema = schemas.random_schema(f"{options.seed}/{number}", f"s{number}", well_known)
    for path, text in schema.files.items():
        file = folder / "proto" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    descriptors = folder / f"s{number}.binpb"
    drivers.run(["protoc", f"-I{folder / 'proto'}", f"-I{drivers.ROOT / 'proto'}", "--include_imports", f"--descriptor_set_out={descriptors}", *schema.files])
    drivers.generate(folder / "proto", list(schema.files), PLUGIN, folder / "generated", options.visibility)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        pool.Add(file)
    return pool


def test_driver(options: Options, folder: Path, pools: dict) -> Report:
    report = Report()
    if not pools:
        return report
    started = time.monotonic()
    try:
        drivers.build_driver(folder / "generated", drivers.build_runtime(SCRATCH), folder / "driver")
    except drivers.BuildError as error:
        report.findings.append(keep(options, next(iter(pools)), "compiler", str(error)))
        return report
    report.counts["seconds of compiling"] += round(time.monotonic() - started)
    report.counts["lines of generated Swift"] += sum(len(file.read_text().splitlines()) for file in (folder / "generated").glob("*.swift"))
    driver = drivers.Driver(folder / "driver")
    for number, pool in pools.items():
        types = [pool.FindMessageTypeByName(name) for name in sorted(driver.types) if name.startswith(f"s{number}.")]
        for type in types:
            # An entry is no message of its own.
            if not type.GetOptions().map_entry:
                report += test_type(options, number, driver, type)
    return report


def test_type(options: Options, number: int, driver: drivers.Driver, descriptor: Descriptor) -> Report:
    """Random messages of one type, valid and mutated, through the driver and upb."""
    report = Report()
    report.counts["message types"] += 1
    source = messages.MessageSource(random.Random(f"{options.seed}/{number}/{descriptor.full_name}"))
    valid = [messages.encode(source.message(descriptor)) for _ in range(options.messages)]
    mutated = [source.mutated(descriptor) for _ in range(2 * options.messages)]
    report.counts["messages, valid"] += len(valid)
    report.counts["messages, mutated"] += len(mutated)
    oracle = comparison.Upb(message_factory.GetMessageClass(descriptor))
    answers = driver.ask([(descriptor.full_name, message) for message in valid + mutated])
    kept: Counter = Counter()
    for index, (message, answer) in enumerate(zip(valid + mutated, answers)):
        verdict = comparison.compare(oracle, message, answer, is_valid=index < len(valid))
        report.counts[verdict.outcome] += 1
        if verdict.is_disagreement:
            kept[verdict.outcome] += 1
            if kept[verdict.outcome] <= KEPT_FINDINGS:
                report.findings.append(keep(options, number, verdict.outcome, verdict.detail, descriptor.full_name, message))
    return report


def keep(options: Options, number: int, kind: str, detail: str, type: str = "", message: bytes | None = None) -> str:
    """Writes a finding to a folder; a line about it."""
    slug = kind.replace(" ", "-").replace(":", "").replace(",", "")
    folder = SCRATCH / "findings" / options.seed / f"s{number}-{type}-{slug}-{abs(hash_of(message)):08x}"
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in schemas.random_schema(f"{options.seed}/{number}", f"s{number}", well_known_types()).files.items():
        (folder / Path(path).name).write_text(text)
    command = f"DIFFERENTIAL_SEED={options.seed} {sys.executable} Tests/Differential/differential.py --only {number} --messages {options.messages}"
    if message is not None:
        (folder / "message.bin").write_bytes(message)
    (folder / "finding.txt").write_text(f"{kind}\ntype: {type}\n{detail}\n\nTo repeat it:\n  {command}\n")
    return f"FOUND {kind}: s{number} {type}: {detail.splitlines()[0][:300]}\n  kept in {folder}\n  repeat: {command}"


def hash_of(message: bytes | None) -> int:
    return int.from_bytes(message[:4] if message else b"", "little")


if __name__ == "__main__":
    sys.exit(main())
