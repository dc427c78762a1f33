"""The documentation: every block on every page runs, every link leads somewhere, nothing public is left out."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

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


def test_every_public_name_is_in_the_api_reference() -> None:
    import me2sdk.scorers.parity
    import me2sdk.testing
    import me2sdk.train

    listed = set(
        re.findall(r"^::: ([\w.]+)", "\n".join(p.read_text("utf-8") for p in DOCS.rglob("*.md")), re.M)
    )
    for module in (me2sdk, me2sdk.train, me2sdk.scorers, me2sdk.scorers.parity, me2sdk.testing):
        names = {f"{module.__name__}.{public}" for public in module.__all__}
        if module is me2sdk.scorers:  # three of its names are me2sdk's own
            names -= {f"me2sdk.scorers.{public}" for public in me2sdk.__all__}
        assert names <= listed, sorted(names - listed)
    for one in listed:
        module_name, _, public = one.rpartition(".")
        assert hasattr(sys.modules[module_name], public), one


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
