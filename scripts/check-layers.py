#!/usr/bin/env python3
"""Keep the rooms apart: no #include that goes upward or reaches past the owner of a library.

    scripts/check-layers.py [TOP]       check the source tree (default: the one this script is in); exit 1 on a finding
    scripts/check-layers.py --self-test plant one violation of each rule in a small tree and demand that each is found

Rules, for src/ROOM/*.[ch] and .cpp:
  - a room includes only itself and rooms below it (ROOMS), some rooms less than that (ONLY);
  - a library's header is included by its owner alone (OWNERS); a library without an owner is a finding;
  - of kernels/ only dmk.h, and only by the rooms in KERNEL_USERS.
For kernels/: C standard headers, intrinsics and other kernel headers; no memory, no I/O, no OpenMP threads.
For include/: C standard headers. For the whole tree: source file names are unique, source folders have a README.md.
"""
import pathlib
import re
import sys
import tempfile

ROOMS = "base comm stats store linalg rows kmeans report page boundary diagnosis exchange engine cli".split()
# Rooms that may use less than all that is below them (themselves apart).
ONLY = {
    "report": {"base", "stats"},
    "page": {"base"},
    "diagnosis": {"base", "comm", "stats", "store", "linalg", "rows", "kmeans", "report"},
    "exchange": {"base", "comm", "stats", "store"},
    "cli": {"base", "report"},
}
# Header (pattern over the path in the #include) -> the rooms that may use it.
OWNERS = [
    (r"(hdf5|hdf5_hl|H5\w*)\.h", {"store"}),
    (r"mpi(-ext|io)?\.h", {"comm"}),
    (r"(cblas|f77blas|lapacke?\w*|openblas_config)\.h", {"linalg"}),
    (r"jansson(_config)?\.h", {"report"}),
    (r"csv\.h", {"exchange"}),
    (r"sqlite3(ext)?\.h", {"exchange"}),
    (r"libxml/.*", {"exchange"}),
    (r"charconv", {"exchange"}),
    (r"(xxhash|xxh3|xxh_x86dispatch)\.h", {"stats"}),
    (r"(.*/)?Random123/.*", {"base"}),
    (r"popt\.h", {"cli"}),
    (r"boost/.*", {"stats"}),
    (r"omp\.h", {"rows", "kmeans", "boundary", "diagnosis", "engine", "exchange", "linalg"}),
]
KERNEL_USERS = {"linalg", "kmeans", "rows", "boundary", "diagnosis", "engine"}
CPP_ROOMS = {"stats", "exchange"}  # behind an extern "C" header, for Boost.Math and <charconv>
INTRINSICS = r"(\w*intrin|arm_neon|arm_sve|cpuid)\.h"
C_STANDARD = {
    f"{name}.h" for name in
    "assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic "
    "stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype".split()
}
POSIX = {
    f"{name}.h" for name in
    "dirent dlfcn fcntl fnmatch getopt glob libgen netdb poll pthread pwd regex sched semaphore spawn strings "
    "search syslog termios unistd wordexp fts ftw malloc".split()
}
KERNEL_FORBIDDEN = re.compile(
    r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|free|alloca|strdup|mmap"
    r"|f?printf|puts|fputs|putchar|fopen|fread|fwrite|fclose|exit|abort)\s*\(")
SOURCE_ENDINGS = {".c", ".h", ".cpp", ".py", ".sh"}
TREES = ("src", "kernels", "bench", "tests", "scripts")

# A string or character literal is kept, a comment is not: whichever starts first wins.
LITERAL_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.DOTALL)


def code_of(text):
    """The text without comments and line splices; newlines stay, so line numbers do."""
    text = re.sub(r"\\\n", "", text)

    def blank(match):
        s = match.group(0)
        return re.sub(r"[^\n]", " ", s) if s.startswith("/") else s
    return LITERAL_OR_COMMENT.sub(blank, text)


