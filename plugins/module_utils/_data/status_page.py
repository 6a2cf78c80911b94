# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private to mlops.mlflow_aws: the state of all projects as one HTML page, purely.

The page is one file without scripts, and asks no network for anything; its policy forbids it to. Charts
are SVG, and each figure in them stands in a table or in its label, too. All texts are escaped.
"""

from __future__ import annotations

import html
import typing as t

from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data import charts, status_table
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data.charts import Bar
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._data.status import (
    ABSENT,
    PRESENT,
    STOPPED,
    UNLISTED,
    when,
)
from ansible_collections.mlops.mlflow_aws.plugins.module_utils._sizes import readable

TITLE = "MLflow projects"
# Old enough that somebody should look.
_OLD_DAYS, _DAY = 7, 86400
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_CAPTION = "Numbers include deleted experiments and runs until they are removed for good."
_MILLION = 1_000_000
_NUMBERS = {"EXPERIMENTS", "RUNS", "POINTS", "TRACES", "MODELS"}
_TITLES = {
    "PROJECT": "Project",
    "STATE": "State",
    "SCHEMA": "MLflow and schema",
    "EXPERIMENTS": "Experiments",
    "RUNS": "Runs",
    "POINTS": "Metric points",
    "TRACES": "Traces",
    "MODELS": "Models",
    "ARTIFACTS": "Artifacts",
    "CONTENT": "Content",
    "BACKUP": "Newest backup",
    "REHEARSED": "Last rehearsal",
    "CONNECTED": "Connected",
}
_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --text: #1c2430; --soft: #5a6675;
  --line: #dde2e8; --bar: #2a6fb0; --bad: #a8321f; --bad-back: #fdeeea; --good: #1f6f43; --warn: #845400; }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --card: #1d232a; --text: #e6eaef;
  --soft: #a0acb9; --line: #343d47; --bar: #6aaae4; --bad: #ff9d8a; --bad-back: #3a211c; --good: #7fd0a2;
  --warn: #f0bd6a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main, header, footer { max-width: 90rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
p { margin: .3rem 0; }
.soft { color: var(--soft); }
.break { overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.1rem;
  margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0;
  padding: 0; list-style: none; }
.tiles li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; }
.tiles b { display: block; font-size: 1.45rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1rem;
  align-items: start; }
.charts section { margin: 0; }
.problems { border-color: var(--bad); background: var(--bad-back); }
.problems h2 { color: var(--bad); }
ul { margin: .3rem 0; padding-left: 1.2rem; }
li { overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem; }
th, td { text-align: left; padding: .45rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { font-size: .8rem; color: var(--soft); vertical-align: bottom; }
tbody th { font-weight: 600; }
.projects tbody th { min-width: 9.5rem; max-width: 16rem; overflow-wrap: anywhere; }
.projects td { min-width: 4.2rem; }
td.number, th.number { text-align: right; white-space: nowrap; }
td small, th small { display: block; color: var(--soft); font-weight: 400; overflow-wrap: anywhere; }
.bad { color: var(--bad); } .warn { color: var(--warn); } .good { color: var(--good); }
code { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
svg { display: block; overflow: visible; }
svg text { fill: var(--text); font-size: 13px; font-family: inherit; }
svg .axis { fill: var(--soft); font-size: 12px; }
svg .back { fill: var(--line); opacity: .5; }
svg .bar { fill: var(--bar); } svg .bar.warn { fill: var(--warn); } svg .bar.bad { fill: var(--bad); }
svg line { stroke: var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem .9rem; margin: .3rem 0 .8rem; }
dt { color: var(--soft); } dd { margin: 0; font-variant-numeric: tabular-nums; }
footer { padding-bottom: 2rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 60rem) {
  .projects thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  .projects, .projects tbody, .projects caption { display: block; }
  .projects tr { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .35rem .8rem;
    padding: .7rem 0; border-bottom: 1px solid var(--line); }
  .projects th, .projects td { display: block; padding: 0; border: 0; text-align: left; overflow-wrap: anywhere;
    white-space: normal; }
  .projects tbody th { grid-column: 1 / -1; font-size: 1.05rem; }
  .projects td::before { content: attr(data-title); display: block; color: var(--soft); font-size: .78rem; }
  .projects td.nothing { display: none; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000; --soft: #444; --line: #bbb; --bar: #2a6fb0;
    --bad: #8f2313; --bad-back: #fff; --good: #14532f; --warn: #6b4400; }
  @page { size: A4 landscape; margin: 12mm; }
  body { font-size: 10px; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main, header, footer { max-width: none; padding: 0; }
  section, .tiles li { break-inside: avoid; border-radius: 0; }
  section.long { break-inside: auto; } tr { break-inside: avoid; } thead { display: table-header-group; }
  .wide { overflow: visible; } th, td { padding: .2rem .3rem; } thead th { white-space: normal; }
}
"""

