"""Reads /metrics with Prometheus' own, strict parser of OpenMetrics.

metrics.py PORT: prints all samples and the types of their families as one line of JSON.
"""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics", timeout=60) as answer:
    kind, text = answer.headers["Content-Type"], answer.read().decode()
assert kind.startswith("application/openmetrics-text"), kind
families = list(text_string_to_metric_families(text))
samples = [[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]
print(json.dumps({"samples": samples, "types": {family.name: family.type for family in families}}))
