#!/bin/sh
# Print a Python >= 3.11 that can make virtual environments, or say what is missing.
# Each candidate is run, not only found: version managers leave launchers that start nothing.
for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python3.14 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        found=$candidate
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            echo "$candidate"
            exit 0
        fi
    fi
done
if [ -n "${found:-}" ]; then
    echo "error: $found cannot make virtual environments: its modules venv and ensurepip are missing" >&2
    echo "hint: on Debian and Ubuntu: apt-get install python3-venv" >&2
else
    echo "error: packhouse needs Python 3.11 or newer, and none was found" >&2
    echo "hint: install python3 with your system's package manager or from python.org, or name one: make PYTHON=/path/to/python3.12" >&2
fi
exit 1
