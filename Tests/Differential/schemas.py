"""Random proto3 schemas: every construct that the schema of a service uses, with names that are hard on Swift."""

import random
from dataclasses import dataclass, field

SCALARS = [
    "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
    "sfixed64", "bool", "string", "bytes",
]
MAP_KEYS = [scalar for scalar in SCALARS if scalar not in ("double", "float", "bytes")]

# Words of Swift, members of generated messages and enums, members of every Swift type, and ordinary names.
FIELD_NAMES = """
    class self Self init Type type default func let var in is as protocol extension nil true false throw throws try
    catch actor any some await async inout operator precedencegroup repeat where while switch case break continue
    fallthrough defer deinit subscript super static public private internal package open final lazy weak unowned
    get set willSet didSet nonisolated isolated consuming borrowing copy discard macro each then sending if else for
    do guard import return enum struct typealias associatedtype rethrows
    descriptor unknown_fields view builder encoded encoded_size decoding encoded_in_arena value values pointer arena
    stride load store message table hash hash_value hasher description debug_description raw_value all_cases name
    json_string json_bytes is_initialized serialized_data new_value old_value result error other left right count
    index element elements key entry entries appender capacity limit limits bytes string double float int32 bool
    id url user_id user_ids url_path http_url https_url sha256sum sku_2 price_3d a1b2 x y z point2d
    camelCase MixedCase UPPER_CASE _leading __twice trailing_ double__underscore a_b_c_d i18n_text ipv6_address
    product_id customer quantity created_at amount_cents tags labels payload retry_after page_token
""".split()

TYPE_NAMES = """
    View Builder Type Self Any Array String Int Int32 UInt8 Bool Float Double Data Dictionary Set Optional Result Error
    Never Void Character Hasher Hashable Equatable Sendable Codable Comparable Message MessageView MessageBuilder
    Enumeration Arena WireBytes RepeatedView UnknownFields FieldDefinition FileDescriptor MessageDescriptor Indirect
    Value Element Key Entry OneOf Case RawValue Index Iterator Swift FletchWire Task Actor Protocol Range Substring
    StaticString UnsafeRawPointer Timestamp Duration Status Product Order Customer Item Money Address lowercase
    snake_case Under_Score X HTTPHeader Url2 Kind Mode State Level Options Metadata
""".split()

VALUE_NAMES = """
    UNSPECIFIED NONE SOME SELF INIT DEFAULT TYPE RAW_VALUE NAME DESCRIPTION HASH ALL_CASES CASE CLASS NIL TRUE FALSE
    LOW HIGH MEDIUM ACTIVE DELETED 2D 3D A B C SHIPPED Mixed lower some none init hashValue UNRECOGNIZED VALUE
""".split()

PACKAGE_NAMES = ["shop", "v1", "v1beta2", "in", "class", "my_company", "swift", "Upper", "x"]
COMMENTS = ["Ordinary.", "Ends */ a comment /* and opens one.", 'A "quote", a \\ and \\(this).', "Grüße, 你好.", "```", "- ``Type``"]

MAX_NUMBER = 536_870_911
UNKNOWN_TO_PROTO = range(19_000, 20_000)  # reserved for protobuf itself


@dataclass
class Schema:
    """The `.proto` files of one schema, by path; paths and packages begin with the schema's own name."""

    name: str
    files: dict[str, str] = field(default_factory=dict)


def random_schema(seed: str, name: str, well_known: list[tuple[str, str]], avoid: frozenset[str] = frozenset()) -> Schema:
    """The schema of a seed. `well_known` has (path, message type) that fields may be of; no field is named as in `avoid`."""
    return _Writer(random.Random(seed), name, well_known, avoid).schema()


def _folded(name: str) -> str:
    """Names that agree in this are refused by protoc within one message, for their JSON names may collide."""
    return name.replace("_", "").lower()


