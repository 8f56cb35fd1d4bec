"""Run the agent: `python -m callout_agent run|check|enroll`."""

import sys

from callout_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
