"""/status: the content of /status.json as a page. Its script fetches the page again and replaces the old content."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from wsgi_runtime.policy import sources

HTML = Path(__file__).with_name("status.html").read_text()

POLICY = (
    f"default-src 'none'; style-src {' '.join(sources(HTML, 'style'))}; "
    f"script-src {' '.join(sources(HTML, 'script'))}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: its own style and script only."""

PERCENTILES = "p50", "p95", "p99"

CHART_WIDTH, CHART_HEIGHT = 300, 60
"""Size of a chart, in units of its SVG."""


def render(status: dict[str, Any]) -> bytes:
    """Return the page."""
    sections = _header, _requests, _workers, _programs, _errors, _settings
    return Template(HTML).substitute(main="\n".join(section(status) for section in sections)).encode()


def _header(status: dict[str, Any]) -> str:
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in status["problems"])
    since = status["since"].replace("T", " ")[:19]
    versions = ", ".join(f"{name} {version}" for name, version in status["versions"].items())
    return f"""
<header class="{"healthy" if status["healthy"] else "unhealthy"}">
<h1>{"Healthy" if status["healthy"] else "Unhealthy"}</h1>
{f"<ul>{problems}</ul>" if problems else ""}
<p>As of {_clock(status["time"])} UTC. Since {since} UTC, {_duration(status["uptime"])}.</p>
<p>{escape(versions)}</p>
</header>"""


def _requests(status: dict[str, Any]) -> str:
    points, last = status["history"]["points"], status["history"]["points"][-1]
    percentiles = (f'<b class="{name}"><small>{name}</small> {_milliseconds(last[name])}</b>' for name in PERCENTILES)
    busiest = max(point["requests_per_second"] for point in points)
    worst = max(point["error_ratio"] for point in points)
    slowest = max(point["p99"] or 0 for point in points)
    cards = (
        (
            "Requests per second",
            f'<b id="rate">{last["requests_per_second"]:.1f}</b>',
            _chart(points, busiest, requests="requests_per_second"),
            f"peak {busiest:.1f}",
            f'<span id="total">{status["requests"]:,}</span> in total',
        ),
        (
            "Server errors (5xx)",
            f"<b>{last['error_ratio']:.1%}</b>",
            _chart(points, worst, errors="error_ratio"),
            f"peak {worst:.1%}",
            f"{sum(point['errors'] for point in points):,} errors",
        ),
        (
            "Response time",
            f"<div>{''.join(percentiles)}</div>",
            _chart(points, slowest, p99="p99", p95="p95", p50="p50"),
            f"peak {_milliseconds(slowest)}",
            f"{status['in_flight']} in flight",
        ),
    )
    drawn = "".join(
        f'<section class="card"><h3>{title}</h3>{now}{chart}<p><span>{highest}</span><span>{total}</span></p></section>'
        for title, now, chart, highest, total in cards
    )
    minutes = len(points) * status["history"]["seconds_each"] // 60
    return f'<h2>Requests, the last {minutes} minutes</h2><div class="cards">{drawn}</div>'


def _chart(points: list[dict[str, Any]], top: float, **lines: str) -> str:
    """Return an SVG with one line for each CSS class; `top` is the value at its upper edge."""
    step, scale = CHART_WIDTH / (len(points) - 1), (CHART_HEIGHT - 6) / (top or 1)
    drawn = ""
    for line, name in lines.items():
        heights = [CHART_HEIGHT - 2 - (point[name] or 0) * scale for point in points]
        places = " ".join(f"{index * step:.1f},{height:.1f}" for index, height in enumerate(heights))
        drawn += f'<polyline class="{line}" points="{places}"/>'
    size = f"0 0 {CHART_WIDTH} {CHART_HEIGHT}"
    return f'<svg viewBox="{size}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'


def _workers(status: dict[str, Any]) -> str:
    timeout = next(int(row["value"]) for row in status["settings"] if row["name"] == "REQUEST_TIMEOUT")
    squares = []
    for worker in status["workers"]:
        longest = worker["running"][0] if worker["running"] else None
        state = label = worker["state"]
        if longest:
            share = longest["seconds"] / timeout
            state = "hangs" if share > 1 else "late" if share > 0.2 else "busy"
            label = f"{state if share > 1 else 'busy'} {_duration(longest['seconds'])}"
        more = f" and {len(worker['running']) - 1} more" if len(worker["running"]) > 1 else ""
        squares.append(f"""
<li class="{state}"><span>Worker {worker["id"]}</span><strong>{label}</strong>
{f"<b>{escape(longest['endpoint'])}</b><code>{escape(longest['path'][:80])}</code>{more}" if longest else ""}
<small>{worker["memory"] / 1e6:.0f} MB, {worker["requests"]:,} requests</small></li>""")
    return f'<h2>Workers</h2><ul class="workers">{"".join(squares)}</ul>'


def _programs(status: dict[str, Any]) -> str:
    asked = sum(status["cache"].values())
    hits = f"{status['cache'].get('hit', 0) / asked:.0%} of {asked:,}" if asked else "not used"
    programs = {name: f"{state}, {status['restarts'][name]} restarts" for name, state in status["programs"].items()}
    queue = "unknown" if status["queue"] is None else status["queue"]
    cards = {
        "Connections to Nginx": status["connections"],
        "Requests now": {"waiting for a worker": queue, "in flight": status["in_flight"], "cache hits": hits},
        "Programs": programs,
        "Since the start": {
            "worker respawns": status["respawns"],
            "workers over REQUEST_TIMEOUT": status["kills"],
            "reloads, failed reloads": f"{status['reloads'].get('success', 0)}, {status['reloads'].get('failure', 0)}",
            "exceptions": sum(status["exceptions"].values()),
        },
    }
    drawn = (
        f'<section class="card"><h3>{title}</h3><dl>'
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in rows.items())
        + "</dl></section>"
        for title, rows in cards.items()
    )
    return f'<h2>Connections and programs</h2><div class="cards">{"".join(drawn)}</div>'


def _errors(status: dict[str, Any]) -> str:
    if not status["errors"]:
        return '<h2>Last errors</h2><p class="note">None since the start.</p>'
    rows = "".join(
        f"<tr><td>{_clock(error['time'])}</td><td>{error['status']}</td>"
        f"<td>{escape(error['method'])} {escape(error['path'])}</td><td>{escape(error['exception'])}</td>"
        f"<td>{_milliseconds(error['duration'])}</td><td><code>{escape(error['request_id'])}</code></td></tr>"
        for error in status["errors"]
    )
    names = "".join(f"<th>{name}</th>" for name in ("time", "status", "request", "exception", "duration", "request ID"))
    return f'<h2>Last errors</h2><table id="errors"><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>'


def _settings(status: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{row['name']}</code></td><td>{escape(row['value']) or '(none)'}</td>"
        f'<td class="origin">{row["origin"]}</td></tr>'
        for row in status["settings"]
    )
    head = "<thead><tr><th>name</th><th>value</th><th>from</th></tr></thead>"
    return f'<h2>Settings</h2><table id="settings">{head}<tbody>{rows}</tbody></table>'


def _clock(time: str) -> str:
    return time[11:19]


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h" if minutes < 6000 else f"{minutes // 1440} days"
