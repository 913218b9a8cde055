#!/bin/sh
# Install what is missing, build, run every test. Ends in ctest's summary and with its exit code.
#
#   scripts/test.sh              release build, all tests
#   scripts/test.sh --asan       the same with AddressSanitizer and UndefinedBehaviorSanitizer
#   scripts/test.sh --memcheck   release build, only the runs under valgrind
#   scripts/test.sh --threads    clang's thread sanitizer on two ranks of two threads
#   scripts/test.sh --failing    release build, allocations and writes made to fail one by one, all of them (many hours)
#   scripts/test.sh --cluster    not those, but a real Slurm and three hosts on this machine, as root (scripts/cluster)
#   scripts/test.sh -L unit      anything else goes to ctest: -L LABEL, -R NAME, -E NAME, ...
set -eu
cd "$(dirname "$0")/.."
export CC="${CC:-gcc}"

preset=release cluster=no bench=ON
case ${1-} in
    --cluster) cluster=yes; shift ;;
    --asan) preset=asan; shift ;;
    --memcheck) shift; set -- -L memcheck "$@" ;;
    --threads) preset=tsan bench=OFF; shift ;;
    --failing) shift; export DEMARC_FAILING=all; set -- -R test_failing "$@" ;;
    -h | --help) sed -n '2,10s/^#[ ]\{0,1\}//p' "$0"; exit 0 ;;
esac

[ $preset != tsan ] || { export CC=clang; scripts/install-deps.sh --fuzz; }
scripts/install-deps.sh --tests
if [ $cluster = yes ]; then
    scripts/install-deps.sh --cluster || echo "demarc: warning: no Slurm could be installed: its part is skipped"
fi

echo "system   $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1, /p' /etc/os-release 2>/dev/null)$(uname -srm), $(nproc) cores"
echo "cc       $($CC --version | head -n 1)"
echo "cmake    $(cmake --version | head -n 1)"
echo "MPI      $(mpirun --version | head -n 1)"
echo "HDF5     $(pkg-config --modversion hdf5-openmpi)"
echo "python   $(/usr/bin/python3 -c 'import sys, h5py, numpy, scipy, sklearn
print(sys.version.split()[0], "h5py", h5py.__version__, "numpy", numpy.__version__, "scipy", scipy.__version__,
      "scikit-learn", sklearn.__version__)')"

cmake --preset $preset -DDEMARC_TESTS=ON -DDEMARC_BENCH=$bench
cmake --build --preset $preset
[ $cluster = no ] || exec scripts/cluster/cluster.sh build/$preset/demarc "$@"

# Two at a time; a test that needs the machine for itself says so by its PROCESSORS property.
exec ctest --preset $preset --parallel 2 "$@"
