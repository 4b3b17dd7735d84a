"""Which of Metaflow's modules are replaced: one, or none when it is switched off or the native part cannot be loaded.

An error here would stop every `import metaflow`.
"""

import os
import warnings

_OFF = {"0", "false", "no", "off"}


def _replaced() -> list[str]:
    if os.environ.get("METAFLOW_PACKHOUSE", "").strip().lower() in _OFF:
        return []
    try:
        import packhouse.compat.metaflow  # noqa: F401, PLC0415 - only to see whether it loads
    except Exception as error:  # noqa: BLE001 - whatever it is, Metaflow must go on
        warnings.warn(
            f"packhouse-metaflow is installed but inactive, packhouse cannot be imported: {error!r}",
            RuntimeWarning,
            stacklevel=2,
        )
        return []
    return ["datastore.content_addressed_store", "plugins.cards.card_datastore"]


__mf_promote_submodules__ = _replaced()
