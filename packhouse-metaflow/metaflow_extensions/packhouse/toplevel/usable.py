"""Whether packhouse can be used here, and whether it was switched off. Nothing here raises: Metaflow has to start."""

import json
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

_NEEDED = ("packhouse.compat.metaflow.store", "packhouse.compat.metaflow.packed.blobs")
_NEEDED_LATER = ("packhouse.compat.metaflow.packed.storage", "packhouse.compat.metaflow.packed.included")
_INTERFACE = 1
"""What `packhouse.compat.metaflow.INTERFACE` has to be."""
_SWITCH = "METAFLOW_PACKHOUSE"
_OFF = {"0", "false", "no", "off"}


def is_off(value):
    """Tell whether a setting says no."""
    return str(value).strip().lower() in _OFF


def is_switched_off():
    """Tell whether `METAFLOW_PACKHOUSE` says no, in the environment or in Metaflow's configuration.

    Looks where Metaflow's `from_conf` will, which cannot be called yet: it imports every extension's configuration.
    What cannot be read is left to Metaflow to tell.
    """
    value = os.environ.get(_SWITCH)
    for configuration in (_local_configuration, _global_configuration):
        if value is None:
            try:
                value = configuration().get(_SWITCH)
            except Exception:  # noqa: BLE001 - see above
                value = None
    return value is not None and is_off(value)


def _local_configuration():
    here = Path.cwd()
    folder = next((found for above in (here, *here.parents) if (found := above / ".metaflow").is_dir()), None)
    path = folder / "config.json" if folder else None
    return json.loads(path.read_text("utf-8")) if path and path.exists() else {}


def _global_configuration():
    from metaflow.metaflow_config_funcs import init_config  # noqa: PLC0415 - Metaflow is only starting

    return init_config()


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
