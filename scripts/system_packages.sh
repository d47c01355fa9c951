#!/usr/bin/env bash
# What Qt, OpenGL and a virtual screen need from Debian or Ubuntu; installs what is missing when root.
# usage: scripts/system_packages.sh PYTHON
set -euo pipefail
python=$1
packages=(xvfb xauth libgl1 libegl1 libglib2.0-0 libfontconfig1 libdbus-1-3 libxkbcommon-x11-0
    libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0
    libxcb-cursor0)
"$python" -c 'import ensurepip' 2>/dev/null || packages+=("$(basename "$(readlink -f "$(command -v "$python")")")-venv")

command -v dpkg-query >/dev/null || { echo "not a Debian: Qt's libraries are taken as installed"; exit 0; }
missing=()
for package in "${packages[@]}"; do
    # Ubuntu 24.04 and Debian 13 renamed libglib2.0-0 to libglib2.0-0t64
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        dpkg-query -W -f='${Status}' "${package}t64" 2>/dev/null | grep -q 'ok installed' ||
        missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "These system packages are missing; install them and run make again:" >&2
    echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
