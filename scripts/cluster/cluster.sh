#!/bin/sh
# What only a cluster shows, on one machine: a real Slurm, and three hosts that share nothing but the file system.
#
#   scripts/cluster/cluster.sh DEMARC [slurm|hosts]    DEMARC = the program; default: both
#
# Ends in a line of counts; exit 0 = nothing failed, 1 = something did, 77 = everything was skipped. scripts/test.sh
# --cluster installs, builds and calls this. It needs root: Slurm starts jobs, network namespaces are made.
set -u
here=$(cd "$(dirname "$0")" && pwd)
demarc=$(realpath "${1:?usage: scripts/cluster/cluster.sh DEMARC [slurm|hosts]}")
which=${2:-slurm hosts}

folder=$(mktemp -d /tmp/demarc-cluster.XXXXXX)
chmod 755 "$folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 OMP_WAIT_POLICY=passive
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
for part in $which; do
    mkdir "$folder/$part"
    "$here/$part.sh" "$demarc" "$folder/$part" "$folder/counts" </dev/null || echo "failed $part.sh" >>"$folder/counts"
done

count() { grep -c "^$1" "$folder/counts" 2>/dev/null; }
passed=$(count passed) failed=$(count failed) skipped=$(count skipped)
echo "cluster: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] || exit 1
[ "$passed" -gt 0 ] || exit 77
