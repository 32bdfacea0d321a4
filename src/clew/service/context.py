"""What the use cases stand on."""

from collections.abc import Callable

from msgspec import Struct, field

from clew.blobs.blobs import Blobs
from clew.bus.dispatch import Dispatch
from clew.bus.events import Events
from clew.core.records import Run
from clew.engine.lifecycle import Stopping
from clew.engine.shares import Shares
from clew.engine.watching import run_changed
from clew.model.catalogue import Models
from clew.net.guard import Guard
from clew.process import Process
from clew.service.refused import Refusals
from clew.store.database import Database
from clew.tools.searcher import Searcher
from clew.tools.sessions import Sessions
from clew.tools.toolbox import Toolbox
from clew.vault import Vault


class Services(Struct, frozen=True, kw_only=True):
    """Store, bus, time, ids and limits, as every use case is given them."""

    db: Database
    dispatch: Dispatch
    events: Events
    process: Process
    models: Models
    blobs: Blobs
    searcher: Searcher
    toolbox: Toolbox = field(default_factory=lambda: Toolbox({}))
    """The kinds of tools that this server runs."""
    sessions: Sessions | None = None
    """Where code runs, if any may."""
    run_expiry: int
    """Milliseconds after which an unfinished run expires."""
    outbound: Guard = field(default_factory=Guard)
    """Says which URLs of clients this server may ask."""
    shares: Shares = field(default_factory=Shares)
    """What each project may have of this process."""
    vault: Vault = field(default_factory=lambda: Vault(None))
    """Seals what the database need not know."""
    wake_webhooks: Callable[[], None] = lambda: None
    """To be called when the outbox may hold something new."""
    wake_ingestion: Callable[[], None] = lambda: None
    """To be called when files may have been added to a vector store, or taken out of one."""
    trouble: Callable[[], str | None] = lambda: None
    """Tells why this process should be sent no new requests now, if it should not."""

    refusals: Refusals = field(default_factory=Refusals)
    """Submissions that this process has refused."""

    stopping: Stopping = field(default_factory=Stopping)
    """Whether this process is about to stop."""

    def tell_of(self, run: Run) -> None:
        """Tell those who watch of a run that a commit has moved to another status."""
        hooks = self.process.hooks
        if hooks.run_changed:
            hooks.tell(run_changed(run, self.process.clock.now()))
