#!/bin/sh
# hide.sh IN.a OUT.a: one object of all that is in IN, in which only what is exported stays visible, so that
# whoever links it statically meets no name of ours but floe_*.
set -e
ld -r --whole-archive "$1" -o "$2.o"
objcopy --localize-hidden "$2.o"
rm -f "$2"
ar rcs "$2" "$2.o"
rm -f "$2.o"
