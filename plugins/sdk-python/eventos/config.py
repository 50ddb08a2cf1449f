"""The handler's own settings: the table ``[handler.NAME.config]``.

Strings are returned as they are, other values as JSON text. Settings do not change while an instance
lives, and each read is a call to the host, so read them once, in ``init``."""

from typing import Optional, TypeVar

from wit_world.imports import config as _host

from . import settings
from .record import brief

T = TypeVar("T")


def typed(cls: type[T]) -> T:
    """Reads all settings into a dataclass of yours, in ``init``::

        @dataclass
        class Settings:
            tipos: list[str]
            least: float = 5.0
            strict: bool = False

        settings = config.typed(Settings)

    A field may be ``str``, ``int``, ``float``, ``bool``, a list, a dict, a dataclass, an ``Enum``, a ``Literal``, or one of them or
    None. Raises a ValueError that names the setting if one is missing, unknown or of another type."""
    return settings.read(all(), cls)


def get(key: str) -> Optional[str]:
    """Returns one setting, or None if the key is not set."""
    if not isinstance(key, str):
        raise TypeError(f"the key of a setting must be str, not {brief(key)}")
    return _host.get(key)


def all() -> dict[str, str]:
    """Returns all settings, in ascending order of their keys."""
    return dict(_host.all())
