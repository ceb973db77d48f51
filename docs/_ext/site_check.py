"""What must hold of the built site: links inside it lead somewhere, and no page asks another machine for anything."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src",),
    "object": ("data",),
}
"""What a browser fetches by itself; of `link`, those below."""
FETCHED_LINKS = {
    "stylesheet",
    "icon",
    "shortcut",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}

_IMPORTED = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""")


class Page(HTMLParser):
    """Of one HTML file: `anchors`, `links` a reader may follow and addresses the browser is to `load`."""

    def __init__(self, text: str):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.load: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "link" and set((given.get("rel") or "").split()) & FETCHED_LINKS:
            self.load.append(given.get("href") or "")
        self.load += [given[name] for name in LOADING.get(tag, ()) if given.get(name)]


def broken_links(root: str | Path) -> list[str]:
    """`page: address` of every link or loaded file inside the built tree that leads nowhere, anchors included."""
    root = Path(root).resolve()
    found = []
    for file in pages(root):
        page = parsed(file)
        found += [
            f"{file.relative_to(root)}: {address}"
            for address in dict.fromkeys((*page.links, *page.load))
            if not leads_somewhere(address, file, root)
        ]
    return found


def pages(root: Path) -> list[Path]:
    """The HTML files of the site; templates that a theme leaves among its static files are none."""
    return [file for file in sorted(root.rglob("*.html")) if "_static" not in file.relative_to(root).parts]


def leads_somewhere(address: str, file: Path, root: Path) -> bool:
    """Whether an address in a file of the tree is outside it, or a file (and an anchor) in it."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    target = target / "index.html" if target.is_dir() else target
    if not target.is_relative_to(root) or not target.is_file():
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in parsed(target).anchors


def outside_requests(root: str | Path) -> list[str]:
    """`file: address` of everything that a page, or a style sheet of the tree, would fetch from elsewhere."""
    root = Path(root).resolve()
    found = []
    for file in pages(root):
        found += [f"{file.relative_to(root)}: {address}" for address in parsed(file).load if urlsplit(address).netloc]
    for file in sorted(root.rglob("*.css")):
        found += [
            f"{file.relative_to(root)}: {address}"
            for address in _IMPORTED.findall(file.read_text(encoding="utf-8"))
            if urlsplit(address).netloc
        ]
    return found


@cache
def parsed(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def problems(root: str | Path) -> list[str]:
    """All of the above in words; empty for a good site."""
    parsed.cache_clear()
    return [f"broken link: {found}" for found in broken_links(root)] + [
        f"outside request: {found}" for found in outside_requests(root)
    ]
