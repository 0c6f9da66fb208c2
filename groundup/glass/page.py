"""An explanation as one HTML page that needs nothing else: for each kernel its stages side by side.

Must not know how a stage comes about.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from .colours import DARK, PALETTE, Colours
from .course import Call
from .explanation import HEADS, row, seconds_text, written_at
from .text import axes_in, pieces

if TYPE_CHECKING:
    from .explanation import Explanation

OPEN = 6  # kernels whose stages are open at first
CODED = 40  # different kernels, the slowest, whose IR and assembly the page holds
NOT_HERE = "; in gu.explain(…).stages"
CHIPS = 24  # axes that are listed above
BEGINS = "<!DOCTYPE html>\n<!-- written by groundup explain -->\n"  # every page
COLUMNS = ("as written", "fused kernel", "loops", "LLVM IR", "assembly")

_STYLE = """
.gu-glass{--line:#dcdfe4;--dim:#6b7280;--soft:#f6f7f9;--ink:#1f2328;--paper:#fff;--note:#6b7580;
 --bar:#2176ae;color:var(--ink);background:var(--paper);font:14px/1.45 system-ui,sans-serif;
 padding:20px 24px}
.gu-glass h1{font-size:20px;margin:0 0 4px}.gu-glass h2{font-size:15px;margin:22px 0 8px}
.gu-glass p{margin:2px 0;color:var(--dim);overflow-wrap:anywhere}
.gu-glass pre{margin:0;font:12px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,monospace;
 white-space:pre;tab-size:8;color:inherit;background:none;padding:0;border:0}
.gu-glass .axes{display:flex;flex-wrap:wrap;gap:6px;padding:8px 0;position:sticky;top:0;z-index:2;
 background:var(--paper)}
.gu-glass .axes span{border:1px solid var(--line);border-radius:12px;padding:1px 10px;
 font-weight:600;cursor:default}
.gu-glass table{border-collapse:collapse;font-variant-numeric:tabular-nums}
.gu-glass td,.gu-glass th{padding:3px 14px 3px 0;text-align:right;color:inherit;background:none;
 border-bottom:1px solid var(--line);white-space:nowrap}
.gu-glass td:nth-child(2),.gu-glass th:nth-child(2){text-align:left;max-width:46ch;
 overflow:hidden;text-overflow:ellipsis}
.gu-glass th{font-weight:600;color:var(--dim)}
.gu-glass .times{max-height:70vh;overflow:auto}
.gu-glass .bar{display:inline-block;width:90px;height:8px;background:var(--soft);
 border:1px solid var(--line);margin-left:8px}
.gu-glass .bar i{display:block;height:100%;background:var(--bar)}
.gu-glass details{border:1px solid var(--line);border-radius:6px;margin:10px 0}
.gu-glass summary{padding:7px 12px;background:var(--soft);cursor:pointer;font-weight:600;
 overflow-wrap:anywhere}
.gu-glass summary em{font-weight:400;font-style:normal;color:var(--dim);margin-left:10px}
.gu-glass .stages{display:grid;border-top:1px solid var(--line);height:min(76vh,var(--high));
 grid-template:"w l i a" minmax(0,1fr) "f l i a" minmax(0,1fr)
 /minmax(0,1.1fr) minmax(0,1.5fr) minmax(0,1fr) minmax(0,.85fr)}
.gu-glass .stages>div{border-left:1px solid var(--line);overflow:auto;padding:0 10px 10px}
.gu-glass .called{display:grid;grid-template-columns:1fr 1fr;border-top:1px solid var(--line)}
.gu-glass .called>div{padding:0 10px 10px;overflow-x:auto}
.gu-glass .called>div+div{border-left:1px solid var(--line)}
.gu-glass .called h3{margin:0;padding:8px 0 6px;font-size:12px;color:var(--dim);font-weight:600}
.gu-glass .called pre{white-space:pre-wrap;overflow-wrap:anywhere}
.gu-glass .stages>div:nth-child(1){grid-area:w}
.gu-glass .stages>div:nth-child(2){grid-area:f;border-top:1px solid var(--line)}
.gu-glass .stages>div:nth-child(3){grid-area:l}.gu-glass .stages>div:nth-child(4){grid-area:i}
.gu-glass .stages>div:nth-child(5){grid-area:a}
.gu-glass .stages>div:nth-child(-n+2){border-left:0}
.gu-glass .stages>div:nth-child(-n+3) pre{white-space:pre-wrap;overflow-wrap:anywhere}
.gu-glass .l{display:block;min-height:1.5em}.gu-glass .l:empty::after{content:" "}
.gu-glass .stages h3{position:sticky;top:0;left:0;background:var(--paper);margin:0;
 padding:8px 0 6px;font-size:12px;color:var(--dim);font-weight:600}
