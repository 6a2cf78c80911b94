# Copyright: (c) 2026, The mlops.mlflow_aws contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the door: the projects of a person, and signing in. Plain HTML that needs no JavaScript."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

STYLE_PATH = "/-/style.css"
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

STYLE = """\
:root { color-scheme: light dark; --line: #8884; --soft: #777; --accent: #0567c9; }
@media (prefers-color-scheme: dark) { :root { --accent: #6bb3ff; --soft: #999; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 56rem; padding: 1rem; }
header { display: flex; align-items: baseline; justify-content: space-between; gap: 1rem; flex-wrap: wrap; }
h1 { font-size: 1.4rem; margin: .5rem 0; }
header form { display: flex; gap: .75rem; align-items: baseline; color: var(--soft); margin: 0; }
ul { list-style: none; padding: 0; display: grid; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
li { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem 1rem; overflow-wrap: anywhere; }
li a { font-weight: 600; font-size: 1.1rem; }
a { color: var(--accent); }
li p { margin: .25rem 0 0; }
small { color: var(--soft); }
.state { float: right; font-size: .8rem; padding: 0 .5rem; border-radius: 1rem; border: 1px solid var(--line); }
main.sign-in { max-width: 22rem; margin: 10vh auto 0; }
label { display: block; margin: .75rem 0; }
input { display: block; width: 100%; font: inherit; padding: .4rem .5rem; }
button, .button { font: inherit; padding: .4rem .9rem; border: 1px solid var(--line); border-radius: .4rem;
  background: transparent; color: inherit; cursor: pointer; text-decoration: none; display: inline-block; }
.main { background: var(--accent); color: Canvas; border-color: transparent; }
.wrong { border-left: .25rem solid #c33; padding-left: .75rem; }
"""


# The one button that most people want.
MAIN = ' class="main"'


class Card(NamedTuple):
    """A project on the page."""

    name: str
    role: str
    state: str
    owner: str
    description: str


def projects(member: str, cards: Sequence[Card]) -> str:
    """Return the page with the projects that somebody may see."""
    listed = "\n".join(_card(card) for card in cards)
    body = (
        f"<ul>\n{listed}\n</ul>"
        if cards
        else "<p>You are not a member of any project yet; ask its owner.</p>"
    )
    return _page(
        "MLflow",
        f"""<header><h1>MLflow</h1>
<form method="post" action="/-/logout"><span>{_text(member)}</span><button>Sign out</button></form></header>
<main>
{body}
</main>""",
    )


def sign_in(following: str, wrong: str, *, issuer: str, passwords: bool) -> str:
    """Return the page to sign in, with what went wrong before; issuer: the name of the sign-in service, if any."""
    parts = [f'<p class="wrong" role="alert">{_text(wrong)}</p>'] if wrong else []
    target = _text(following)
    if issuer:
        parts.append(
            # A form would not do: browsers apply form-action to where it leads, too.
            f'<p><a class="button main" href="/-/start?next={_text(quote(following, safe=""))}">'
            f"Sign in with {_text(issuer)}</a></p>"
        )
    if passwords:
        parts.append(
            f'<form method="post" action="/-/login"><input type="hidden" name="next" value="{target}">'
            '<label>Name <input name="name" autocomplete="username" required autofocus></label>'
            '<label>Password <input name="password" type="password" autocomplete="current-password" required></label>'
            f"<button{'' if issuer else MAIN}>Sign in</button></form>"
        )
    if not issuer and not passwords:
        parts.append(
            "<p>Nobody can sign in yet; set mlflow_door_oidc, or give members a password.</p>"
        )
    return _page(
        "Sign in to MLflow",
        '<main class="sign-in"><h1>MLflow</h1>\n' + "\n".join(parts) + "\n</main>",
    )


def message(title: str, sentence: str) -> str:
    """Return a page with one sentence."""
    return _page(
        title,
        f'<main class="sign-in"><h1>{_text(title)}</h1><p>{_text(sentence)}</p><p><a href="/">Projects</a></p></main>',
    )


def _card(card: Card) -> str:
    """Return a project's entry."""
    owner = f" · {_text(card.owner)}" if card.owner else ""
    about = f"<p>{_text(card.description)}</p>" if card.description else ""
    return (
        f'<li><span class="state">{_text(card.state)}</span><a href="/{_text(card.name)}/">{_text(card.name)}</a>'
        f"{about}<p><small>{_text(card.role)}{owner}</small></p></li>"
    )


def _page(title: str, body: str) -> str:
    """Return a whole page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<link rel="stylesheet" href="{STYLE_PATH}">
</head>
<body>
{body}
</body>
</html>
"""


def _text(text: str) -> str:
    """Return text as HTML, also for attributes."""
    return html.escape(text, quote=True)