Record = t.Mapping[str, t.Any]


def page(document: Record) -> str:
    """Return the page of a document of status.py."""
    rows = document["projects"]
    parts = [
        _tiles(document),
        _problems(document["problems"]),
        _charts(document),
        _projects(document),
        _database(document["database"]),
        _cost(document["cost"]),
    ]
    content = "\n".join(part for part in parts if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>{TITLE}: {len(rows)}, {_e(when(document["at"]))}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{TITLE}</h1>
<p class="soft break">{_e(status_table.heading(document))}</p>
</header>
<main>
{content}
</main>
<footer>
<p>Written by the playbook status of mlops.mlflow_aws. The file beside it with the suffix .json has all figures.</p>
</footer>
</body>
</html>
"""


def _e(value: t.Any) -> str:
    """Return a text as HTML."""
    return html.escape(str(value), quote=True)


def _tiles(document: Record) -> str:
    """Return the figures of all projects together."""
    rows = document["projects"]
    states = [row["state"] for row in rows]
    more = [
        f"{states.count(state)} {word}"
        for state, word in ((STOPPED, "stopped"), (ABSENT, "absent"), (UNLISTED, "not in the list"))
        if state in states
    ]
    known = [row for row in rows if row["counts"]]
    found = [row["artifacts"] for row in rows if row["artifacts"]]
    tiles = [
        (str(states.count(PRESENT)), "projects present", ", ".join(more)),
        (_sum(known, "runs"), "runs", f"{_sum(known, 'experiments')} experiments"),
        (_sum(known, "metric_points"), "metric points", f"{_sum(known, 'traces')} traces"),
        (
            readable(sum(one["bytes"] for one in found)) if found else status_table.NONE,
            "of artifacts",
            f"{sum(one['objects'] for one in found):,} objects",
        ),
        (*_oldest(rows, document["at"]), "of projects with data"),
    ]
    if document["cost"]:
        cost = document["cost"]
        tiles.append((f"${cost['dollars']:,.2f}", "estimate of the month", cost["month"]))
    items = "".join(
        f"<li><b>{_e(value)}</b> {_e(what)}<br><small class='soft'>{_e(note)}</small></li>"
        for value, what, note in tiles
    )
    return f'<ul class="tiles" aria-label="All projects">{items}</ul>'


def _oldest(rows: t.Sequence[Record], now: int) -> tuple[str, str]:
    """Return the figure for backups: how many projects have none, else the age of the oldest newest one."""
    kept = [row for row in rows if row["known"] and row["state"] in (PRESENT, STOPPED)]
    without = [row for row in kept if not row["backup"]]
    if without:
        return str(len(without)), "without a backup"
    ages = [now - row["backup"]["created"] for row in kept]
    return (
        status_table.age(max(ages)) if ages else status_table.NONE
    ), "oldest of the newest backups"


def _sum(rows: t.Iterable[Record], name: str) -> str:
    """Return how many there are of all projects."""
    number = sum(row["counts"].get(name, 0) for row in rows)
    return f"{number / _MILLION:,.1f} M" if number >= _MILLION else f"{number:,}"


def _problems(problems: t.Sequence[str]) -> str:
    """Return what could not be read."""
    if not problems:
        return ""
    items = "".join(f"<li>{_e(problem)}</li>" for problem in problems)
    return (
        '<section class="problems" aria-labelledby="problems">'
        f'<h2 id="problems">Could not be read</h2><ul>{items}</ul></section>'
    )


def _charts(document: Record) -> str:
    """Return the charts."""
    rows, now = document["projects"], document["at"]
    points = [
        Bar(_name(row, rows), row["counts"]["metric_points"], f"{row['counts']['metric_points']:,}")
        for row in rows
        if row["counts"].get("metric_points")
    ]
    stored = [
        Bar(_name(row, rows), row["artifacts"]["bytes"], readable(row["artifacts"]["bytes"]))
        for row in rows
        if row["artifacts"] and row["artifacts"]["bytes"]
    ]
    ages = [
        _age_bar(_name(row, rows), now - row["backup"]["created"]) for row in rows if row["backup"]
    ]
    drawn = [
        charts.bars("points", "Metric points", points, lambda value: f"{value:,.0f}"),
        charts.bars("bytes", "Artifacts", stored, readable),
        charts.bars("ages", "Age of the newest backup", ages, status_table.age),
    ]
    days = (document["database"] or {}).get("days")
    if days:
        drawn.append(
            charts.days("capacity", f"ACU hours a day, {document['database']['month']}", days)
        )
    sections = "".join(f"<section>{chart}</section>" for chart in drawn if chart)
    return f'<div class="charts">{sections}</div>' if sections else ""


def _name(row: Record, rows: t.Sequence[Record]) -> str:
    """Return a project's name, with its host where there are several."""
    several = len({one["host"] for one in rows}) > 1
    return f"{row['name']} ({row['host']})" if several else str(row["name"])


def _age_bar(name: str, seconds: float) -> Bar:
    """Return the bar of a backup; one that is old says so in its label, too."""
    old = seconds > _OLD_DAYS * _DAY
    label = status_table.age(seconds) + (" (old)" if old else "")
    return Bar(name, max(0, seconds), label, "warn" if old else "")


def _projects(document: Record) -> str:
    """Return the table of all projects."""
    rows, now = document["projects"], document["at"]
    columns = {**status_table.columns(), "ARTIFACTS": _bytes}
    # It stands beside the schema.
    del columns["MLFLOW"]
    if not any(row["checksums"] for row in rows):
        del columns["CONTENT"]
    heads = "".join(
        f'<th scope="col" role="columnheader"{_numeric(name)}>{_TITLES[name]}</th>'
        for name in columns
    )
    body = "".join(_project(row, rows, columns, now) for row in rows)
    return f"""<section class="long" aria-labelledby="projects">
<h2 id="projects">Projects</h2>
<div class="wide"><table class="projects" role="table">
<caption>{_CAPTION} Ages are those of {_e(when(now))}.</caption>
<thead role="rowgroup"><tr role="row">{heads}</tr></thead>
<tbody role="rowgroup">{body}</tbody>
</table></div></section>"""


def _project(
    row: Record,
    rows: t.Sequence[Record],
    columns: t.Mapping[str, t.Callable[[Record, int], str]],
    now: int,
) -> str:
    """Return the row of a project."""
    notes = [note for note in (row["description"], row["owner"]) if note]
    notes_html = "".join(f"<small>{_e(note)}</small>" for note in notes)
    cells = [f'<th scope="row" role="rowheader">{_e(_name(row, rows))}{notes_html}</th>']
    for name, text in columns.items():
        if name == "PROJECT":
            continue
        value = text(row, now)
        kinds = ["number"] if name in _NUMBERS else []
        kinds += ["nothing"] if value == status_table.NONE else []
        kinds += [kind for kind in [_kind(name, row, now)] if kind]
        shown = f"<code>{_e(value)}</code>" if name == "CONTENT" else _e(value)
        if name == "SCHEMA" and row["revision"]:
            shown = f"{_e(row['mlflow'])}<br><code>{_e(value)}</code>"
        attribute = f' class="{" ".join(kinds)}"' if kinds else ""
        cells.append(
            f'<td role="cell" data-title="{_TITLES[name]}"{attribute}>{shown}{_more(name, row)}</td>'
        )
    return f'<tr role="row">{"".join(cells)}</tr>'


def _bytes(row: Record, _now: int) -> str:
    """Return the size of the artifacts."""
    return readable(row["artifacts"]["bytes"]) if row["artifacts"] else status_table.NONE


def _numeric(name: str) -> str:
    """Return the class of a column's head."""
    return ' class="number"' if name in _NUMBERS else ""


def _kind(name: str, row: Record, now: int) -> str:
    """Return how serious a cell is; its text says it, too."""
    if name == "STATE" and row["error"]:
        return "bad"
    if name == "SCHEMA" and row["state"] in (PRESENT, STOPPED):
        return "warn" if row["schema"] in ("older", "foreign", "empty") else ""
    if name == "BACKUP" and row["known"] and row["state"] in (PRESENT, STOPPED):
        found = row["backup"]
        return "warn" if not found or now - found["created"] > _OLD_DAYS * _DAY else ""
    if name == "REHEARSED" and row["rehearsal"] and not row["rehearsal"].get("same"):
        return "bad"
    return ""


def _more(name: str, row: Record) -> str:
    """Return what else is said in a cell."""
    deleted = row["deleted"]
    texts = {
        "STATE": "not read completely" if row["error"] else "",
        "EXPERIMENTS": f"{deleted['experiments']:,} deleted" if deleted.get("experiments") else "",
        "RUNS": f"{deleted['runs']:,} deleted" if deleted.get("runs") else "",
        "ARTIFACTS": f"{row['artifacts']['objects']:,} objects" if row["artifacts"] else "",
        "BACKUP": readable(row["backup"]["bytes"]) if row["backup"] else "",
        "SCHEMA": f"{row['engine']}, {readable(row['database_bytes'])}" if row["engine"] else "",
    }
    return f"<small>{_e(texts[name])}</small>" if texts.get(name) else ""


def _database(database: Record | None) -> str:
    """Return what is known of the database on AWS."""
    if not database:
        return ""
    reasons = "".join(f"<li>{_e(reason)}</li>" for reason in database["awake_by"])
    if not database.get("cluster"):
        return _section("database", "Database", f"<ul>{reasons}</ul>")
    pauses = status_table.pause_rule(database) if database["pauses"] else "no"
    facts = [
        ("Cluster", f"{database['cluster']}, {database['engine_version'] or 'version unknown'}"),
        ("Capacity", status_table.capacity({**database, "pauses": False})),
        ("Can pause", f"yes, {pauses}" if database["pauses"] else pauses),
        ("Connections", _known(database.get("connections"))),
        (
            "Storage",
            readable(database["storage_bytes"])
            if database.get("storage_bytes") is not None
            else "unknown",
        ),
    ]
    items = "".join(f"<dt>{_e(name)}</dt><dd class='break'>{_e(text)}</dd>" for name, text in facts)
    awake = (
        f"<h3>What keeps it awake</h3><ul>{reasons}</ul>"
        if reasons
        else ("<p>Nothing keeps it awake.</p>" if database["pauses"] else "")
    )
    return _section("database", "Database", f"<dl>{items}</dl>{awake}")


def _known(value: t.Any) -> str:
    """Return a number, or that it is not known."""
    return "unknown" if value is None else f"{value:,}"


def _cost(cost: Record | None) -> str:
    """Return the estimate, and on what it rests."""
    if not cost:
        return ""
    parts = "".join(
        f'<tr><th scope="row">{_e(part["name"])}</th><td class="number">{part["dollars"]:,.2f}</td></tr>'
        for part in cost["parts"]
    )
    total = (
        '<tr><th scope="row">Whole month</th>'
        f'<td class="number"><b>{cost["dollars"]:,.2f}</b></td></tr>'
    )
    rests = "".join(f"<li>{_e(sentence)}.</li>" for sentence in cost["rests_on"])
    table = (
        "<table style='max-width: 30rem'><caption>US dollars</caption>"
        "<thead><tr><th scope='col'>What</th><th scope='col' class='number'>Estimate</th></tr></thead>"
        f"<tbody>{parts}{total}</tbody></table>"
    )
    title = f"Estimated cost of {cost['month']}" if cost["month"] else "Estimated cost of a month"
    return _section("cost", title, f"{table}<h3>What it rests on</h3><ul>{rests}</ul>")


def _section(name: str, title: str, content: str) -> str:
    """Return a section with a title."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{_e(title)}</h2>{content}</section>'
