"""What a worker and the process that asked it say to each other.

The request is pickled: it goes to the worker, which runs the user's code anyway. What comes back is a line of JSON a
message, so that nothing a user's code writes can run or raise anything in the process that holds the results.
"""

import base64
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from harness.cell import Model, Status

MESSAGE_BYTES = 2**26
"""A longer line is no message."""


@dataclass(frozen=True)
class Request:
    """What a worker is to do, and where."""

    task: Callable[..., None]
    """A function of this package, called with ``arguments`` and ``send=``."""
    arguments: tuple[Any, ...]
    path: tuple[str, ...]
    """``sys.path`` of whoever asks."""
    folder: str | None
    """Its working folder; none where that has been deleted."""


class Importing(Model):
    """Code of another's begins to be imported, and may do anything; or, with an empty name, that has ended."""

    kind: Literal["importing"] = "importing"
    what: str


class FirstCall(Model):
    """The call that meets a process nothing has run in yet begins now: its memory is worth watching from outside."""

    kind: Literal["first call"] = "first call"
    rss_bytes: int
    """Resident memory before it."""


class Progress(Model):
    """What a pass that has ended found."""

    kind: Literal["progress"] = "progress"
    metrics: dict[str, list[float]]
    notes: dict[str, str]


class Finished(Model):
    """The last message of a worker that measures a cell."""

    kind: Literal["finished"] = "finished"
    status: Status
    reason: str | None
    work_seconds: float
    """Time from the first line of the cell's own work to its last."""


class Answer(Model):
    """What a function returned."""

    kind: Literal["answer"] = "answer"
    pickled: str
    """In base 64."""

    @classmethod
    def of(cls, value: Any) -> "Answer":
        """The answer for a value."""
        return cls(pickled=base64.b64encode(pickle.dumps(value)).decode())

    def value(self) -> Any:
        """What was returned: built-in values, and objects of this package's classes; any other is refused.

        Raises:
            pickle.UnpicklingError: It is something else.
        """
        return _OwnClasses(io.BytesIO(base64.b64decode(self.pickled))).load()


class Refused(Model):
    """A function raised :class:`harness.errors.BadInput`."""

    kind: Literal["refused"] = "refused"
    message: str


class Failed(Model):
    """A function raised anything else."""

    kind: Literal["failed"] = "failed"
    traceback: str


Message: TypeAlias = Importing | FirstCall | Progress | Finished | Answer | Refused | Failed
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


def written(message: Message) -> bytes:
    """The message as a line."""
    return message.model_dump_json().encode() + b"\n"


def read(line: bytes) -> Message | None:
    """The message of a line; ``None`` where it is none."""
    try:
        return _MESSAGE.validate_json(line)
    except ValidationError:
        return None


class _OwnClasses(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name.startswith("harness."):
            found = super().find_class(module_name, global_name)
            if isinstance(found, type) and found.__module__ == module_name:
                return found
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no class of this package")
