"""valgrind's memcheck finds nothing on two ranks of two threads: no invalid or uninitialised access, no lost memory."""
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import demarc_testing as t

SUPPRESSIONS = t.SOURCE / "tests" / "support" / "memcheck.supp"


@unittest.skipIf(shutil.which("valgrind") is None, "valgrind is not installed")
@unittest.skipIf(os.environ.get("DEMARC_SANITIZE"), "a sanitizer's program does not run under valgrind")
class Memcheck(t.Case):
    def clean(self, *args):
        """Run on 2 ranks x 2 threads under memcheck; any error that is not suppressed fails the test."""
        log = pathlib.Path(self.tmp, "memcheck.%q{OMPI_COMM_WORLD_RANK}")
        # DEMARC_REEXEC: the program would start itself again, out of valgrind's sight.
        p = subprocess.run(["mpirun", "-q", "--bind-to", "none", "-n", "2", "-x", "DEMARC_REEXEC=1", "valgrind", "--leak-check=full",
                            "--errors-for-leak-kinds=definite", "--error-exitcode=99", f"--suppressions={SUPPRESSIONS}",
                            "--num-callers=30", f"--log-file={log}", t.DEMARC, *map(str, args), "--threads", "2"],
                           capture_output=True, text=True, timeout=550)
        logs = [self.tmp / f"memcheck.{rank}" for rank in (0, 1)]
        for file in logs:
            text = file.read_text()
            self.assertEqual(re.findall(r"ERROR SUMMARY: (\d+) errors", text), ["0"], f"{args}\n{text[:12000]}")
        self.assertEqual(p.returncode, 0, p.stderr)
        for file in logs:
            file.unlink()

    def test_clean(self):
        """A fit whose rows are streamed and written by both ranks, what reads its results, and a boundary test."""
        data, run = self.tmp / "data.h5", self.tmp / "run"
        self.ok("generate", data, "--customers", 17000, "--features", 3, "--segments", 3, "--arms", 2, "--outcomes", "--quiet")
        self.clean("fit", data, "--segments", "2:3", "--out", run, "--quiet", "--max-iterations", 3, "--checkpoint-every", "0.5")
        self.clean("boundary", "sweep", data, "--model", run / "model.h5", "--replicates", 8, "--quiet")


if __name__ == "__main__":
    t.main()
