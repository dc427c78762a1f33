"""What `make release` refuses and writes; that it builds and installs is seen when it is run."""

from __future__ import annotations

import datetime
import importlib.util
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
DAY = datetime.date(2026, 12, 24)
CHANGELOG = """# Changelog

Newest version first.

## 0.2.0 (unreleased)

### Verbs

- One that is new.

## 0.1.0 (2026-11-01)

- The first.
"""


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["release"] = module
    spec.loader.exec_module(module)
    return module


release = _load()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "a.txt").write_text("a")
    _git(tmp_path, "add", "a.txt")
    _git(tmp_path, "commit", "--quiet", "-m", "a")
    return tmp_path


def _git(where: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=where, check=True, timeout=60)


def test_the_newest_section_gets_a_date_and_nothing_else_changes() -> None:
    done = release.dated(CHANGELOG, "0.2.0", DAY)
    assert done == CHANGELOG.replace("0.2.0 (unreleased)", "0.2.0 (2026-12-24)")
    release.check_dated(done, "0.2.0")


@pytest.mark.parametrize(
    ("changelog", "version", "message"),
    [
        (CHANGELOG, "0.3.0", "begins with '## 0.2.0 .unreleased.', not '## 0.3.0"),
        (CHANGELOG, "0.1.0", "set the same version there and in pyproject.toml"),
        (CHANGELOG.replace("(unreleased)", "(2026-12-01)"), "0.2.0", "begins with"),
        (CHANGELOG.replace("- One that is new.\n", ""), "0.2.0", "lists nothing"),
        ("# Changelog\n", "0.2.0", "has no section"),
    ],
)
def test_a_section_that_cannot_be_released_is_refused(changelog: str, version: str, message: str) -> None:
    with pytest.raises(release.NotReleased, match=message):
        release.dated(changelog, version, DAY)


@pytest.mark.parametrize("version", ["0.2.0", "0.1.0"])
def test_a_tag_is_not_built_while_its_section_has_no_date(version: str) -> None:
    with pytest.raises(release.NotReleased, match="run make release"):
        release.check_dated(CHANGELOG, version)


def test_changes_and_a_tag_that_exists_are_refused(repository: Path) -> None:
    release.check_repository(repository, "0.2.0")
    (repository / "b.txt").write_text("b")
    with pytest.raises(release.NotReleased, match=r"b\.txt"):
        release.check_repository(repository, "0.2.0")
    _git(repository, "add", "b.txt")
    _git(repository, "commit", "--quiet", "-m", "b")
    _git(repository, "tag", "v0.2.0")
    with pytest.raises(release.NotReleased, match=r"a tag v0\.2\.0"):
        release.check_repository(repository, "0.2.0")
    release.check_repository(repository, "0.2.1")


TRACKED = {
    "me2sdk/__init__.py",
    "adapters/otel.py",
    "train/__init__.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICE",
    "tests/test_a.py",
}
WHEEL = (
    "me2sdk/__init__.py",
    "me2sdk/adapters/otel.py",
    "me2sdk/train/__init__.py",
    "me2sdk-0.2.0.dist-info/METADATA",
)
SDIST = (*(TRACKED - {"tests/test_a.py"}), "PKG-INFO", "me2sdk.egg-info/SOURCES.txt")


def _archives(folder: Path, wheel: tuple[str, ...], sdist: tuple[str, ...]) -> tuple[Path, Path]:
    with zipfile.ZipFile(folder / "me2sdk.whl", "w") as archive:
        for name in wheel:
            archive.writestr(name, "")
    (folder / "empty").write_text("")
    with tarfile.open(folder / "me2sdk.tar.gz", "w:gz") as packed:
        for name in sdist:
            packed.add(folder / "empty", f"me2sdk-0.2.0/{name}")
    return folder / "me2sdk.whl", folder / "me2sdk.tar.gz"


def test_archives_that_hold_the_tracked_files_are_let_through(tmp_path: Path) -> None:
    release.check_archives(*_archives(tmp_path, WHEEL, SDIST), TRACKED)
    release.check_archives(*_archives(tmp_path, WHEEL, (*SDIST, "tests/test_a.py")), TRACKED)


@pytest.mark.parametrize(
    ("wheel", "sdist", "message"),
    [
        (WHEEL[1:], SDIST, r"wheel lacks \['me2sdk/__init__.py'\]"),
        ((*WHEEL, "me2sdk/left.py"), SDIST, r"\['me2sdk/left.py'\] should not be in it"),
        (WHEEL, tuple(name for name in SDIST if name != "NOTICE"), r"sdist lacks \['NOTICE'\]"),
        (WHEEL, (*SDIST, "secrets.env"), r"\['secrets.env'\] should not be in it"),
    ],
)
def test_other_archives_are_refused(
    wheel: tuple[str, ...], sdist: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(release.NotReleased, match=message):
        release.check_archives(*_archives(tmp_path, wheel, sdist), TRACKED)


def test_this_changelog_and_the_version_belong_together() -> None:
    version = release.version_of((ROOT / "pyproject.toml").read_text("utf-8"))
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    heading, _ = release._newest((ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert heading.startswith(f"## {version} (")


def test_the_workflow_publishes_what_make_dist_builds_and_holds_no_secret() -> None:
    import yaml

    text = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    workflow = yaml.safe_load(text)
    jobs = workflow["jobs"]
    assert any("make dist" in step.get("run", "") for step in jobs["build"]["steps"])
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert not [
        step for step in jobs["publish"]["steps"] if "run" in step
    ]  # nothing else runs where it may publish
