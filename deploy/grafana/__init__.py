"""Grafana's boards as code: `python -m deploy.grafana [--check]` writes `dashboards/*.json` from `boards.yaml`."""
