"""A report as one self-contained HTML page, built from its Markdown; light or dark, as the reader prefers.

Everything in the Markdown stays text: HTML in it is shown, not interpreted. The page's policy forbids scripts
and external resources, so a mistake here could not load or run anything either.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from html import escape
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_RANGE = re.compile(r" \(([^()<]+ to [^()<]+)\)</td>")
"""The interval after a mean."""


def to_page(title: str, markdown: str, pictures: Mapping[str, bytes]) -> str:
    """`pictures` are the SVG files that `markdown` shows, by name."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    headings: list[str] = []
    for token, inner in pairwise(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            token.attrSet("id", f"part-{len(headings)}")
            headings.append(escape(inner.content))
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                child.attrSet("src", _data(pictures[str(child.attrGet("src"))]))
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    body = _RANGE.sub(
        r' <span class="range">\1</span></td>', parser.renderer.render(tokens, parser.options, {})
    )
    links = "".join(f'<a href="#part-{at}">{heading}</a>' for at, heading in enumerate(headings))
    return PAGE.format(policy=POLICY, style=STYLE, title=escape(title), nav=links, body=body)


def _data(picture: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture).decode('ascii')}"


def _table_open(*_: Any) -> str:
    return '<div class="wide" role="region" aria-label="table" tabindex="0"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}: experiment report</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="Parts of this report">{nav}</nav>
<main>
{body}</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --line: #d8dde2; --paper: #fff;
  --link: #0b62a8; --row: #f6f8fa }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --quiet: #9198a1; --line: #30363d; --paper: #0d1117;
    --link: #6cb6f5; --row: #151b23 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main, nav { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding-top: 1rem; font-size: .875rem }
nav a { color: var(--link); text-decoration: none }
nav a:hover, nav a:focus { text-decoration: underline }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1.4rem 0 .6rem }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .8rem; padding-top: .8rem; border-top: 1px solid var(--line) }
p, li { max-width: 46rem }
p:has(> img) { max-width: none; margin: 1rem 0 1.8rem; overflow-x: auto }
img { display: block; width: 100%; min-width: 40rem; max-width: 54rem; height: auto }
.wide { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums }
th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; white-space: nowrap }
th { color: var(--quiet); font-weight: 500; white-space: normal; min-width: 5.5rem; vertical-align: bottom }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--paper); font-weight: 600 }
tbody tr:hover td { background: var(--row) }
.range { display: block; color: var(--quiet); font-size: .9em }
pre { overflow: auto; max-height: 26rem; padding: .8rem 1rem; border: 1px solid var(--line);
  border-radius: 6px; background: var(--row); font-size: .82rem; line-height: 1.45 }
@media print { nav { display: none } pre { max-height: none } }
"""
