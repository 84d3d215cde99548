#!/usr/bin/env python3
"""Differential tests of the generator and the wire; README.md says what is compared."""

import argparse
import os
import random
import shutil
import sys
import time
import zlib
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
import oracle
import schemas

SCRATCH = drivers.ROOT / ".build-differential"
PLUGIN = drivers.ROOT / ".build/debug/protoc-gen-fletch"
SCHEMAS_PER_DRIVER = 5
SHOWN_FINDINGS = 3  # of a driver; the rest are only kept
KEPT_FINDINGS = 3  # of one kind for a message type


@dataclass
class Options:
    seed: str
    messages: int
    swift_oracle: Path | None


@dataclass
class Report:
    """What was counted, and a line about each finding."""

    counts: Counter = field(default_factory=Counter)
    verdicts: Counter = field(default_factory=Counter)  # by outcome and oracle
    findings: list[str] = field(default_factory=list)

    def __iadd__(self, other: "Report") -> "Report":
        self.counts += other.counts
        self.verdicts += other.verdicts
        self.findings += other.findings
        return self


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**9)), help="repeats a run (default: another one each time)")
    parser.add_argument("--schemas", type=int, default=30, help="how many random schemas (default 30)")
    parser.add_argument("--messages", type=int, default=30, help="valid messages of each type, and as many again, twice, that are mutated (default 30)")
    parser.add_argument("--only", metavar="SCHEMA", help="one schema of a run, for example s17, or o3 of the committed ones")
    parser.add_argument("--sanitize", choices=["address", "thread"], help="build Fletch's drivers with a sanitizer")
    arguments = parser.parse_args()
    if arguments.sanitize:
        drivers.SWIFT_FLAGS.append(f"-sanitize={arguments.sanitize}")
    if api_implementation.Type() != "upb":
        sys.exit(f"the oracle is protobuf's upb implementation, not '{api_implementation.Type()}'; install the protobuf wheel of this platform")
    if not PLUGIN.exists():
        sys.exit(f"{PLUGIN} is missing; run 'swift build --product protoc-gen-fletch'")

    committed = sorted(path.name for path in oracle.PROTOS.iterdir())
    names = [arguments.only] if arguments.only else [f"s{number}" for number in range(arguments.schemas)] + committed
    print(f"seed {arguments.seed}: {len(names)} schemas, {arguments.messages} valid and {2 * arguments.messages} mutated messages of each type", flush=True)
    start = time.monotonic()
    drivers.build_runtime(SCRATCH)
    with_oracle = any(is_committed(name) for name in names)
    options = Options(arguments.seed, arguments.messages, drivers.build_swift_oracle(SCRATCH) if with_oracle else None)
    shutil.rmtree(findings_folder(options), ignore_errors=True)
    batches = [names[first : first + SCHEMAS_PER_DRIVER] for first in range(0, len(names), SCHEMAS_PER_DRIVER)]
    total = Report()
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for report in pool.map(test_batch, [options] * len(batches), batches):
            total += report
            for finding in report.findings[:SHOWN_FINDINGS]:
                print(finding, flush=True)
    print(table(total), f"\nseed {arguments.seed}, {time.monotonic() - start:.0f} s, {len(total.findings)} findings kept", sep="\n")
    return 1 if total.findings else 0


def table(report: Report) -> str:
    lines = ["", *(f"{name:<44}{count:>12,}" for name, count in report.counts.items())]
    oracles = sorted({name for name, _ in report.verdicts})
    lines += ["", f"{'':<44}" + "".join(f"{name:>16}" for name in oracles)]
    for outcome in sorted({outcome for _, outcome in report.verdicts}):
        lines.append(f"{outcome:<44}" + "".join(f"{report.verdicts[name, outcome]:>16,}" for name in oracles))
    return "\n".join(lines)


# Schemas


def is_committed(name: str) -> bool:
    """Whether the schema is one that swift-protobuf's code is committed for; others are random."""
    return (oracle.PROTOS / name).is_dir()


def load(options: Options, name: str) -> schemas.Schema:
    if is_committed(name):
        return schemas.Schema(name, {str(path.relative_to(oracle.PROTOS)): path.read_text() for path in sorted((oracle.PROTOS / name).iterdir())})
    return schemas.random_schema(f"{options.seed}/{name}", name, well_known_types())


def well_known_types() -> list[tuple[str, str]]:
    """The path and the name of every message of google.protobuf that the repository has."""
    return [(f"google/protobuf/{path.name}", f"google.protobuf.{line.split()[1]}")
            for path in sorted((drivers.ROOT / "proto/google/protobuf").glob("*.proto"))
            for line in path.read_text().splitlines() if line.startswith("message ")]


def prepare(schema: schemas.Schema, folder: Path, visibility: str) -> descriptor_pool.DescriptorPool:
    """Writes a schema and its Swift into the folder; its descriptors."""
    protos = folder / "proto"
    for path, text in schema.files.items():
        (protos / path).parent.mkdir(parents=True, exist_ok=True)
        (protos / path).write_text(text)
    descriptors = folder / f"{schema.name}.binpb"
    drivers.run(["protoc", f"-I{protos}", f"-I{drivers.ROOT / 'proto'}", "--include_imports", f"--descriptor_set_out={descriptors}", *schema.files])
    drivers.generate(protos, list(schema.files), PLUGIN, folder / "generated", visibility)
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        pool.Add(file)
    return pool


