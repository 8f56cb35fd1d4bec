"""Run the gateway: `python -m services.gateway [--workers N]`."""

from services.gateway.app import build
from services.gateway.settings import GatewaySettings
from shared.process import main

if __name__ == "__main__":
    main(GatewaySettings, build)
