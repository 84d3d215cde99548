import pathlib
import sys

_root = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(_root / "clients/python"), str(_root / "Tests/EndToEnd")]