def includes_of(code):
    """(line, header, in_quotes) of each #include; header None where a macro stands in its place."""
    for number, line in enumerate(code.splitlines(), 1):
        match = re.match(r"\s*(?:#|%:)\s*(?:include|include_next|import)\b\s*(.*)", line)
        if match:
            header = re.match(r'"([^"]+)"|<([^>]+)>', match.group(1))
            if header is None:
                yield number, None, False
            else:
                yield number, header.group(1) or header.group(2), header.group(1) is not None


def is_plain_system_header(header):
    return header in C_STANDARD or header in POSIX or re.fullmatch(r"(sys|linux|netinet|arpa)/\w+\.h", header)


def library_finding(room, header):
    """Finding for a header that is not ours, "" if this room may include it."""
    for pattern, owners in OWNERS:
        if re.fullmatch(pattern, header):
            return "" if room in owners else f"{header} belongs to {' '.join(sorted(owners))}"
    if re.fullmatch(INTRINSICS, header):
        return f"{header}: intrinsics belong to kernels/"
    if is_plain_system_header(header):
        return ""
    return f"{header} has no owner: name one in OWNERS of scripts/check-layers.py"


def room_finding(room, other):
    """Finding for an #include of room `other` by `room`, "" if allowed."""
    if other == room:
        return ""
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{room} may not include {other}: it is above"
    if room in ONLY and other not in ONLY[room]:
        return f"{room} may include only {' '.join(sorted(ONLY[room]))}, not {other}"
    return ""


def check_src_include(top, path, room, header, quoted):
    """Finding for one #include of src/`room`, "" if allowed."""
    if ".." in pathlib.PurePosixPath(header).parts or header.startswith("/"):
        return f"{header}: write ROOM/FILE, not a relative path"
    first = header.split("/")[0]
    if "/" in header and first in ROOMS:
        if not (top / "src" / header).is_file():
            return f"{header} does not exist"
        return room_finding(room, first)
    if header == "demarc/demarc.h":
        return ""
    if header == "dmk.h":
        return "" if room in KERNEL_USERS else f"{room} may not call the kernels"
    if (top / "kernels" / header).is_file():
        return f"{header} is internal to kernels/: include dmk.h"
    if quoted and (path.parent / header).is_file():
        return ""
    return library_finding(room, header)


def check_kernel_include(top, path, header):
    if header in C_STANDARD or re.fullmatch(INTRINSICS, header):
        return ""
    if ".." not in header and ((top / "kernels" / header).is_file() or (path.parent / header).is_file()):
        return ""
    return f"{header}: kernels may include C standard headers, intrinsics and kernel headers only"


def check_kernel_code(code):
    """(line, finding) of what a kernel must not do whatever it includes."""
    for number, line in enumerate(code.splitlines(), 1):
        call = KERNEL_FORBIDDEN.search(line)
        if call:
            yield number, f"{call.group(1)}: kernels own no memory and do no I/O"
        if re.match(r"\s*#\s*pragma\s+omp\b(?!\s+(declare\s+)?simd\b)", line):
            yield number, "kernels start no threads"


def c_files(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in (".c", ".h", ".cpp"))


def check_c_file(top, path, check_include):
    """Findings of one C file: check_include(header, quoted) gives the finding for one #include."""
    code = code_of(path.read_text(encoding="utf-8", errors="replace"))
    for line, header, quoted in includes_of(code):
        finding = "an #include whose header is a macro" if header is None else check_include(header, quoted)
        if finding:
            yield f"{path.relative_to(top)}:{line}: {finding}"
    if path.is_relative_to(top / "kernels"):
        for line, finding in check_kernel_code(code):
            yield f"{path.relative_to(top)}:{line}: {finding}"


