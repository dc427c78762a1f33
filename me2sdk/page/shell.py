"""The frame of a page, and text made safe to stand in it.

Text of a trace enters a page escaped, or as JSON in which no tag can end. The page's content security policy allows our
scripts and our one style, by their hashes, and no requests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

__all__ = ["data_block", "escaped", "fill", "page", "printable", "read_file"]

_PLACE = re.compile(r"\{\{(\w+)\}\}")
# Neither XML nor HTML can carry these, not even as a numeric reference.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\ufdd0-\ufdef]")


def printable(text: str) -> str:
    """``text`` with each character that XML cannot carry (control characters, noncharacters) replaced by U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text)


def escaped(text: str) -> str:
    """``text`` for use in HTML, without characters that cannot be printed."""
    return html.escape(printable(text))


def fill(template: str, **values: str) -> str:
    """Replace every ``{{name}}`` in one pass, so that a value that looks like one stays as it is."""
    return _PLACE.sub(lambda place: values[place[1]], template)


@functools.cache
def read_file(package: str, name: str) -> str:
    """A file of a package's folder ``page``."""
    return (resources.files(package) / "page" / name).read_text("utf-8")


def data_block(value: Any, name: str = "") -> str:
    """A value as JSON in a script element that does not run.

    Args:
        value: what `json.dumps` takes. Strings in it may be HTML.
        name: id of the element, if it needs one.
    """
    written = printable(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    # All that can end such an element, or change how its text is read.
    written = written.replace("</", "<\\/").replace("<!", "\\u003c!")
    named = f' id="{name}"' if name else ""
    return f'<script type="application/json"{named}>{written}</script>'


def page(title: str, kind: str, body: str, scripts: Sequence[str] = (), *, images: bool = False) -> str:
    """A whole page.

    Args:
        title: its title, as text.
        kind: class of its body, which the style goes by.
        body: its body, as HTML.
        scripts: the scripts that run in it, in this order.
        images: whether it may show images that stand in its text as ``data:`` addresses.
    """
    style = (resources.files("me2sdk.page") / "page.css").read_text("utf-8")
    policy = [
        "default-src 'none'",
        f"style-src {_hash(style)}",
        *([f"script-src {' '.join(map(_hash, scripts))}"] if scripts else []),
        *(["img-src data:"] if images else []),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return fill(
        (resources.files("me2sdk.page") / "page.html").read_text("utf-8"),
        title=escaped(title),
        kind=kind,
        policy="; ".join(policy),
        style=style,
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        body=body,
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
