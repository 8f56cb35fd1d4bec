"""How `callout up` tells what it does: a progress bar on a terminal, plain lines elsewhere."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.embedded.supervisor import Restart

PLAIN_STEP = 10


class Output:
    """Hears the progress of a stack and prints it."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, markup=False)

    def downloading(self, done: int, total: int) -> None:
        """Show how many jars of Kafka are there."""
        if not self.console.is_terminal:
            if done % PLAIN_STEP == 0 or done == total:
                self.say(f"  downloading Apache Kafka, first start only: {done} of {total} files")
            return
        if self._bar is None:
            columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._task = self._bar.add_task("downloading Apache Kafka, first start only", total=total)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=done)
        if done == total:
            self._bar.stop()
            self._bar = None

    def starting(self, name: str) -> None:
        """Tell that a part begins to start."""
        self.say(f"{name}: starting")

    def ready(self, name: str, seconds: float) -> None:
        """Tell that a part is ready."""
        self.say(f"{name}: ready after {seconds:.1f} s")

    def restarted(self, restart: Restart) -> None:
        """Tell that a part died and runs again."""
        end = f"signal {-restart.exit_code}" if restart.exit_code < 0 else f"exit code {restart.exit_code}"
        self.say(f"{restart.name}: process {restart.dead_pid} ended ({end}), restarted as {restart.pid}")

    def limited(self, name: str, limits: str) -> None:
        """Tell what a part that is started does not do."""
        self.say(f"{name}: LIMITED: {limits}.")

    def lacking(self, name: str, advice: str) -> None:
        """Tell that a part is not there, and what to do."""
        self.say(f"{name}: NOT STARTED. {advice}")
