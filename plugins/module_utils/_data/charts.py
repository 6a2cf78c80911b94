# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: bar charts as SVG for a page without scripts, purely.

Each bar has its figure beside it, and the whole chart a title and a description that says the same in
words, so that nobody needs to see colours or lengths.
"""

from __future__ import annotations

import html
import typing as t

# Of more bars than these, a line tells the rest.
MOST_BARS = 12
# In pixels, as charts are as wide as their place and their texts do not shrink with it.
_ROW, _TEXT, _BAR_TOP, _BAR = 38, 14, 20, 10
_NAME_LENGTH = 30
_DAYS_HEIGHT, _DAYS_TOP, _AXIS, _MONTH = 170, 22, 20, 31


class Bar(t.NamedTuple):
    """A bar: name, length in any unit, the figure as text, and a class such as warn."""

    name: str
    value: float
    label: str
    kind: str = ""


def bars(name: str, title: str, found: t.Sequence[Bar], text: t.Callable[[float], str]) -> str:
    """Return a chart of horizontal bars, the longest first; empty without one.

    text makes the figure of those that are left out.
    """
    if not found:
        return ""
    shown = sorted(found, key=lambda item: (-item.value, item.name))
    rest, shown = shown[MOST_BARS:], shown[:MOST_BARS]
    longest = max(item.value for item in shown) or 1
    parts = []
    for number, item in enumerate(shown):
        top = number * _ROW
        parts.append(
            f"<g><title>{_e(item.name)}: {_e(item.label)}</title>"
            f'<text x="0" y="{top + _TEXT}">{_e(_short(item.name))}</text>'
            f'<text class="axis" x="100%" y="{top + _TEXT}" text-anchor="end">{_e(item.label)}</text>'
            f'<rect class="back" x="0" y="{top + _BAR_TOP}" width="100%" height="{_BAR}" rx="3"/>'
            f'<rect class="{" ".join(["bar", item.kind]).strip()}" x="0" y="{top + _BAR_TOP}" '
            f'width="{max(0.6, 100 * item.value / longest):.1f}%" height="{_BAR}" rx="3"/></g>'
        )
    said = "; ".join(f"{item.name} {item.label}" for item in shown)
    return _figure(name, title, f"{said}.", len(shown) * _ROW, parts, _rest(rest, text))


def days(name: str, title: str, found: t.Sequence[t.Sequence[float]]) -> str:
    """Return a chart of upright bars for pairs of a day of a month and a figure."""
    most_day, longest = max(found, key=lambda pair: pair[1])
    bottom, step = _DAYS_HEIGHT - _AXIS, 100 / _MONTH
    parts = [
        f'<line x1="0" x2="100%" y1="{bottom}" y2="{bottom}"/>',
        f'<line x1="0" x2="100%" y1="{_DAYS_TOP}" y2="{_DAYS_TOP}"/>',
        f'<text class="axis" x="0" y="{_DAYS_TOP - 7}">{longest:.1f} on day {most_day:.0f}</text>',
    ]
    parts += [
        f'<text class="axis" x="{(day - 0.5) * step:.1f}%" y="{_DAYS_HEIGHT - 3}" '
        f'text-anchor="middle">{day}</text>'
        for day in (1, 5, 10, 15, 20, 25, 30)
    ]
    for day, value in found:
        height = (bottom - _DAYS_TOP) * value / (longest or 1)
        parts.append(
            f"<g><title>Day {day:.0f}: {value:.1f}</title>"
            f'<rect class="bar" x="{(day - 0.9) * step:.2f}%" y="{bottom - height:.1f}" '
            f'width="{0.8 * step:.2f}%" height="{height:.1f}"/></g>'
        )
    said = "; ".join(f"day {day:.0f} {value:.1f}" for day, value in found)
    return _figure(name, title, f"{said}.", _DAYS_HEIGHT, parts, "")


def _figure(
    name: str, title: str, said: str, height: int, parts: t.Iterable[str], note: str
) -> str:
    """Return a heading, and an SVG with its description."""
    return (
        f'<h2 id="{name}">{_e(title)}</h2>'
        f'<svg width="100%" height="{height}" role="img" aria-labelledby="{name} {name}-said" '
        'xmlns="http://www.w3.org/2000/svg">'
        f'<desc id="{name}-said">{_e(said)}</desc>{"".join(parts)}</svg>{note}'
    )


def _rest(rest: t.Sequence[Bar], text: t.Callable[[float], str]) -> str:
    """Return a line about the bars that are left out."""
    if not rest:
        return ""
    most = max(item.value for item in rest)
    return f'<p class="soft">And {len(rest)} more, each at most {_e(text(most))}.</p>'


def _short(name: str) -> str:
    """Return a name that fits beside its bar; the whole stands in its title."""
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _e(value: str) -> str:
    """Return a text as XML."""
    return html.escape(value, quote=True)
