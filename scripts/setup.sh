#!/bin/sh
# Make the virtual environment and install everything; each failure says in one line what to do.
set -eu
venv=$1
python=${PYTHON:-python3}
fail() { echo "set-up: $1" >&2; exit 2; }

command -v "$python" >/dev/null 2>&1 || fail "no '$python' here; install Python 3.11 or newer, or say PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, '$python' is $("$python" -V 2>&1); say PYTHON=/path/to/python3.11"
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "this Python cannot make virtual environments; install python3-venv (Debian) or use conda with environment.yml"
free=$(df -Pk . | awk 'NR == 2 {print $4}')
[ "$free" -gt 4000000 ] || [ -x "$venv/bin/twostream" ] ||
    fail "only $((free / 1024)) MB free here; the environment takes about 3 GB (6 GB with CUDA)"

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" 2>/dev/null || fail "could not make $venv; is this folder writable?"
echo "set-up: installing into $venv (minutes the first time, seconds after)"
log=$venv/install.log
if ! "$venv/bin/python" -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dask,dev]' >"$log" 2>&1; then
    said() { grep -qiE "$1" "$log"; }
    if said 'No space left'; then fail "the disk is full; free about 3 GB and say it again ($log)"; fi
    if said 'require a different python|requires a different Python'; then
        fail "a package is not made for $("$python" -V 2>&1); say PYTHON=/path/to/python3.12 after make clean ($log)"; fi
    if said 'NewConnectionError|Name or service|name resolution|Network is unreachable|ConnectTimeout|No matching distribution'; then
        fail "a package could not be fetched; check the network or the package index, then say it again ($log)"; fi
    if said "command '[^']*(gcc|cc|g\+\+|clang)'|No such file or directory: '(gcc|cc)'|no acceptable C compiler"; then
        fail "a package had to be compiled and there is no working compiler; install gcc and the Python headers ($log)"; fi
    tail -n 5 "$log" >&2
    fail "pip could not install the packages; the whole story is in $log"
fi
