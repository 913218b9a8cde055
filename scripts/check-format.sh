#!/bin/sh
# Check (or with --fix mend) the format of all C files by clang-format and .clang-format. Exit 77 = skipped: other major
# versions lay out the same file differently, so only the one below is asked.
set -eu
cd "$(dirname "$0")/.."
version=14

fix=no
if [ "${1-}" = --fix ]; then fix=yes; fi

tool=
for candidate in clang-format-$version clang-format; do
    if command -v $candidate >/dev/null && $candidate --version | grep -q "version $version\."; then
        tool=$candidate
        break
    fi
done
if [ -z "$tool" ]; then
    echo "skipped: no clang-format $version (Debian package clang-format-$version)"
    exit 77
fi

if [ $fix = yes ]; then
    find src include kernels tests bench -name '*.[ch]' -print0 | xargs -0 $tool -i
else
    find src include kernels tests bench -name '*.[ch]' -print0 | xargs -0 $tool --dry-run -Werror
fi
