"""The batch that is being handled, and the index of the record in it that the handler was called with."""

from typing import Any, Optional

#: None during init.
batch: Any = None
#: None during init and while effects are handed over.
index: Optional[int] = None
#: The number of calls so far.
call = 0