.gu-glass .wide{overflow-x:auto}.gu-glass .c{color:var(--note)}
.gu-glass .x{font-weight:700;border-radius:3px}.gu-glass .on{outline:2px solid;outline-offset:0}
@media(min-width:1700px){.gu-glass .stages{grid-template:"w f l i a" minmax(0,1fr)
 /minmax(0,1fr) minmax(0,1fr) minmax(0,1.4fr) minmax(0,1fr) minmax(0,.85fr)}
 .gu-glass .stages>div:nth-child(2){border-top:0;border-left:1px solid var(--line)}}
@media(max-width:1150px){.gu-glass td:nth-child(2){max-width:24ch}
 .gu-glass .stages{height:min(120vh,2*var(--high));grid-template:"w l" minmax(0,1fr)
 "f l" minmax(0,1fr) "i a" minmax(0,1.6fr)/minmax(0,1fr) minmax(0,1.2fr)}
 .gu-glass .stages>div:nth-child(n+4){border-top:1px solid var(--line)}
 .gu-glass .stages>div:nth-child(4){border-left:0}}
@media(max-width:600px){.gu-glass{padding:12px}.gu-glass .stages{display:block;height:auto}
 .gu-glass .stages>div{max-height:60vh;border-left:0;border-top:1px solid var(--line)}}
