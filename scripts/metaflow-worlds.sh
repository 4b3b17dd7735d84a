#!/bin/sh
# Two environments for tests/metaflow: `stock`, where only Metaflow is installed, and `oldest`, the oldest Metaflow with our drop-in.
# packhouse itself is taken from this checkout: what is tested is the Metaflow, not another build.
set -eu
oldest=$1
here=$(pwd)
folder=$here/.venv-metaflow
rm -rf "$folder"
newest=$("$PY" -c 'from importlib.metadata import version; print(version("metaflow"))')
needed=$("$PY" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"])')
for world in stock oldest; do
    "$PY" -m venv --without-pip "$folder/$world"
done
"$PY" -m pip --python "$folder/stock/bin/python" install --quiet "metaflow==$newest" numpy
"$PY" -m pip --python "$folder/oldest/bin/python" install --quiet "metaflow==$oldest" numpy setuptools $needed
"$PY" -m pip --python "$folder/oldest/bin/python" install --quiet --no-deps --no-build-isolation ./packhouse-metaflow
for packages in "$folder"/oldest/lib/python*/site-packages; do
    echo "$here/python" > "$packages/packhouse-checkout.pth"
done