class _Scope:
    """The names that one message, or one file's package, has taken."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.folded: set[str] = set()

    def claim(self, name: str) -> bool:
        if name in self.taken or _folded(name) in self.folded:
            return False
        self.taken.add(name)
        self.folded.add(_folded(name))
        return True


@dataclass
class _Enum:
    full_name: str
    text: list[str]


@dataclass
class _Message:
    name: str
    full_name: str
    scope: _Scope
    depth: int
    messages: list["_Message"] = field(default_factory=list)
    enums: list[_Enum] = field(default_factory=list)


@dataclass
class _File:
    path: str
    package: str
    messages: list[_Message] = field(default_factory=list)
    enums: list[_Enum] = field(default_factory=list)


class _Writer:
    def __init__(self, rng: random.Random, name: str, well_known: list[tuple[str, str]], avoid: frozenset[str]) -> None:
        self.rng = rng
        self.name = name
        self.well_known = well_known
        self.field_names = [name for name in FIELD_NAMES if name not in avoid]
        self.message_types: list[str] = []
        self.enum_types: list[str] = []
        self.used_paths: set[str] = set()

    def schema(self) -> Schema:
        """An imported file, if any, is written first; the main one may use its types."""
        schema = Schema(self.name)
        imported: list[str] = []
        if self.rng.random() < 0.5:
            path = f"{self.name}/imported.proto"
            schema.files[path] = self._file(path, f"{self.name}.imported", [])
            imported.append(path)
        package = ".".join([self.name] + self.rng.sample(PACKAGE_NAMES, self.rng.randint(0, 2)))
        path = f"{self.name}/main.proto"
        schema.files[path] = self._file(path, package, imported)
        return schema

    # Files

    def _file(self, path: str, package: str, imported: list[str]) -> str:
        file = _File(path, package)
        scope = _Scope()
        for _ in range(self.rng.randint(1, 3)):
            file.enums += self._enum(scope, package)
        for _ in range(self.rng.randint(2, 5)):
            file.messages += self._declare(scope, package, depth=0)
        self.used_paths = set()
        bodies = [line for enum in file.enums for line in enum.text]
        for message in file.messages:
            bodies += self._message(message)
        lines = ['syntax = "proto3";', "", f"package {package};", ""]
        lines += [f'import "{path}";' for path in sorted(self.used_paths | set(imported))]
        if self.rng.random() < 0.2:
            lines.append(f'option swift_prefix = "{self.name.upper()}{self.rng.choice(["", "X", "_"])}{path[-9]}";')
        return "\n".join(lines + [""] + bodies) + "\n"

    def _declare(self, scope: _Scope, parent: str, depth: int) -> list[_Message]:
        """A message with those nested in it, as yet without fields: any field may be of any type."""
        name = self._type_name()
        if not scope.claim(name):
            return []
        message = _Message(name, f"{parent}.{name}", _Scope(), depth)
        self.message_types.append(message.full_name)
        # A scope's inner names hide outer ones: Swift has no way to name them then, so a nested type is not named as what holds it.
        message.scope.claim(name)
        if depth < 3:
            while self.rng.random() < 0.35:
                message.messages += self._declare(message.scope, message.full_name, depth + 1)
            while self.rng.random() < 0.25:
                message.enums += self._enum(message.scope, message.full_name)
        return [message]

    def _type_name(self) -> str:
        name = self.rng.choice(TYPE_NAMES)
        return name if self.rng.random() < 0.7 else name + str(self.rng.randint(0, 99))

    # Enums

    def _enum(self, scope: _Scope, parent: str) -> list[_Enum]:
        name = self._type_name()
        if not scope.claim(name):
            return []
        prefix = "" if self.rng.random() < 0.3 else self._upper_snake_case(name) + "_"
        names: list[str] = []
        stripped = _Scope()
        for value in self.rng.sample(VALUE_NAMES, self.rng.randint(1, 9)):
            value = prefix + value if prefix else value if not value[0].isdigit() else "V" + value
            if stripped.claim(value.removeprefix(prefix)) and scope.claim(value):
                names.append(value)
        if not names:
            names = [f"{self._upper_snake_case(name)}_ZERO_{len(scope.taken)}"]
            scope.claim(names[0])
        numbers = [0]
        for _ in names[1:]:
            numbers.append(self.rng.choice([len(numbers), -len(numbers), 2**31 - len(numbers), -(2**31) + len(numbers)]))
        lines = [f"enum {name} {{"]
        if len(names) > 1 and self.rng.random() < 0.3:
            numbers[-1] = self.rng.choice(numbers[:-1])
            lines.append("  option allow_alias = true;")
        if self.rng.random() < 0.2:
            lines.append("  reserved 1000 to 1010, 4711;")
        lines += [f"  {value} = {number};" for value, number in zip(names, numbers)] + ["}", ""]
        self.enum_types.append(f"{parent}.{name}")
        return [_Enum(f"{parent}.{name}", self._comment("") + lines)]

    @staticmethod
    def _upper_snake_case(name: str) -> str:
        words = ""
        for index, letter in enumerate(name):
            if letter.isupper() and index and not (name[index - 1].isupper() or name[index - 1] == "_"):
                words += "_"
            words += letter.upper()
        return words

    # Messages

    def _message(self, message: _Message) -> list[str]:
        indent = "  " * message.depth
        lines = self._comment(indent) + [f"{indent}message {message.name} {{"]
        for enum in message.enums:
            lines += [f"{indent}  {line}" for line in enum.text]
        for nested in message.messages:
            lines += self._message(nested)
        shape = self.rng.random()
        # One in twenty is wide, most often with more singular messages than a machine word has bits.
        count = 0 if shape < 0.05 else self.rng.randint(66, 80) if shape > 0.96 else self.rng.randint(1, 14)
        only = "message" if shape > 0.98 else None
        numbers = self._numbers(count)
        taken = set(numbers)
        while numbers:
            if len(numbers) >= 2 and self.rng.random() < 0.12 and only is None:
                size = self.rng.randint(1, min(6, len(numbers)))
                lines += self._oneof(message, [numbers.pop() for _ in range(size)], indent + "  ")
            else:
                lines += self._field(message, numbers.pop(), indent + "  ", only)
        if self.rng.random() < 0.3:
            lines += self._reserved(indent + "  ", taken)
        return lines + [f"{indent}}}", ""]

    def _numbers(self, count: int) -> list[int]:
        """Field numbers, all different, in no order."""
        style = self.rng.random()
        if style < 0.5:
            numbers = list(range(1, count + 1))
        else:
            ranges = [(1, 15), (16, 2047), (2048, 18_999), (20_000, 262_143), (262_144, MAX_NUMBER), (MAX_NUMBER - 9, MAX_NUMBER)]
            chosen: set[int] = set()
            while len(chosen) < count:
                chosen.add(self.rng.randint(*self.rng.choice(ranges)))
            numbers = sorted(chosen)
        if self.rng.random() < 0.3:
            self.rng.shuffle(numbers)
        else:
            numbers.reverse()
        return numbers

    def _reserved(self, indent: str, taken: set[int]) -> list[str]:
        free = [number for number in (5_000, 6_000, 7_777, 300_000) if number not in taken]
        names = f'{indent}reserved "never_used", "gone";'
        return [f"{indent}reserved {', '.join(map(str, free))};", names] if free else [names]

    def _field_name(self, scope: _Scope, suffixes: tuple[str, ...] = ()) -> str:
        while True:
            name = self.rng.choice(self.field_names)
            if self.rng.random() < 0.35:
                name += self.rng.choice(["_", ""]) + str(self.rng.randint(0, 999))
            if all(self._entry_name(name) not in scope.taken for _ in suffixes) and scope.claim(name):
                for _ in suffixes:
                    scope.claim(self._entry_name(name))
                return name

    @staticmethod
    def _entry_name(name: str) -> str:
        """The message that protoc makes of a map field."""
        return "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry"

    def _field(self, message: _Message, number: int, indent: str, only: str | None) -> list[str]:
        comment = self._comment(indent)
        kind = self.rng.random()
        if only is None and kind < 0.15:
            key = self.rng.choice(MAP_KEYS)
            name = self._field_name(message.scope, suffixes=("Entry",))
            return comment + [f"{indent}map<{key}, {self._type()}> {name} = {number};"]
        name = self._field_name(message.scope)
        if only == "message":
            return comment + [f"{indent}.{self.rng.choice(self.message_types)} {name} = {number};"]
        type = self._type()
        options: list[str] = []
        label = ""
        if kind < 0.4:
            label = "repeated "
            if type not in ("string", "bytes") and (type in SCALARS or type[1:] in self.enum_types):
                options += self.rng.choice([[], ["packed = true"], ["packed = false"]])
        elif kind < 0.6:
            label = "optional "
        if self.rng.random() < 0.05:
            options.append("deprecated = true")
        if self.rng.random() < 0.05:
            options.append(f'json_name = "json{_folded(name)}{number}"')
        suffix = f" [{', '.join(options)}]" if options else ""
        return comment + [f"{indent}{label}{type} {name} = {number}{suffix};"]

    def _oneof(self, message: _Message, numbers: list[int], indent: str) -> list[str]:
        lines = [f"{indent}oneof {self._field_name(message.scope)} {{"]
        for number in numbers:
            lines.append(f"{indent}  {self._type()} {self._field_name(message.scope)} = {number};")
        return lines + [f"{indent}}}"]

    def _type(self) -> str:
        kind = self.rng.random()
        if kind < 0.6:
            return self.rng.choice(SCALARS)
        if kind < 0.72 and self.enum_types:
            return "." + self.rng.choice(self.enum_types)
        if kind < 0.8 and self.well_known:
            path, name = self.rng.choice(self.well_known)
            self.used_paths.add(path)
            return "." + name
        return "." + self.rng.choice(self.message_types)

    def _comment(self, indent: str) -> list[str]:
        return [f"{indent}// {self.rng.choice(COMMENTS)}"] if self.rng.random() < 0.15 else []
