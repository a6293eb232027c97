"""The local pages of `andon github create-app`: what is asked for and why, and how it ended."""

from collections.abc import Iterable
from html import escape
from typing import Any

import msgspec

from andon.rules.github_permissions import Event, Permission

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 3rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #ccc; vertical-align: top }
code, pre { font: 14px/1.5 ui-monospace, monospace }
pre { background: #f3f3f3; padding: 1rem }
button { font: inherit; padding: .5rem 1.2rem; cursor: pointer }
form { display: inline-block; margin-right: 1rem }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #151515 } pre { background: #222 } th, td { border-color: #444 } a { color: #9cf }
}
"""


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def start_page(
    *,
    target: str,
    cancel: str,
    manifest: dict[str, Any],
    permissions: tuple[Permission, ...],
    events: tuple[Event, ...],
    owner: str,
) -> str:
    """Says what the App may do and why; its button sends the manifest to `target` at GitHub."""
    asked = _table(
        ("Permission", "Level", "Reason"),
        (
            (one.name, one.level, one.reason if one.needed else f"{one.reason} May be taken away on the next page.")
            for one in permissions
        ),
    )
    hook = manifest.get("hook_attributes")
    if hook is None:
        sent = "<p>It gets no webhook: Andon asks GitHub by itself.</p>"
    else:
        sent = f"<p>GitHub sends these events to <code>{escape(hook['url'])}</code>:</p>" + _table(
            ("Event", "Reason"), ((event.name, event.reason) for event in events)
        )
    text = escape(msgspec.json.encode(manifest).decode(), quote=True)
    return _page(
        "A GitHub App for Andon",
        f"<p>This makes a private App named <code>{escape(manifest['name'])}</code> for {escape(owner)}. "
        "It is installed afterwards, on the repositories that you choose.</p>"
        f"<p>It may do this, and no more:</p>{asked}{sent}"
        f'<form action="{escape(target, quote=True)}" method="post">'
        f'<input type="hidden" name="manifest" value="{text}"><button>Make it at GitHub</button></form>'
        f'<form action="{escape(cancel, quote=True)}" method="post"><button>Cancel</button></form>',
    )


def made_page(*, name: str, lines: str, install_url: str) -> str:
    """The App is there: what to put into the configuration, and where to install it."""
    return _page(
        f"{name} is made",
        f"<p>Its key and secret are written. Put this into the configuration:</p><pre>{escape(lines)}</pre>"
        f'<p>Then <a href="{escape(install_url, quote=True)}">install it</a> on your repositories. '
        "This page can be closed.</p>",
    )


def sentence_page(title: str, sentence: str) -> str:
    """One sentence."""
    return _page(title, f"<p>{escape(sentence)}</p>")
