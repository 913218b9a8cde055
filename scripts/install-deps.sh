#!/bin/sh
# Install what demarc needs and this machine lacks (Debian, Ubuntu); elsewhere, or without the right to install, name
# what is missing and exit with 1. Quick when nothing is missing: the package system is then only read.
#
#   scripts/install-deps.sh            to build and run
#   scripts/install-deps.sh --tests    also to build and run the tests
#   scripts/install-deps.sh --bench    also to run the benchmarks beside other programs
#   scripts/install-deps.sh --cluster  also a Slurm and the tools of scripts/cluster
#   scripts/install-deps.sh --fuzz     also to search for crashes with libFuzzer (tests/fuzz)
set -eu

usage() { echo "usage: scripts/install-deps.sh [--tests] [--bench] [--cluster] [--fuzz]"; }

tests=no bench=no cluster=no fuzz=no
for argument in "$@"; do
    case $argument in
        --tests) tests=yes ;;
        --bench) bench=yes ;;
        --cluster) cluster=yes ;;
        --fuzz) fuzz=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

# Tools count by their command, wherever it comes from. COMMAND:PACKAGE
tools="gcc:gcc g++:g++ make:make cmake:cmake pkg-config:pkg-config git:git mpirun:openmpi-bin npm:npm"
# Libraries count by their package. libc6-dev is only recommended by gcc.
libraries="libc6-dev libopenmpi-dev libhdf5-openmpi-dev libopenblas-openmp-dev libjansson-dev libcsv-dev libxxhash-dev
    librandom123-dev libpopt-dev libboost-math-dev libsqlite3-dev libxml2-dev"
# The same libraries where there is no dpkg: pkg-config modules and headers.
modules="hdf5-openmpi openblas jansson libxxhash popt sqlite3 libxml-2.0"
headers="csv.h Random123/philox.h boost/math/distributions.hpp"
imports=
if [ $tests = yes ]; then
    tools="$tools xz:xz-utils valgrind:valgrind"
    libraries="$libraries libcmocka-dev python3-h5py python3-sklearn python3-scipy python3-jsonschema
        python3-selenium r-cran-cluster r-cran-fpc"
    modules="$modules cmocka"
    imports="h5py sklearn scipy jsonschema selenium"
fi
if [ $bench = yes ]; then
    libraries="$libraries python3-numpy python3-h5py python3-sklearn python3-threadpoolctl python3-faiss time"
    imports="$imports numpy h5py sklearn threadpoolctl faiss"
fi
if [ $cluster = yes ]; then
    tools="$tools slurmctld:slurm-wlm slurmd:slurm-wlm sbatch:slurm-wlm munged:munge ip:iproute2 unshare:util-linux"
fi

if [ $fuzz = yes ]; then
    tools="$tools clang:clang"
    libraries="$libraries libclang-rt-dev libomp-dev"
fi

has() { command -v "$1" >/dev/null 2>&1; }

missing=
for tool in $tools; do
    has "${tool%%:*}" || missing="$missing ${tool#*:}"
done

cmake_is_old() {
    has cmake && ! printf '%s\n' 3.25 "$(cmake --version | sed -n '1s/.* //p')" | sort -V -C
}

give_up() {
    {
        echo "demarc: cannot install what is missing: $1: install these yourself and run this again:"
        for name in $missing; do echo "    $name"; done
    } >&2
    exit 1
}

# Apache ECharts for the page of `demarc report`: by the lock file, once for each version of it.
fetch_charts() {
    page=$(dirname "$0")/../src/page
    [ -f "$page/package-lock.json" ] || return 0
    if cmp -s "$page/package-lock.json" "$page/node_modules/.demarc-lock"; then return 0; fi
    echo "installing: Apache ECharts (npm ci in src/page)"
    missing="the packages of src/page/package-lock.json"
    (cd "$page" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) ||
        give_up "npm ci failed (or build without the report: -DDEMARC_REPORT=OFF)"
    cp "$page/package-lock.json" "$page/node_modules/.demarc-lock"
}

if ! has dpkg-query; then
    # Not Debian: look for the things themselves.
    has mpicc || missing="$missing mpicc"
    for module in $modules; do
        pkg-config --exists "$module" 2>/dev/null || missing="$missing $module(pkg-config)"
    done
    for header in $headers; do
        echo "#include <$header>" | g++ -x c++ -E - >/dev/null 2>&1 || missing="$missing $header(header)"
    done
    for import in $imports; do
        /usr/bin/python3 -c "import $import" 2>/dev/null || missing="$missing $import(python3)"
    done
    if cmake_is_old; then missing="$missing cmake>=3.25"; fi
    [ -z "$missing" ] || give_up "this is neither Debian nor Ubuntu"
    fetch_charts
    exit 0
fi

installed=$(dpkg-query -W -f '${Package} ${Status}\n' $libraries 2>/dev/null | sed -n 's/ install ok installed$//p')
for package in $libraries; do
    echo "$installed" | grep -qx "$package" || missing="$missing $package"
done

if [ -n "$missing" ]; then
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || give_up "you are not root and there is no sudo"
        as_root=sudo
    fi
    has apt-get || give_up "there is no apt-get"
    echo "installing:$missing"
    $as_root apt-get update -q || give_up "apt-get update failed"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing ||
        give_up "apt-get install failed"
fi

# The browser that opens reports in tests/page, which are skipped without one. Ubuntu has it as a snap only.
if [ $tests = yes ] && ! { has chromium && has chromedriver; }; then
    [ "$(id -u)" -eq 0 ] && as_root= || as_root=sudo
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium chromium-driver ||
        echo "demarc: warning: no Chromium could be installed: tests/page is skipped"
fi

if cmake_is_old; then
    missing="cmake>=3.25"
    give_up "the cmake of this system is $(cmake --version | sed -n '1s/.* //p') (Debian 12 and Ubuntu 24.04 have 3.25 or later)"
fi

fetch_charts
