"""Makes dashboard.json: `python k8s/components/monitoring/make_dashboard.py` writes it, a test compares."""

import json
from itertools import count
from pathlib import Path
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = 'namespace="$namespace", pod=~"$pod"'
OVER = "[$__rate_interval]"
WIDTH, HEIGHT, COLUMNS = 8, 8, 24

Query = tuple[str, str]
"""PromQL, with @ for the labels that select the pods, and the legend."""


def quantiles(metric: str, by: str = "") -> list[Query]:
    """Return the median and the 95th percentile of a histogram."""
    grouped, name = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    return [
        (f"histogram_quantile({q}, sum by ({grouped}) (rate({metric}_bucket{{@}}{OVER})))", f"{name}{shown}")
        for q, shown in ((0.5, "median"), (0.95, "95 %"))
    ]


def mean(metric: str, by: str) -> list[Query]:
    """Return the mean of a histogram."""
    sums, counts = (f"sum by ({by}) (rate({metric}_{what}{{@}}{OVER}))" for what in ("sum", "count"))
    return [(f"{sums} / {counts}", f"{{{{{by}}}}}")]


ROWS: dict[str, list[tuple[str, str, str, list[Query]]]] = {
    "Requests and tasks": [
        (
            "Requests",
            "reqps",
            "Responses to /predict by status.",
            [(f'sum by (status) (rate(rtmlib_requests_total{{route="/predict", @}}{OVER}))', "{{status}}")],
        ),
        (
            "Latency",
            "s",
            "Duration of requests to /predict; a request may have hundreds of tasks.",
            [
                (
                    f"histogram_quantile({q}, sum by (le) "
                    f'(rate(rtmlib_request_seconds_bucket{{route="/predict", @}}{OVER})))',
                    n,
                )
                for q, n in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
            ],
        ),
        (
            "Errors of other routes",
            "reqps",
            "Responses with 4xx or 5xx, except /predict.",
            [
                (
                    "sum by (route, status) "
                    f'(rate(rtmlib_requests_total{{route!="/predict", status=~"4..|5..", @}}{OVER}))',
                    "{{route}} {{status}}",
                )
            ],
        ),
        (
            "Tasks",
            "ops",
            "Finished tasks by outcome.",
            [(f"sum by (outcome) (rate(rtmlib_tasks_total{{@}}{OVER}))", "{{outcome}}")],
        ),
        (
            "Failures",
            "short",
            "Failed tasks in the last 5 minutes, by reason.",
            [('sum by (reason) (increase(rtmlib_tasks_total{outcome="failed", @}[5m])) > 0', "{{reason}}")],
        ),
        (
            "Refused requests",
            "reqps",
            "Requests refused because of overload (503).",
            [
                (
                    f'sum(rate(rtmlib_requests_total{{route="/predict", status="503", @}}{OVER}))',
                    "refused",
                )
            ],
        ),
    ],
    "Where the time goes": [
        (
            "Time of a task by stage",
            "s",
            "Mean duration of each stage; stages are sequential.",
            mean("rtmlib_stage_seconds", "stage"),
        ),
        (
            "Slow stages",
            "s",
            "95th percentile of each stage.",
            quantiles("rtmlib_stage_seconds", "stage")[1:],
        ),
        (
            "Inference time of a batch",
            "s",
            "95th percentile by network, without queue wait.",
            quantiles("rtmlib_network_seconds", "network")[1:],
        ),
    ],
    "Saturation": [
        (
            "Tasks in hand and waiting",
            "short",
            "Each pod computes up to 16 tasks concurrently.",
            [("sum(rtmlib_tasks_in_hand{@})", "in hand"), ("sum(rtmlib_tasks_waiting{@})", "waiting")],
        ),
        (
            "Batch size",
            "short",
            "Mean crops per batch; above 1, requests share batches.",
            mean("rtmlib_network_batch_size", "network"),
        ),
        (
            "Event loop lag",
            "s",
            "Event loop lag of the entry process; above 1 s Label Studio shows 'Disconnected'.",
            [
                *quantiles("rtmlib_event_loop_lag_seconds")[1:],
                (
                    f"histogram_quantile(0.99, sum by (le) (rate(rtmlib_event_loop_lag_seconds_bucket{{@}}{OVER})))",
                    "99 %",
                ),
            ],
        ),
        (
            "Memory",
            "bytes",
            "Resident memory by process, and the pod's memory limit.",
            [
                ("max by (process) (rtmlib_resident_memory_bytes{@})", "{{process}}"),
                ("min(rtmlib_memory_limit_bytes{@})", "limit"),
            ],
        ),
        (
            "Process restarts",
            "short",
            "In the last 10 minutes.",
            [
                (
                    'sum by (process) (changes(rtmlib_process_start_time_seconds{process!="supervisor", @}[10m]))',
                    "{{process}}",
                )
            ],
        ),
        (
            "Pods by model version",
            "short",
            "More than one version means a rollout or a fault.",
            [
                (
                    "count by (model_version, mode, device, engine, precision) (rtmlib_model_info{@} == 1)",
                    "{{model_version}} on {{device}}, {{engine}}, {{precision}}",
                )
            ],
        ),
    ],
    "Predictions": [
        (
            "People per picture",
            "short",
            "Computed pictures only, without cache hits.",
            [
                (
                    f"sum(rate(rtmlib_picture_people_sum{{@}}{OVER}))"
                    f" / sum(rate(rtmlib_picture_people_count{{@}}{OVER}))",
                    "mean",
                ),
                *quantiles("rtmlib_picture_people")[1:],
            ],
        ),
        (
            "Confidence by part",
            "percentunit",
            "Mean score of the keypoints; missing parts count as 0.",
            mean("rtmlib_keypoint_confidence", "part"),
        ),
        (
            "Missing parts",
            "percentunit",
            "Share of people whose part was not found.",
            [
                (
                    f'sum by (part) (rate(rtmlib_keypoint_confidence_bucket{{le="0.0", @}}{OVER}))'
                    f" / sum by (part) (rate(rtmlib_keypoint_confidence_count{{@}}{OVER}))",
                    "{{part}}",
                )
            ],
        ),
    ],
    "Cache": [
        (
            "Lookups",
            "ops",
            "Hits in memory, in Redis and in running computations; and computed predictions.",
            [
                (f"sum by (tier) (rate(rtmlib_cache_hits_total{{@}}{OVER}))", "{{tier}}"),
                (f"sum(rate(rtmlib_cache_misses_total{{@}}{OVER}))", "computed"),
            ],
        ),
        ("Memory of the cache", "bytes", "In all pods.", [("sum(rtmlib_cache_bytes{@})", "bytes")]),
        (
            "Failures and evictions",
            "ops",
            "Failures of the shared cache by kind; evicted entries.",
            [
                (f"sum by (kind) (rate(rtmlib_cache_errors_total{{@}}{OVER}))", "{{kind}}"),
                (f"sum(rate(rtmlib_cache_evictions_total{{@}}{OVER}))", "evicted"),
            ],
        ),
    ],
    "Corrections by annotators": [
        (
            "Distance moved",
            "percentunit",
            "Mean in diagonals of the person's box, in the last day.",
            [
                (
                    "sum by (part) (increase(rtmlib_correction_distance_sum{@}[1d]))"
                    " / sum by (part) (increase(rtmlib_correction_distance_count{@}[1d]))",
                    "{{part}}",
                )
            ],
        ),
        (
            "Left alone",
            "percentunit",
            "Share of predicted keypoints that annotators did not move, in the last day.",
            [
                (
                    'sum by (part) (increase(rtmlib_correction_distance_bucket{le="0.0005", @}[1d]))'
                    " / sum by (part) (increase(rtmlib_correction_distance_count{@}[1d]))",
                    "{{part}}",
                )
            ],
        ),
        (
            "Annotations compared",
            "short",
            "In the last day, by outcome.",
            [("sum by (outcome) (increase(rtmlib_annotations_compared_total{@}[1d]))", "{{outcome}}")],
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    numbers, panels, y = count(1), [], 0
    for row, charts in ROWS.items():
        panels.append(
            {
                "id": next(numbers),
                "type": "row",
                "title": row,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            }
        )
        y += 1
        for place, chart in enumerate(charts):
            x = place * WIDTH % COLUMNS
            panels.append(_panel(next(numbers), chart, x, y + place * WIDTH // COLUMNS * HEIGHT))
        y += -(-len(charts) * WIDTH // COLUMNS) * HEIGHT
    return {
        "uid": "rtmlib-ml-backend",
        "title": "RTMLib ML Backend",
        "tags": ["label-studio", "rtmlib"],
        "schemaVersion": 39,
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "10s",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                _choice("namespace", "label_values(rtmlib_model_info, namespace)", several=False),
                _choice("pod", 'label_values(rtmlib_model_info{namespace="$namespace"}, pod)', several=True),
            ]
        },
        "panels": panels,
    }


def _choice(name: str, query: str, *, several: bool) -> dict[str, Any]:
    choice = {
        "name": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": query,
        "refresh": 2,
        "sort": 1,
    }
    return choice | ({"multi": True, "includeAll": True, "allValue": ".*"} if several else {})


def _panel(number: int, chart: tuple[str, str, str, list[Query]], x: int, y: int) -> dict[str, Any]:
    title, unit, description, queries = chart
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": DATASOURCE,
            "expr": expr.replace("@", CHOSEN),
            "legendFormat": name,
        }
        for i, (expr, name) in enumerate(queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": targets,
    }


if __name__ == "__main__":
    Path(__file__).with_name("dashboard.json").write_text(json.dumps(dashboard(), indent=1) + "\n")
