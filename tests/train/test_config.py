from __future__ import annotations

from pathlib import Path

import pytest

from me2sdk.errors import ConfigurationError
from me2sdk.schema import Value
from me2sdk.train.config import load_config


class Inner(Value):
    r: int = 8


class Outer(Value):
    name: str
    rate: float = 0.1
    lora: Inner = Inner()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("name: first\nlora:\n  r: 4\n")
    return path


def test_settings_are_read_and_overridden(file: Path) -> None:
    assert load_config(file, "rm", Outer) == Outer(name="first", lora=Inner(r=4))
    changed = load_config(file, "rm", Outer, ["lora.r=16", "rate=1e-3", "name=a=b"])
    assert changed == Outer(name="a=b", rate=1e-3, lora=Inner(r=16))


def test_every_problem_is_named(file: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"rate: .*number.*typo: unknown; there are name, rate, lora"
    ):
        load_config(file, "rm", Outer, ["rate=fast", "typo=1"])
    with pytest.raises(ConfigurationError, match="name=value"):
        load_config(file, "rm", Outer, ["rate"])
    with pytest.raises(ConfigurationError, match="no settings inside"):
        load_config(file, "rm", Outer, ["name.x=1"])


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not YAML"), ("- 1", "must hold settings"), ("", "name: Field")]
)
def test_files_that_hold_no_settings(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        load_config(path, "rm", Outer)


def test_an_unknown_name_lists_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"Shipped: .*paper"):
        load_config(tmp_path / "none.yaml", "rm", Outer)
