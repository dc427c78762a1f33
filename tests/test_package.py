from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import me2sdk

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "transformers", "litellm", "networkx", "pydantic", "numpy")


def test_import_is_quick_and_light() -> None:
    code = "import sys, time; t = time.perf_counter(); import me2sdk; print(time.perf_counter() - t, *sys.modules)"
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        )
        seconds, *modules = done.stdout.split()
        assert not set(HEAVY) & set(modules)
        runs.append(float(seconds))
    assert min(runs) < 0.25


def test_help_of_the_command_line_is_light() -> None:
    code = (
        "import sys; sys.argv = ['me2', '--help']\nfrom me2sdk.cli import app\n"
        "try: app()\nexcept SystemExit: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Return the answer that was reasoned best." in done.stdout
    assert not set(HEAVY) & set(done.stdout.split())


def test_every_light_name_loads_without_torch_or_litellm() -> None:
    code = "import sys, me2sdk; [getattr(me2sdk, name) for name in me2sdk.__all__]; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"torch", "transformers", "litellm", "networkx"} & set(done.stdout.split())


def test_import_leaves_environment_and_litellm_alone() -> None:
    code = (
        "import os; before = dict(os.environ); from me2sdk.llm import load_litellm; litellm = load_litellm(); "
        "assert dict(os.environ) == before; "
        "assert litellm.suppress_debug_info is False; assert litellm.num_retries is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_public_names_are_listed_exist_and_are_documented() -> None:
    assert me2sdk.__all__ == sorted(
        me2sdk.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    for name in me2sdk.__all__:
        value = getattr(me2sdk, name)
        assert inspect.getdoc(value), name
        assert name in dir(me2sdk)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = me2sdk.nothing


def test_public_names_stay_callable_after_their_modules_are_imported() -> None:
    for module in set(me2sdk._HOMES):
        importlib.import_module(f"me2sdk.{module}")
    for name in me2sdk.__all__:
        assert not inspect.ismodule(getattr(me2sdk, name)), name


# What documentation tells users to import; moving a file must not move these.
PUBLIC_PATHS = (
    *("annotate", "dag", "errors", "llm", "schema", "scorers", "scorers.parity", "stats", "steps", "testing"),
    *("traces", "train", "verify"),
    *(f"adapters.{name}" for name in ("litellm_provider", "otel", "trl", "verl", "openai_server")),
)


@pytest.mark.parametrize("path", PUBLIC_PATHS)
def test_public_import_paths_stay(path: str) -> None:
    if path.startswith("adapters"):
        assert importlib.util.find_spec(f"me2sdk.{path}") is not None
    else:
        module = importlib.import_module(f"me2sdk.{path}")
        assert all(hasattr(module, name) for name in module.__all__)


def test_each_verb_has_its_twin_with_the_same_arguments() -> None:
    pairs = [(name, f"a{name}") for name in me2sdk.__all__ if f"a{name}" in me2sdk.__all__]
    assert {name for name, _ in pairs} == {
        "best_of_n",
        "best_of_n_many",
        "completion",
        "judge_pair",
        "parse_dag",
        "rank_traces",
        "rerank",
        "verify_answer",
    }
    for name, twin in pairs:
        plain, asynchronous = getattr(me2sdk, name), getattr(me2sdk, twin)
        assert inspect.signature(plain) == inspect.signature(asynchronous)
        assert inspect.iscoroutinefunction(asynchronous)
        assert not inspect.iscoroutinefunction(plain)


def test_errors_share_a_base_and_pickle() -> None:
    import pickle

    error = me2sdk.GenerationError("m", status=429, attempts=3, error_type="RateLimitError")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.attempts, copy.error_type) == ("m", 429, 3, "RateLimitError")
    for name in me2sdk._HOMES["errors"]:
        assert issubclass(getattr(me2sdk, name), me2sdk.ME2Error)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_every_file_of_the_tree_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tree = set()
    for folder, target in {
        "me2sdk": "me2sdk",
        "adapters": "me2sdk/adapters",
        "train": "me2sdk/train",
    }.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                tree.add(f"{target}/{file.relative_to(ROOT / folder).as_posix()}")
    assert names == tree
    assert wheel.stat().st_size < 20_000_000


def test_installed_wheel_works_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    """The wheel's own files, on a path that does not hold the repository."""
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); "
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]; "
        "import me2sdk, me2sdk.train, me2sdk.adapters; assert me2sdk.__file__.startswith(sys.path[0]); "
        "assert me2sdk.train.__file__.startswith(sys.path[0]); "
        "print(me2sdk.rerank('1 + 1?', ['1 + 1 = 3', '1 + 1 = 2']).best.index)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.stdout == "1\n", done.stderr
    assert time.perf_counter() - started < 60


def test_the_wheel_asks_for_no_exact_version(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    asked = [
        line for line in archive.read(metadata).decode().splitlines() if line.startswith("Requires-Dist:")
    ]
    assert len(asked) > 10
    assert not [line for line in asked if "==" in line.partition(";")[0]]
    assert not [line for line in asked if re.search("pytest|mypy|ruff|mkdocs", line)]  # groups do not ship


def test_no_module_is_named_without_its_package() -> None:
    code = "import importlib.util as u; print([n for n in ('adapters', 'train') if u.find_spec(n)])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd="/", timeout=60
    )
    assert done.stdout.strip() == "[]"
