"""What a reader needs in order to trust the page: what is missing, what differs, and what computed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from hetal.report.analyse.completeness import Missing
from hetal.report.analyse.confounds import differing
from hetal.report.load.reading import Reading
from hetal.report.page.markup import Row, many, section, table, text

# More lines than this help nobody; the rest is counted.
MOST = 500


def flags(found: Sequence[str], notes: Sequence[str]) -> str:
    """Return warnings: settings that differ along with the strategy, and what was left out; possibly nothing."""
    said = ""
    if found:
        said = _folded_warning(
            f"Not only the strategy differs ({len(found):,})",
            "what else differs may be what makes the difference",
            found,
        )
    if notes:
        said += _folded_warning(
            f"Left out ({len(notes):,})", "records that cannot be compared with the others", notes
        )
    return said


def completeness(lost: Sequence[Missing]) -> str:
    """Return what is missing, with the commands that run it."""
    if not lost:
        return section("completeness", "Completeness", "<p>Nothing is missing.</p>")
    rows = [
        Row([text(m.what), text(m.state), f"<td><code class='command'>{escape(m.command)}</code></td>"])
        for m in lost[:MOST]
    ]
    more = f"<p>and {len(lost) - MOST:,} more.</p>" if len(lost) > MOST else ""
    commands = list(dict.fromkeys(m.command for m in lost[:MOST] if m.command))
    together = (
        f"<details><summary>{many(len(commands), 'command')}, to copy</summary>"
        f"<pre class='command'>{escape(chr(10).join(commands))}</pre></details>"
        if len(commands) > 1
        else ""
    )
    shown = table(("run", "state", "command"), rows, "Runs that a complete comparison would have")
    return section("completeness", f"Completeness: {len(lost):,} missing", shown + more + together)


def provenance(reading: Reading) -> str:
    """Return what computed the runs, the settings they share and those that vary."""
    made: dict[str, Counter[str]] = {}
    for run in reading.runs:
        machine = {
            "CPU": run.machine.get("cpu", "not known"),
            "system": run.machine.get("system", "not known"),
        }
        for key, value in {**run.made_by, "commit": run.commit or "none", **machine}.items():
            made.setdefault(key, Counter())[str(value)] += 1
    lines = "".join(
        f"<tr><th scope='row'>{escape(key)}</th><td>"
        + ", ".join(escape(v) + (f" ({many(n, 'run')})" if len(c) > 1 else "") for v, n in c.most_common(6))
        + "</td></tr>"
        for key, c in made.items()
    )
    configs = [run.config for run in reading.runs]
    vary = set(differing(configs))
    varying = "".join(
        f"<tr><th scope='row'>{escape(key)}</th><td>{_values([c.get(key) for c in configs])}</td></tr>"
        for key in sorted(vary)
    )
    shared = "".join(
        f"<tr><th scope='row'>{escape(k)}</th><td>{escape(str(v))}</td></tr>"
        for k, v in sorted((configs[0] if configs else {}).items())
        if k not in vary
    )
    body = (
        f"<div class='scroll'><table class='facts'>{lines}</table></div>"
        f"{_folded('The settings that vary', varying)}{_folded('The settings that all runs share', shared)}"
    )
    return section(
        "provenance", "Provenance", body, "More than one value in a line: the runs do not share it."
    )


def _folded_warning(title: str, why: str, lines: Sequence[str]) -> str:
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<details class='warning'><summary><b>{title}</b>: {why}.</summary><ul>{listed}</ul></details>"


def _folded(title: str, lines: str) -> str:
    facts = f"<div class='scroll'><table class='facts'>{lines}</table></div>"
    return f"<details><summary>{title}</summary>{facts}</details>"


def _values(values: Sequence[object]) -> str:
    unique = list(dict.fromkeys("absent" if value is None else str(value) for value in values))
    return escape(", ".join(unique[:12])) + (f" and {len(unique) - 12} more" if len(unique) > 12 else "")
