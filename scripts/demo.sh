#!/bin/sh
# demarc from nothing to segments: install what is missing, build, make a million customers, divide them into six
# segments on two ranks, verify the result. Needs no options; can be run again. Every command is printed before it runs.
set -eu
cd "$(dirname "$0")/.."
export CC="${CC:-gcc}"

# What Open MPI asks for, in this script only: to run as root, and two ranks where there is one core.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe=1
# Ranks in a container may not read each other's memory directly; without this Open MPI complains and goes on.
export OMPI_MCA_btl_vader_single_copy_mechanism=none

# Print a command as it can be copied, then run it.
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

demarc=build/release/demarc
out=build/demo

run scripts/install-deps.sh
run cmake --preset release -DDEMARC_TESTS=OFF -DDEMARC_BENCH=OFF
run cmake --build --preset release --target demarc
run mkdir -p $out
run $demarc generate $out/customers.h5 --customers 1000000 --features 32 --segments 6 --separation 6 --arms 3 --outcomes --force
run mpirun --bind-to none -n 2 $demarc fit $out/customers.h5 --segments 6 --out $out/run --force
run $demarc verify $out/run

cat <<TEXT

The files are in $PWD/$out:
  customers.h5         a million customers, 32 features, outcomes, a campaign with 3 arms, the true segments in /truth
  run/model.h5         the segments: centroids, sizes, and all that is needed to assign new customers
  run/assignments.h5   the segment of every customer, distance, runner-up and margin
  run/diagnostics.json what sets each segment apart
  run/manifest.json    options, versions, seconds and bytes per phase
To look inside:
  $demarc info $out/run
  python3 scripts/read_results.py $out/run     (needs python3-h5py)
TEXT
