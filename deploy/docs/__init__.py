"""Pages of the documentation that are made from the contracts: `python -m deploy.docs [--check]`."""
