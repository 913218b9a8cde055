"""clang's thread sanitizer finds no race on two ranks of two threads; for a program built by `cmake --preset tsan`."""
import os
import unittest

import demarc_testing as t

FOUND = 66  # exit code of a program in which a race was found


@unittest.skipUnless("thread" in os.environ.get("DEMARC_SANITIZE", ""), "not the thread sanitizer's build")
class Threads(t.Case):
    def clean(self, *args):
        """Run on 2 ranks x 2 threads; the OpenMP runtime must have told the sanitizer of its synchronisation."""
        env = {"TSAN_OPTIONS": f"ignore_noninstrumented_modules=1 exitcode={FOUND}", "ARCHER_OPTIONS": "verbose=1"}
        p = t.run(*args, ranks=2, threads=2, env=env, timeout=500)
        self.assertNotIn("ThreadSanitizer", p.stdout + p.stderr, str(args))
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("Archer detected OpenMP application with TSan", p.stdout + p.stderr)

    def test_clean(self):
        data, run = self.tmp / "data.h5", self.tmp / "run"
        self.clean("generate", data, "--customers", 20000, "--features", 4, "--segments", 3, "--arms", 2, "--outcomes", "--quiet")
        fit = ["fit", data, "--out", run, "--quiet", "--force"]
        self.clean(*fit, "--segments", 4, "--memory-limit", "1M")
        self.clean(*fit, "--segments", "2:3", "--checkpoint-every", "0.01", "--stall-timeout", 200)
        self.clean(*fit, "--segments", 3, "--io", "funnel", "--kernel", "blas")
        model = ["--model", run / "model.h5", "--quiet"]
        self.clean("assign", data, *model, "--out", self.tmp / "assigned.h5")
        self.clean("verify", run, "--quiet")
        self.clean("boundary", "sweep", data, *model, "--replicates", 20)
        self.clean("boundary", "replay", data, *model)
        self.clean("boundary", "plan", data, *model, "--outcome", "spend", "--out", self.tmp / "plan", "--force")


if __name__ == "__main__":
    t.main()