@media(prefers-color-scheme:dark){.gu-glass{--line:#3a4048;--dim:#9aa4b0;--soft:#22272e;
 --ink:#e6e9ed;--paper:#16191d;--note:#87919d;--bar:#4da3dc}}
"""
# Whatever belongs to one axis is outlined while the pointer is on one of its names.
_SCRIPT = """
(root=>{const all=a=>root.querySelectorAll('[data-axis="'+CSS.escape(a)+'"]');
const at=(e,on)=>{const x=e.target.closest&&e.target.closest('[data-axis]');
if(x)all(x.dataset.axis).forEach(y=>y.classList.toggle('on',on))};
root.addEventListener('mouseover',e=>at(e,true));root.addEventListener('mouseout',e=>at(e,false))
})(document.currentScript.parentElement)
"""


def page(e: Explanation) -> str:
    """The whole page."""
    return (
        f'{BEGINS}<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        "<title>What becomes of it</title><style>body{margin:0}"
        "@media(prefers-color-scheme:dark){body{background:#16191d}}"
        ":root{color-scheme:light dark}</style></head><body>"
        f"{fragment(e)}</body></html>\n"
    )


def fragment(e: Explanation) -> str:
    """The page's content, which a notebook shows as well."""
    colours = Colours(axes_in("\n".join(e.marked(n) for n in ("expression", "kernels", "loops"))))
    parts = [f"<style>{_STYLE}{_axis_styles()}</style>", _head(e, colours), _times(e)]
    parts.append(f"<h2>Memory</h2><p>{html.escape(e.marked('memory'))}</p>")
    parts.append("<h2>Stage by stage</h2>")
    different = e.different()
    slowest = sorted(different, key=lambda i: -e.timings[i].seconds if e.timings else 0.0)
    coded = set(slowest[:CODED])
    coded |= {i for i in range(len(e.steps)) if i not in different}
    parts += [_step(e, i, colours, coded) for i in range(len(e.steps))]
    whole = _text(e.marked("expression"), colours)
    parts.append(f"<details><summary>The whole expression</summary><div class=wide "
                 f'style="padding:10px 12px"><pre>{whole}</pre></div></details>')  # fmt: skip
    return f'<div class="gu-glass">{"".join(parts)}<script>{_SCRIPT}</script></div>'


def _axis_styles() -> str:
    light = "".join(f".gu-glass .x{i}{{color:{c}}}" for i, c in enumerate(PALETTE))
    dark = "".join(f".gu-glass .x{i}{{color:{c}}}" for i, c in enumerate(DARK))
    return f"{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _head(e: Explanation, colours: Colours) -> str:
    calls = sum(isinstance(at, Call) for at in e.steps)
    kernels = len(e.steps) - calls
    count = f"{kernels} kernel{'' if kernels == 1 else 's'}"
    if calls:
        count += f" and {calls} host operation{'' if calls == 1 else 's'}"
    lines = dict.fromkeys(n.line for n in e.order() if n.line)
    where = "; ".join(html.escape(written_at(x)) for x in list(lines)[-3:])
    axes = list(colours.number)
    chips = "".join(
        f'<span class="x{colours.index(a)}" data-axis="{html.escape(a)}">{html.escape(a)}</span>'
        for a in axes[:CHIPS]
    )  # fmt: skip
    chips += f"and {len(axes) - CHIPS} more" if len(axes) > CHIPS else ""
    return (
        f"<h1>{len(e.order())} tensors become {count}</h1>"
        + (f"<p>{where}</p>" if where else "")
        + (f'<div class="axes">{chips}</div>' if chips else "")
    )


def _times(e: Explanation) -> str:
    heads = "".join(f"<th>{h}</th>" for h in HEADS)
    rows = []
    for i, t in enumerate(e.timings):
        *cells, share = (html.escape(c) for c in row(i, e.what(i), t))
        if share:
            width = min(100.0, 100 * t.share)
            share += f'<span class="bar"><i style="width:{width:.0f}%"></i></span>'
        rows.append(f"<tr>{''.join(f'<td>{c}</td>' for c in (*cells, share))}</tr>")
    what, total = e.total()
    rows.append(f"<tr><td></td><td>{what}</td><td>{total}</td>{'<td></td>' * 3}</tr>")
    return f'<h2>Time</h2><div class="times"><table><tr>{heads}</tr>{"".join(rows)}</table></div>'


def _step(e: Explanation, number: int, colours: Colours, coded: set[int]) -> str:
    at = e.steps[number]
    if isinstance(at, Call):
        return _call(e, number, colours)
    groups = at.step.groups
    texts = (
        "\n".join(e.tensors(e.own_tensors(number))),
        e.kernel(number),
        e.loops(number),
        e.ir(number) if number in coded else NOT_HERE,
        e.assembly(number) if number in coded else NOT_HERE,
    )
    columns = "".join(
        f"<div><h3>{name}</h3><pre>{_text(text, colours, i < 3)}</pre></div>"
        for i, (name, text) in enumerate(zip(COLUMNS, texts, strict=True))
    )
    lines = [text.count("\n") for text in texts]
    high = 80 + 18 * max(2 * max(lines[:2]) + 4, *lines[2:])  # of a screen with room for all
    return (
        f"<details{' open' if number < OPEN and groups else ''}>{_summary(e, number)}"
        f'<div class="stages" style="--high:{high}px">{columns}</div></details>'
    )


def _call(e: Explanation, number: int, colours: Colours) -> str:
    """A host operation: what it is given, and what computes it."""
    texts = "\n".join(e.tensors(e.own_tensors(number))), e.kernel(number)
    columns = "".join(
        f"<div><h3>{name}</h3><pre>{_text(text, colours)}</pre></div>"
        for name, text in zip((COLUMNS[0], "run by Python"), texts, strict=True)
    )
    return (
        f"<details{' open' if number < OPEN else ''}>{_summary(e, number)}"
        f'<div class="called">{columns}</div></details>'
    )


def _summary(e: Explanation, number: int) -> str:
    time = seconds_text(e.timings[number].seconds) if number < len(e.timings) else ""
    return (
        f"<summary>{e.title(number)}: {html.escape(e.what(number))}<em>{time}</em></summary>"
    )


def _text(marked: str, colours: Colours, hangs: bool = True) -> str:
    """Lines as HTML, each axis in its colour, comments grey; what is too long hangs below."""
    if not hangs:
        return "\n".join(_line(line, colours) for line in marked.split("\n"))
    lines = []
    for line in marked.split("\n"):
        deep = len(line) - len(line.lstrip(" ")) + 4
        style = f'style="padding-left:{deep}ch;text-indent:-{deep}ch"'
        lines.append(f'<span class="l" {style}>{_line(line, colours)}</span>')
    return "".join(lines)


def _line(marked: str, colours: Colours) -> str:
    parts: list[str] = []
    comment = False
    for axis, piece in pieces(marked):
        if axis:
            parts.append(
                f'<span class="x x{colours.index(axis)}" data-axis="{html.escape(axis)}">'
                f"{html.escape(piece)}</span>"
            )
            continue
        found = None if comment else _COMMENT.search(piece)
        if found:
            parts.append(html.escape(piece[: found.start()]))
            piece, comment = piece[found.start() :], True
        text = html.escape(piece)
        parts.append(f'<span class="c">{text}</span>' if comment else text)
    return "".join(parts)


_COMMENT = re.compile(r"(# |#$|^; )")
