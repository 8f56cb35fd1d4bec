"""What is decided about files: their life, which cases they are in, their names and types, what an upload may do.

Pure functions. Read `attachment` (what is known of a file), then `life` (what happens to it), then the rest.
"""

from services.attachment.domain.attachment import Attachment, Event, Outcome
from services.attachment.domain.case_files import CaseFiles, Change, follow
from services.attachment.domain.life import decide

__all__ = ["Attachment", "CaseFiles", "Change", "Event", "Outcome", "decide", "follow"]
