"""Which of Metaflow's modules are replaced: two, or none when it is switched off or packhouse cannot be used.

An error here would stop every `import metaflow`.
"""

import sys
import warnings

from metaflow_extensions.packhouse.toplevel.usable import is_switched_off, why_unusable


def _replaced() -> list[str]:
    if is_switched_off():
        return []
    error = why_unusable()
    if error is not None:
        said = f"packhouse-metaflow is installed but inactive, packhouse cannot be used: {error!r}"
        try:
            warnings.warn(said, RuntimeWarning, stacklevel=2)
        except RuntimeWarning:  # where warnings are errors
            sys.stderr.write(f"{said}\n")
        return []
    return ["datastore.content_addressed_store", "plugins.cards.card_datastore"]


__mf_promote_submodules__ = _replaced()
