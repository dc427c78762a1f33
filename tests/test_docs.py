"""The documentation: every block on every page runs, every link leads somewhere, nothing public is left out."""

from __future__ import annotations

import collections.abc
import functools
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from support import docs_pages
from support.competent_model import answer
from support.docs_pages import ADDRESSES, DOCS, PAGES, ROOT, blocks, name, script
from support.fake_provider import OpenAIServer
from support.scoring_server import ScoringServer

if any(importlib.util.find_spec(package) is None for package in ("torch", "trl", "langchain_core")):
    pytest.skip("the pages use the extras [train] and [adapters]", allow_module_level=True)

LANGUAGES = {"python", "bash", "json", "yaml", "text", "mermaid", "html"}
RUNNABLE = [page for page in PAGES if script(page, {})]
HUB_MODELS = ("zzzhr97/TRM-8B",)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """What stands behind the addresses that pages name."""
    with ExitStack() as stack:
        model = stack.enter_context(OpenAIServer(answer))
        scorer = stack.enter_context(ScoringServer(lambda texts: [float(-text.count("?")) for text in texts]))
        yield {"model": model.url, **dict.fromkeys(("sglang", "vllm", "tei"), scorer.url)}


class Ran(NamedTuple):
    """How a page's script went."""

    code: int
    log: str


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[Path, Ran]:
    """Every page that is to be tested, run as a script. All in one go, since most of the time goes into imports."""
    folder, hub = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("hub")
    docs_pages.write_hub(hub, *HUB_MODELS)
    scripts = {}
    for item in request.session.items:
        if item.path == request.path and getattr(item, "originalname", "") == "test_what_a_page_shows_runs":
            page = item.callspec.params["page"]
            scripts[page] = folder / f"{name(page).replace('/', '-').removesuffix('.md')}.py"
            code = script(page, {address: servers[kind] for address, kind in ADDRESSES.items()})
            scripts[page].write_text(code, "utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ME2", "PYTEST"))},
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": servers["model"],
        "OPENAI_API_BASE": servers["model"],
        "HF_HUB_CACHE": str(hub),
        "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "PYTHONPATH": str(Path(__file__).parent),
        "OMP_NUM_THREADS": "1",
        "BROWSER": "true",  # what opens a page does nothing
        "COLUMNS": "160",
    }
    command = [sys.executable, "-P", docs_pages.__file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return {
        page: Ran(int(file.with_suffix(".code").read_text()), file.with_suffix(".log").read_text("utf-8"))
        for page, file in scripts.items()
    }


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_what_a_page_shows_runs(page: Path, runs: dict[Path, Ran]) -> None:
    assert runs[page].code == 0, runs[page].log[-6000:]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_are_of_languages_that_can_be_tested(page: Path) -> None:
    unknown = {
        f"line {block.line}: {block.language!r}" for block in blocks(page) if block.language not in LANGUAGES
    }
    assert not unknown, "Use text for what cannot be run."


_LINK = re.compile(r"(?<!\\)\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")


@pytest.mark.parametrize("page", [*PAGES, ROOT / "examples" / "README.md"], ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^ *(```+).*?^ *\1 *$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    missing = []
    for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", text)):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file)):
            missing.append(link)
    assert not missing


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#{1,6} (.+?)\s*$", page.read_text("utf-8"), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}


# Modules that users may import from. Other modules, and names that these import as themselves, are for me2sdk alone.
PUBLIC_MODULES = [
    "me2sdk",
    *(
        f"me2sdk.{name}"
        for name in "annotate cost dag errors judge llm sampling schema scorers scorers.parity stats steps testing "
        "traces train verify".split()
    ),
]


def _listed() -> dict[str, Any]:
    """What the API reference lists: path and object."""
    pages = "\n".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    listed = {}
    for path in re.findall(r"^::: ([\w.]+)", pages, re.MULTILINE):
        module, _, public = path.rpartition(".")
        listed[path] = getattr(importlib.import_module(module), public)
    return listed


def test_every_public_name_is_in_the_api_reference() -> None:
    listed = _listed()
    for module in map(importlib.import_module, PUBLIC_MODULES):
        missing = [
            public
            for public in module.__all__
            if not any(getattr(module, public) is documented for documented in listed.values())
        ]
        assert not missing, f"{module.__name__}: {missing}"


def test_the_api_reference_lists_public_names_alone_and_each_once() -> None:
    listed = _listed()
    for path in listed:
        module, _, public = path.rpartition(".")
        assert module in PUBLIC_MODULES, path
        assert public in sys.modules[module].__all__, path
    types = [value for value in listed.values() if inspect.isclass(value) or inspect.isfunction(value)]
    assert len(set(types)) == len(types)


def test_every_type_that_a_result_or_an_error_holds_is_in_the_api_reference() -> None:
    walk = _Walk()
    for module in map(importlib.import_module, PUBLIC_MODULES):
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isfunction(
                value
            ):  # other names stand for what may be passed
                walk.visit(value, f"{module.__name__}.{public}")
    held = {"DAGNode", "Vote", "Generation", "Scores", "PairFailure", "EvaluationFailure", "JudgeConfig"}
    assert held <= {one.__name__ for one in walk.found}  # it does walk
    documented = {value for value in _listed().values() if inspect.isclass(value)}
    assert {one: where for one, where in walk.found.items() if one not in documented} == {}


class _Walk:
    """Collects me2sdk's own classes that can be reached from what a function returns and what a class holds.

    Attributes:
        found: each class and where it was first met.
    """

    def __init__(self) -> None:
        self.found: dict[type, str] = {}
        # For names that are imported for the type checker alone, and for classes that bear their room's name as module.
        self._names: dict[str, Any] = {**vars(typing), **vars(collections.abc)}
        self._names |= {"nx": SimpleNamespace(DiGraph=list), "ModelResponse": object}
        for module in map(importlib.import_module, PUBLIC_MODULES):
            self._names |= {public: getattr(module, public) for public in module.__all__}

    def visit(self, value: Any, where: str) -> None:
        """Look at a function, a property, a class, or an annotation of any form."""
        for part in typing.get_args(value):
            self.visit(part, where)
        if isinstance(value, (property, functools.cached_property)):
            value = value.fget if isinstance(value, property) else value.func
        value = getattr(value, "__func__", value)
        if inspect.isfunction(value) and value.__module__.startswith("me2sdk"):
            self.visit(self._hints(value).get("return"), where)
        elif inspect.isclass(value) and value.__module__.startswith("me2sdk") and value not in self.found:
            self.found[value] = where
            held = self._hints(value)
            if issubclass(value, BaseException) and inspect.isfunction(value.__init__):
                held |= self._hints(value.__init__)  # what an error is made of it carries
            for attribute, member in {**vars(value), **held}.items():
                if not attribute.startswith("_"):
                    self.visit(member, f"{value.__name__}.{attribute}")

    def _hints(self, value: Any) -> dict[str, Any]:
        return typing.get_type_hints(value, localns=self._names)


def test_every_adapter_has_a_page_and_a_line_in_the_table() -> None:
    adapters = sorted(entry.stem for entry in (ROOT / "adapters").iterdir() if not entry.stem.startswith("_"))
    table = (DOCS / "adapters" / "index.md").read_text("utf-8")
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    examples = "\n".join(file.read_text("utf-8") for file in (ROOT / "examples").rglob("*.py"))
    for adapter in adapters:
        assert (DOCS / "adapters" / f"{adapter}.md").is_file(), adapter
        assert f"({adapter}.md)" in table, adapter
        assert f"adapters/{adapter}.md" in navigation, adapter
        assert re.search(rf"me2sdk\.adapters(?:\.| import ){adapter}\b", examples), f"no example of {adapter}"
