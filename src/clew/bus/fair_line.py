"""The line of runs that wait for a place in this process: projects take turns, runs of one stay in order."""

from collections import OrderedDict

from clew.core.decisions import RunState


class FairLine:
    """Runs that wait, each with its state if this process owns it already."""

    def __init__(self) -> None:
        self._projects: OrderedDict[str, dict[str, RunState | None]] = OrderedDict()
        self._project_of: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._project_of)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._project_of

    def add(self, run_id: str, claimed: RunState | None, project: str) -> None:
        """Put a run at its project's end; one that waits already keeps its place."""
        project = self._project_of.setdefault(run_id, project)
        self._projects.setdefault(project, {})[run_id] = claimed

    def next(self) -> tuple[str, RunState | None]:
        """Take out the run whose turn it is; there must be one."""
        project = next(iter(self._projects))
        self._projects.move_to_end(project)
        run_id = next(iter(self._projects[project]))
        return run_id, self.remove(run_id)

    def remove(self, run_id: str) -> RunState | None:
        """Take a run out, if it waits."""
        project = self._project_of.pop(run_id, None)
        if project is None:
            return None
        waiting = self._projects[project]
        claimed = waiting.pop(run_id)
        if not waiting:
            del self._projects[project]
        return claimed

    def has_share(self, project: str, of: int) -> bool:
        """Whether a project has its equal part of so many places, or more."""
        own = len(self._projects.get(project, ()))
        projects = len(self._projects) + (not own)
        return own * projects >= of

    def clear(self) -> None:
        """Forget them all."""
        self._projects.clear()
        self._project_of.clear()
