#!/bin/sh
# Fill build/lambda, which `sam deploy` deploys, with whatever this machine calls Python 3.11 or newer.
here=$(dirname "$0")
for python in python3 python "$here/../.venv/bin/python"; do
  if "$python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    exec "$python" "$here/package.py"
  fi
done
echo "Neither python3 nor python is a Python 3.11 or newer with pip; \`make run\` makes one in .venv." >&2
exit 1
