#!/bin/sh
# Runs the reference's own scripts, which lie beside the project, not in it: skipped where they are not.
traces=$(dirname "$0")/../../../shared/traces
if [ ! -d "$traces" ]; then
    echo "SKIPPED: the reference traces are not on this machine"
    exit 77
fi
exec "$1" --strict "$traces"
