"""Run the edge adapter: `python -m services.edge_adapter [--workers N]`."""

from services.edge_adapter.app import build
from services.edge_adapter.settings import EdgeAdapterSettings
from shared.process import main

if __name__ == "__main__":
    main(EdgeAdapterSettings, build)
