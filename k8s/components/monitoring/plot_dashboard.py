"""Draws the dashboard's panels from a Prometheus, where there is no Grafana: the picture of docs/operation.md.

`uv run --group bench python k8s/components/monitoring/plot_dashboard.py http://127.0.0.1:9090 dashboard.png`
"""

import argparse
import json
import re
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

UNITS = {
    "s": "s",
    "bytes": "MiB",
    "ops": "per second",
    "reqps": "per second",
    "percentunit": "%",
    "short": "",
}
FACTORS = {"bytes": 2**-20, "percentunit": 100.0}
COLUMNS = 3


def series(prometheus: str, expression: str, start: float, end: float, step: float) -> list[Any]:
    """Ask Prometheus for the lines of a query."""
    query = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": step})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{query}", timeout=30) as answer:  # noqa: S310 - named by the user
        return json.load(answer)["data"]["result"]


def named(legend: str, labels: dict[str, str]) -> str:
    """Put a line's labels into its name, as Grafana does."""
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def draw(
    axes: Axes, panel: dict[str, Any], lines: list[tuple[str, list[Any]]], start: float, length: float
) -> None:
    """Draw one panel."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for name, values in lines:
        seconds = [float(at) - start for at, _ in values]
        axes.plot(
            seconds, [float(value) * FACTORS.get(unit, 1) for _, value in values], label=name, linewidth=1.4
        )
    axes.set_title(panel["title"], loc="left", fontsize=10, fontweight="bold")
    axes.set_ylabel(UNITS[unit], fontsize=8)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.4)  # room for the names
    axes.set_xlim(0, length)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{int(x) // 60}:{int(x) % 60:02d}"))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(fontsize=6, loc="upper left", ncols=2)
    else:
        axes.text(
            0.5, 0.5, "nothing of this happened", transform=axes.transAxes, ha="center", fontsize=8, alpha=0.6
        )


def main() -> None:
    """Draw the panels over the last minutes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("prometheus")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rate-interval", default="20s")
    arguments = parser.parse_args()
    mpl.use("agg")
    end = time.time()
    start = end - 60 * arguments.minutes
    dashboard = json.loads(Path(__file__).with_name("dashboard.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    rows = -(-len(panels) // COLUMNS)
    figure, places = plt.subplots(rows, COLUMNS, figsize=(15, 2.6 * rows), layout="constrained")
    for axes, panel in zip(places.flat, panels, strict=False):
        lines: list[tuple[str, list[Any]]] = []
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", arguments.rate_interval)
            expression = re.sub(r'namespace="\$namespace", pod=~"\$pod"', "", expression)
            for line in series(arguments.prometheus, expression, start, end, 2):
                lines.append((named(target["legendFormat"], line["metric"]), line["values"]))
        draw(axes, panel, lines, start, end - start)
    for axes in list(places.flat)[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(arguments.picture, dpi=75)


if __name__ == "__main__":
    main()