def check_includes(top):
    for path in c_files(top / "src"):
        parts = path.relative_to(top / "src").parts
        room = parts[0]
        if len(parts) < 2 or room not in ROOMS:
            yield f"{path.relative_to(top)}: in no known room: add it to ROOMS of scripts/check-layers.py"
            continue
        if path.suffix == ".cpp" and room not in CPP_ROOMS:
            yield f"{path.relative_to(top)}: C++ serves a C++ library only, in {' '.join(sorted(CPP_ROOMS))}"
        yield from check_c_file(top, path, lambda h, q: check_src_include(top, path, room, h, q))
    for path in c_files(top / "kernels"):
        yield from check_c_file(top, path, lambda h, q: check_kernel_include(top, path, h))
    for path in c_files(top / "include"):
        yield from check_c_file(
            top, path, lambda h, q: "" if h in C_STANDARD else f"{h}: the public header includes C standard headers only")


def source_files(top):
    for tree in (*TREES, "include"):
        yield from sorted(p for p in (top / tree).rglob("*") if p.suffix in SOURCE_ENDINGS and p.is_file())


def check_names(top):
    seen = {}
    for path in source_files(top):
        key = path.name.lower()
        if key in seen:
            yield f"{path.relative_to(top)}: {seen[key].relative_to(top)} has the same name"
        else:
            seen[key] = path


def check_readmes(top):
    folders = {top / tree for tree in TREES if (top / tree).is_dir()}
    folders |= {p.parent for p in source_files(top) if not p.is_relative_to(top / "include")}
    for folder in sorted(folders):
        if not (folder / "README.md").is_file():
            yield f"{folder.relative_to(top)}: has no README.md"


def check(top):
    """All findings, one line each."""
    return [*check_includes(top), *check_names(top), *check_readmes(top)]


# What the self-test plants: (file, text, what must be found there; None = nothing).
PLANTED = [
    ("include/demarc/demarc.h", "#include <stdint.h>\n", None),
    ("include/demarc/extra.h", "#include <mpi.h>\n", "C standard headers only"),
    ("src/base/low.h", "/* plain */\n", None),
    ("src/base/low.c", '#include "base/low.h"\n#include <stdio.h>\n#include <Random123/philox.h>\n', None),
    ("src/base/up.c", '#include "comm/ranks.h"\n', "comm: it is above"),
    ("src/comm/ranks.h", "#include <mpi.h>\n", None),
    ("src/comm/random.c", "#include <Random123/philox.h>\n", "belongs to base"),
    ("src/comm/hash.c", "#include <xxhash.h>\n", "belongs to stats"),
    ("src/stats/moments.h", '#include "comm/ranks.h"\n#include <xxhash.h>\n', None),
    ("src/stats/threads.c", "#include <omp.h>\n", "omp.h belongs to"),
    ("src/store/file.h", "#include <hdf5.h>\n#include <sys/stat.h>\n", None),
    ("src/store/message.c", '#include "mpi.h"\n', "belongs to comm"),
    ("src/store/dots.c", '#include "../engine/api.h"\n', "relative path"),
    ("src/store/absent.c", '#include "base/absent.h"\n', "does not exist"),
    ("src/linalg/tile.h", '#include <cblas.h>\n#include "dmk.h"\n#include <omp.h>\n', None),
    ("src/linalg/inner.c", '#include "ref/inner_kernel.h"\n', "internal to kernels/"),
    ("src/rows/scan.c", '#include "store/file.h"\n#include <omp.h>\n', None),
    ("src/rows/open.c", "#include <H5Dpublic.h>\n", "belongs to store"),
    ("src/kmeans/blas.c", "#include <cblas.h>\n", "belongs to linalg"),
    ("src/kmeans/simd.c", "#include <immintrin.h>\n", "intrinsics belong to kernels/"),
    ("src/report/json.c", '#include <jansson.h>\n#include "stats/moments.h"\n', None),
    ("src/report/file_use.c", '#include "store/file.h"\n', "report may include only"),
    ("src/exchange/table.c", '#include <csv.h>\n#include "store/file.h"\n', None),
    ("src/exchange/algebra.c", '#include "linalg/tile.h"\n', "exchange may include only"),
    ("src/exchange/kernel_use.c", '#include "dmk.h"\n', "may not call the kernels"),
    ("src/engine/api.h", '#include "linalg/tile.h"\n#include "dmk.h"\n', None),
    ("src/engine/json_use.c", "#include <jansson.h>\n", "belongs to report"),
    ("src/engine/table_use.c", "#include <csv.h>\n", "belongs to exchange"),
    ("src/engine/unowned.c", "#include <lz4.h>\n", "has no owner"),
    ("src/engine/computed.c", "#define H <mpi.h>\n#include H\n", "header is a macro"),
    ("src/engine/spliced.c", "#inc\\\nlude <mpi.h>\n", "belongs to comm"),
    ("src/engine/options.c", "#include <popt.h>\n", "belongs to cli"),
    ("src/cli/run.c", '#include <popt.h>\n#include "demarc/demarc.h"\n#include "report/words.h"\n', None),
    ("src/report/words.h", "", None),
    ("src/cli/direct.c", '#include "engine/api.h"\n', "cli may include only"),
    ("src/cli/hidden.c", '/* #include <mpi.h> */\n// #include <mpi.h>\nconst char *s = "/*";\n#  include<hdf5.h> /* x */\n',
     "belongs to store"),
    ("src/cli/comments.c", '/*\n#include <mpi.h>\n*/\nint x; // #include <hdf5.h>\nchar c = \'"\';\n', None),
    ("src/attic/old.c", "", "in no known room"),
    ("src/stats/special.cpp", "#include <boost/math/distributions.hpp>\n", None),
    ("src/boundary/special_use.c", "#include <boost/math/distributions.hpp>\n", "belongs to stats"),
    ("src/boundary/other.cpp", "", "C++ serves"),
    ("src/boundary/facets.h", "", None),
    ("src/diagnosis/lines.c", '#include "boundary/facets.h"\n', "diagnosis may include only"),
    ("kernels/dmk.h", "#include <stdint.h>\n", None),
    ("kernels/ref/inner_kernel.h", '#include "dmk.h"\n', None),
    ("kernels/ref/fast.c", '#include "ref/inner_kernel.h"\n#include <immintrin.h>\n#pragma omp simd\n', None),
    ("kernels/ref/greedy.c", "#include <stdlib.h>\nvoid *f(void) { return malloc(8); }\n", "own no memory"),
    ("kernels/ref/threads_kernel.c", "#pragma omp parallel for\n", "start no threads"),
    ("kernels/ref/library.c", "#include <omp.h>\n", "kernels may include"),
    ("kernels/ref/reach.c", '#include "base/low.h"\n', "kernels may include"),
    ("tests/unit/test_low.c", '#include "base/low.h"\n', None),
    ("tests/twin/low.c", "", "same name"),
    ("bench/speed.c", "", None),
    ("scripts/tool.py", "", None),
]
BARE_FOLDER = "src/rows"  # gets no README.md


