"""Manifests for a cluster, made from the same declaration as everything else: `python -m deploy.kubernetes`."""
