"""Asks the service of this container whether it is ready: exit 0 if it is; for `HEALTHCHECK` of the image."""

import http.client
import os
import sys

PORT = int(os.environ.get("CALLOUT_HEALTH_PORT", "8080"))
PATIENCE_SECONDS = 3


def main() -> int:
    """Return 0 if the service says that it is ready, else say why not and return 1."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace").strip())  # noqa: T201 - the engine shows it
        return 0 if answer.status == http.client.OK else 1
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {type(error).__name__}")  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
