"""Azure's own client, made forgiving: for lessons, samples and programs written for older versions.

``from clew.azure import AIProjectClient`` is azure-ai-projects' client with what people expect of it:
a plain key as credential, http on this machine, lists that can be reversed and indexed, and the names
that azure-ai-projects had before May 2025. Everything else is the vendor's.
"""

try:
    import azure.ai.agents  # noqa: F401
    import azure.ai.projects  # noqa: F401
except ImportError as error:
    from clew.installing import how_to_add

    raise ImportError(f"clew.azure stands on Azure's own packages: {how_to_add('azure')}") from error

from clew.azure.client import AgentsClient, AIProjectClient
from clew.azure.listing import Listing, MessageListing, MessagePage, Page

__all__ = ["AIProjectClient", "AgentsClient", "Listing", "MessageListing", "MessagePage", "Page"]
