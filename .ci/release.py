"""Build what a release consists of, and check it.

    python .ci/release.py prepare            # make release: refuse what cannot be released, date the changelog
    python .ci/release.py build [--tag TAG]  # make dist: the same files from a commit whose changelog is dated

Both build wheel and sdist from a clean copy of the commit into ``dist/``, look at what they hold, install the wheel in
an environment that has nothing else, use it there, and list what that environment consists of (a CycloneDX SBOM). The
changelog is written last, so a failure leaves the tree as it was. Nothing is committed, tagged or uploaded.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable, Set
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"me2sdk": "me2sdk", "adapters": "me2sdk/adapters", "train": "me2sdk/train"}
"""Folders of the repository, and where they lie in the wheel."""
HEAVY = ("torch", "transformers", "litellm", "networkx", "pydantic", "numpy")
LIMIT = 20_000_000
USE = """
import sys, me2sdk
loaded = sorted(set({heavy!r}) & set(sys.modules))
assert not loaded, f"import me2sdk loads {{loaded}}"
from importlib.metadata import version
assert version("me2sdk") == {version!r}, version("me2sdk")
result = me2sdk.rerank("What is 6 * 7?", ["It is 48.", "It is 42.", "6 * 7 = 42, so it is 42."])
assert result.best.answer == "42", result
assert {{'torch', 'transformers'}}.isdisjoint(sys.modules)
"""


class NotReleased(Exception):
    """Why there is no release; the message says what to do."""


def version_of(pyproject: str) -> str:
    """The version that a ``pyproject.toml`` names."""
    return str(tomllib.loads(pyproject)["project"]["version"])


def dated(changelog: str, version: str, date: datetime.date) -> str:
    """The changelog with a date in the place of "unreleased" in the heading of its newest section.

    Raises:
        NotReleased: the newest section is of another version, has a date, or says nothing.
    """
    heading, body = _newest(changelog)
    wanted = f"## {version} (unreleased)"
    if heading != wanted:
        raise NotReleased(
            f"CHANGELOG.md begins with {heading!r}, not {wanted!r}: set the same version there and in pyproject.toml."
        )
    if not re.search(r"^- ", body, re.MULTILINE):
        raise NotReleased(f"The section {heading!r} of CHANGELOG.md lists nothing.")
    return changelog.replace(f"{wanted}\n", f"## {version} ({date.isoformat()})\n", 1)


def check_dated(changelog: str, version: str) -> None:
    """Refuse a changelog whose newest section is not that of a release of this version.

    Raises:
        NotReleased: it is not.
    """
    heading, _ = _newest(changelog)
    if not re.fullmatch(rf"## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", heading):
        raise NotReleased(
            f"CHANGELOG.md begins with {heading!r}: run make release, and commit what it writes."
        )


def _newest(changelog: str) -> tuple[str, str]:
    found = re.search(r"^(## .*)\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    if found is None:
        raise NotReleased("CHANGELOG.md has no section.")
    return found[1], found[2]


def check_repository(root: Path, version: str) -> None:
    """Refuse a tree with changes, and a version that has a tag.

    Raises:
        NotReleased: there are changes, or there is a tag.
    """
    changes = _git(root, "status", "--porcelain")
    if changes:
        raise NotReleased(f"Commit or undo these changes first:\n{changes}")
    if _git(root, "tag", "--list", f"v{version}"):
        raise NotReleased(f"There is a tag v{version}: raise the version in pyproject.toml and CHANGELOG.md.")


def wheel_files(tracked: Iterable[str]) -> set[str]:
    """The names that files of the repository have in a wheel."""
    found = set()
    for name in tracked:
        folder, _, rest = name.partition("/")
        if folder in PACKAGES and rest:
            found.add(f"{PACKAGES[folder]}/{rest}")
    return found


def check_names(what: str, names: Set[str], wanted: Set[str]) -> None:
    """Refuse an archive that lacks a file or has one too many.

    Raises:
        NotReleased: it does.
    """
    if names != wanted:
        raise NotReleased(
            f"The {what} lacks {sorted(wanted - names)[:5]}, and {sorted(names - wanted)[:5]} should not be in it."
        )


def check_archives(wheel: Path, sdist: Path, tracked: Set[str]) -> None:
    """Hold what wheel and sdist contain against what git tracks.

    Raises:
        NotReleased: a file is missing or does not belong there, or the wheel is too large.
    """
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    check_names("wheel", names, wheel_files(tracked))
    if wheel.stat().st_size >= LIMIT:
        raise NotReleased(
            f"The wheel has {wheel.stat().st_size / 1e6:.1f} MB, and {LIMIT / 1e6:.0f} MB are allowed."
        )
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile()}
    made = {name for name in held if name in ("PKG-INFO", "setup.cfg") or name.startswith("me2sdk.egg-info/")}
    needed = {name for name in tracked if name.partition("/")[0] in PACKAGES}
    needed |= {"pyproject.toml", "README.md", "LICENSE", "NOTICE"}
    check_names("sdist", held - made, needed | (held & tracked))


def build(root: Path, changelog: str, out: Path) -> tuple[Path, Path]:
    """Build wheel and sdist from a copy of the commit, with this changelog; gives their paths."""
    if out.exists():
        shutil.rmtree(out)
    when = _git(root, "log", "-1", "--format=%ct")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "me2sdk"
        archive = subprocess.run(
            ["git", "archive", "HEAD"], cwd=root, check=True, stdout=subprocess.PIPE
        ).stdout
        copy.mkdir()
        subprocess.run(["tar", "-x"], cwd=copy, input=archive, check=True)
        (copy / "CHANGELOG.md").write_text(changelog, "utf-8")
        _run([sys.executable, "-m", "build", "--outdir", str(out), str(copy)], SOURCE_DATE_EPOCH=when)
    [wheel], [sdist] = out.glob("*.whl"), out.glob("*.tar.gz")
    _run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)])
    return wheel, sdist


def use(wheel: Path, version: str, sbom: Path) -> None:
    """Install the wheel where nothing else is, use it, and list what is installed there."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        _run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
        python = str(environment / "bin" / "python")
        quiet = ["--quiet", "--disable-pip-version-check"]
        _run([sys.executable, "-m", "pip", "--python", python, "install", *quiet, str(wheel.resolve())])
        _run([python, "-I", "-c", USE.format(heavy=HEAVY, version=version)], cwd=folder)
        _run([str(environment / "bin" / "me2"), "doctor", "--json"], cwd=folder)
        _run(
            [
                sys.executable,
                "-m",
                "cyclonedx_py",
                "environment",
                python,
                "--of",
                "JSON",
                "-o",
                str(sbom.resolve()),
            ]
        )


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _run(command: list[str], cwd: str | None = None, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, errors="replace"
    )
    if done.returncode:
        raise NotReleased(f"{' '.join(command[:4])} … failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("prepare", "build"))
    parser.add_argument("--tag", help="refuse a commit that is not of this tag's version")
    options = parser.parse_args()
    version = version_of((ROOT / "pyproject.toml").read_text("utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    out = ROOT / "dist"
    try:
        if options.what == "prepare":
            check_repository(ROOT, version)
            changelog = dated(changelog, version, datetime.datetime.now(datetime.UTC).date())
        else:
            check_dated(changelog, version)
            if options.tag not in (None, f"v{version}"):
                raise NotReleased(f"The tag {options.tag} is not v{version}, the version in pyproject.toml.")
        wheel, sdist = build(ROOT, changelog, out)
        check_archives(wheel, sdist, set(_git(ROOT, "ls-files").splitlines()))
        use(wheel, version, out / f"me2sdk-{version}.cdx.json")
    except NotReleased as error:
        shutil.rmtree(out, ignore_errors=True)  # what was not checked is not kept
        print(error, file=sys.stderr)
        return 1
    (ROOT / "CHANGELOG.md").write_text(changelog, "utf-8")
    for file in sorted(out.iterdir()):
        print(f"dist/{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    if options.what == "prepare":
        print(
            f'Next: git commit -m "Release {version}" -- CHANGELOG.md && git tag -a v{version} -m v{version}, and push '
            "both: a workflow builds the same from the tag and publishes it."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