def self_test():
    with tempfile.TemporaryDirectory(prefix="demarc-layers-") as name:
        top = pathlib.Path(name)
        for file, text, _ in PLANTED:
            path = top / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if str(pathlib.PurePosixPath(file).parent) != BARE_FOLDER:
                (path.parent / "README.md").touch()
        for tree in TREES:
            (top / tree / "README.md").touch()
        findings = check(top)
    wrong = []
    for file, _, expected in [*PLANTED, (BARE_FOLDER, None, "has no README.md")]:
        here = [f for f in findings if re.match(re.escape(file) + r":", f)]
        if expected is None:
            wrong += [f"found where nothing is wrong: {f}" for f in here]
        elif len(here) != 1 or expected not in here[0]:
            wrong.append(f"{file}: expected one finding with '{expected}', got {here}")
    # README findings beyond the planted one, and the like, belong to no planted file.
    files = {file for file, _, _ in PLANTED} | {BARE_FOLDER}
    wrong += [f"unexpected: {f}" for f in findings if f.split(":")[0] not in files]
    return wrong


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        findings = self_test()
    elif len(arguments) <= 1 and not any(a.startswith("-") for a in arguments):
        top = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parent.parent
        if not (top / "src").is_dir():
            sys.exit(f"check-layers: no src in {top}")
        findings = check(top.resolve())
    else:
        sys.exit(__doc__)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
