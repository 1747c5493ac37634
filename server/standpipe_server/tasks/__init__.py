"""One module per task: a typed message into plain calls, and their outputs into a typed message.

``TASKS`` lists them. Not aware of gRPC, of models, or of how calls are batched.
"""

from standpipe_server.tasks.base import InputLimits, Task
from standpipe_server.tasks.embed_text import EMBED_TEXT

TASKS: tuple[Task, ...] = (EMBED_TEXT,)

__all__ = ["TASKS", "InputLimits", "Task"]
