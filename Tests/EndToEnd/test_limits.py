"""LIMITS.md names every setting of the server with the default that the sources give it."""

import re

import pytest

import harness

SOURCES = "\n".join(path.read_text() for path in sorted((harness.ROOT / "Sources").rglob("*.swift")))
# What is no limit, or has a page of its own.
ELSEWHERE = {"listeners", "compression"}
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "s": 1}


def settings_of(name: str) -> list[tuple[str, str, str]]:
    """The stored properties of a configuration struct: name, type, default, as the source writes them."""
    match = re.search(rf"^public struct {name}\b.*?^}}", SOURCES, re.S | re.M)
    assert match, f"no struct {name} in Sources"
    return re.findall(r"^    public var (\w+)(?:: ([\w?\[\]:. ]+?))?(?: = (.+?))?(?:  //.*)?$", match[0], re.M)


def flattened(struct: str, prefix: str = "") -> dict[str, tuple[str, str]]:
    """All settings with those of nested configurations: path to (type, default)."""
    found = {}
    for name, kind, default in settings_of(struct):
        if name in ELSEWHERE:
            continue
        nested = re.fullmatch(r"(\w+)\(\)", default)
        if nested:
            found |= flattened(nested[1], f"{prefix}{name}.")
        else:
            found[prefix + name] = (kind, default)
    return found


def source_value(kind: str, default: str):
    """A default of the source: a number (durations in seconds), a truth, or None."""
    if default in ("", "nil"):
        assert kind.endswith("?"), f"a setting of type {kind} has no default"
        return None
    if default in ("true", "false"):
        return default == "true"
    if default == "[:]":
        return None
    if default == "Duration.zero":
        return 0
    if duration := re.fullmatch(r"Duration\.seconds\((.+)\)", default):
        default = duration[1]
    assert re.fullmatch(r"[\d_ <*]+", default), f"a default that this test cannot read: {default}"
    return eval(default)


def page_value(text: str):
    if text in ("yes", "no"):
        return text == "yes"
    if text == "none":
        return None
    number, _, unit = text.partition(" ")
    return int(number.replace(",", "")) * (UNITS[unit] if unit else 1)


PAGE = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+?) \|", (harness.ROOT / "LIMITS.md").read_text(), re.M))
SETTINGS = flattened("ServerConfiguration")


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_setting_is_on_the_page_with_its_default(name):
    assert name in PAGE, f"LIMITS.md lacks {name}"
    kind, default = SETTINGS[name]
    value = source_value(kind, default)
    # Clock readings are nanoseconds in the sources.
    expected = value / 1e9 if kind == "UInt64" and PAGE[name].endswith(" s") else value
    assert page_value(PAGE[name]) == expected, f"LIMITS.md says {PAGE[name]} of {name}, the source {default}"


def test_the_page_names_nothing_else():
    assert set(PAGE) - set(SETTINGS) == set()


def test_the_settings_are_found():
    assert {"stallTimeout", "connectionLimits.maxHeaderListBytes", "callLimits.requestTimeout"} <= set(SETTINGS)


def test_every_flag_on_the_page_exists():
    text = harness.fletch("serve", "--help").stdout
    for flag in re.findall(r"`(--[\w-]+)`", (harness.ROOT / "LIMITS.md").read_text()):
        assert flag in text, f"LIMITS.md names {flag}, which serve does not have"
