"""Whether packhouse can be used here, and whether it was switched off. Nothing here raises: Metaflow has to start."""

from importlib import import_module
from importlib.util import find_spec

_NEEDED = ("packhouse.compat.metaflow.store", "packhouse.compat.metaflow.packed.blobs")
_NEEDED_LATER = ("packhouse.compat.metaflow.packed.storage", "packhouse.compat.metaflow.packed.included")
_INTERFACE = 1
"""What `packhouse.compat.metaflow.INTERFACE` has to be."""
_OFF = {"0", "false", "no", "off"}


def is_off(value):
    """Tell whether a setting says no."""
    return str(value).strip().lower() in _OFF


def why_unusable():
    """Try to import all that the replacements import; what went wrong, or None.

    What imports Metaflow itself, which is only starting, is looked for and not imported.
    """
    try:
        for name in _NEEDED:
            import_module(name)
        for name in _NEEDED_LATER:
            if find_spec(name) is None:
                return ImportError(f"it is too old: it has no {name}")
        interface = getattr(import_module("packhouse.compat.metaflow"), "INTERFACE", None)
        if interface != _INTERFACE:
            return ImportError(f"it is of another version: its interface is {interface}, not {_INTERFACE}")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of the native part is no Exception, and Metaflow must go on
        return error
    return None