# A driver and its schemas


def test_batch(options: Options, names: list[str]) -> Report:
    """Tests some schemas with one driver."""
    report = Report()
    folder = SCRATCH / f"run-{options.seed}-{names[0]}"
    shutil.rmtree(folder, ignore_errors=True)
    pools: dict[str, descriptor_pool.DescriptorPool] = {}
    for name in names:
        report.counts["schemas"] += 1
        try:
            visibility = random.Random(f"{options.seed}/{name}/visibility").choice(["Internal", "Package", "Public"])
            pools[name] = prepare(load(options, name), folder, visibility)
        except drivers.BuildError as error:
            if comparison.is_clash_of_names(str(error)):
                report.counts["schemas refused, names that clash"] += 1
            else:
                report.findings.append(keep(options, name, "no code for the schema", str(error)))
    if pools:
        report += test_driver(options, folder, pools)
    shutil.rmtree(folder)
    return report


def test_driver(options: Options, folder: Path, pools: dict[str, descriptor_pool.DescriptorPool]) -> Report:
    report = Report()
    try:
        drivers.build_driver(folder / "generated", drivers.build_runtime(SCRATCH), folder / "driver")
    except drivers.BuildError as error:
        # The compiler stops at the first file: without the others, each of them shows whether it is at fault.
        if len(pools) == 1:
            report.findings.append(keep(options, *pools, "generated code does not compile", str(error)))
        else:
            for name in pools:
                report += test_batch(options, [name])
        return report
    report.counts["lines of generated Swift"] += sum(file.read_text().count("\n") for file in (folder / "generated").glob("*.swift"))
    fletch = drivers.Driver(folder / "driver")
    swift = drivers.Driver(options.swift_oracle) if options.swift_oracle else None
    for name, pool in pools.items():
        types = [pool.FindMessageTypeByName(type) for type in sorted(fletch.types) if type.startswith(f"{name}.")]
        for type in types:
            # An entry of a map is no message of its own.
            if not type.GetOptions().map_entry:
                report += test_type(options, name, fletch, swift if is_committed(name) else None, type)
    return report


def test_type(options: Options, name: str, fletch: drivers.Driver, swift: drivers.Driver | None, descriptor: Descriptor) -> Report:
    """Random messages of one type, valid and mutated, through all libraries."""
    report = Report()
    source = messages.MessageSource(random.Random(f"{options.seed}/{descriptor.full_name}"))
    inputs = [messages.encode(source.message(descriptor)) for _ in range(options.messages)]
    inputs += [source.mutated(descriptor) for _ in range(2 * options.messages)]
    report.counts["message types"] += 1
    report.counts["messages"] += options.messages
    report.counts["mutated messages"] += 2 * options.messages
    upb = comparison.Upb(message_factory.GetMessageClass(descriptor))
    questions = [(descriptor.full_name, message) for message in inputs]
    answers = fletch.ask(questions)
    swift_answers = swift.ask(questions) if swift else [None] * len(inputs)
    for index, (message, answer, swift_answer) in enumerate(zip(inputs, answers, swift_answers)):
        verdicts = {"upb": comparison.compare(upb, message, answer, is_valid=index < options.messages)}
        if index < options.messages:
            verdicts["JSON"] = comparison.compare_json(upb, message, answer)
        if swift_answer:
            verdicts["swift-protobuf"] = comparison.compare_with_swift(upb, message, answer, swift_answer)
        for name_of_oracle, verdict in verdicts.items():
            report.verdicts[name_of_oracle, verdict.outcome] += 1
            if verdict.is_disagreement and report.verdicts[name_of_oracle, verdict.outcome] <= KEPT_FINDINGS:
                report.findings.append(keep(options, name, f"{name_of_oracle}: {verdict.outcome}", verdict.detail, descriptor.full_name, message))
    return report


# Findings


def findings_folder(options: Options) -> Path:
    return SCRATCH / "findings" / options.seed


def keep(options: Options, name: str, kind: str, detail: str, type: str = "", message: bytes = b"") -> str:
    """Writes a finding to a folder of its own; lines about it."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in f"{type or name}-{kind}")
    folder = findings_folder(options) / f"{slug}-{zlib.crc32(message):08x}"
    for path, text in load(options, name).files.items():
        (folder / "proto" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "proto" / path).write_text(text)
    command = f"make test-differential DIFFERENTIAL_SEED={options.seed} DIFFERENTIAL_MESSAGES={options.messages} DIFFERENTIAL_ONLY={name}"
    (folder / "message.bin").write_bytes(message)
    (folder / "finding.txt").write_text(f"{kind}\n{type or name}: {detail}\n\nrepeat: {command}\n")
    return f"FOUND {kind}: {type or name}: {detail.splitlines()[0][:300]}\n  kept in {folder.relative_to(drivers.ROOT)}\n  repeat: {command}"


if __name__ == "__main__":
    sys.exit(main())
