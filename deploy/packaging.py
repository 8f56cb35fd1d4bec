"""The build hook that lets this project be installed in place only (docs/decisions: how Callout is packaged)."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ADVICE = (
    "Callout is an application, not a library: a wheel of it would put top-level packages named `services`, `shared` "
    "and `deploy` into somebody's site-packages. Install it in place, into an environment of its own: "
    "`make venv`, or `python -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[embedded]'`."
)


class InPlaceOnly(BuildHookInterface):  # type: ignore[misc] # untyped to us
    """Refuses every wheel but the one of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Stop the build of a wheel that others could install."""
        del build_data
        if self.target_name == "wheel" and version != "editable":
            raise RuntimeError(ADVICE)
