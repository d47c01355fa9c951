#!/usr/bin/env bash
# Build the sdist and the wheel, install each way a user would, and see that napari finds the plugin.
# usage: scripts/check_packages.sh VENV     (with the extras pyqt5 and dev; ends with the editable install)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$(cd "$1/bin" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"; "$bin/pip" install -q --no-deps -e "$root"' EXIT

plugin_is_found() { # from an empty folder, so that only what is installed counts
    (cd "$work" && "$bin/npe2" validate napari-medseg --imports && "$bin/medseg" --version)
    echo "ok: $1"
}

"$bin/pip" install -q --no-deps -e "$root"
plugin_is_found "editable"
"$bin/python" -m build --outdir "$work/from-sdist" "$root" >"$work/log" || { cat "$work/log"; exit 1; }
"$bin/python" -m build --wheel --outdir "$work/direct" "$root" >"$work/log" || { cat "$work/log"; exit 1; }
"$bin/python" "$root/scripts/check_wheel.py" "$root" "$work"/direct/*.whl "$work"/from-sdist/*.whl
for wheel in direct from-sdist; do
    "$bin/pip" install -q --no-deps --force-reinstall "$work/$wheel"/*.whl
    plugin_is_found "wheel, $wheel"
done
