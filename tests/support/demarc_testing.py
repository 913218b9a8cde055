"""What the Python tests share: running demarc, making customer files, finding test data.

Environment (set by ctest): DEMARC = path of the program, DEMARC_SOURCE = top of the source tree.
Test data lie beside the source tree in ../shared/data; a test that needs them calls `data(name)`, which skips
the test where they are absent. A script ends with `main()`: exit 0 = passed, 1 = failed, 77 = every test skipped.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

DEMARC = os.environ["DEMARC"]
SOURCE = pathlib.Path(os.environ["DEMARC_SOURCE"])
DATA = SOURCE.parent / "shared" / "data"


def data(name):
    """Path of a test data file; skips the calling test where it is absent."""
    path = DATA / name
    if not path.exists():
        raise unittest.SkipTest(f"test data {name} is not beside the project")
    return path


def run(*args, ranks=1, threads=None, env=None, stdin=None, timeout=300):
    """Run demarc; returns the CompletedProcess with text stdout and stderr. ranks > 1 goes through mpirun."""
    command = [DEMARC, *map(str, args)]
    if threads is not None:
        command += ["--threads", str(threads)]
    if ranks > 1:
        command = ["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), *command]
    full = dict(os.environ)
    full.update(env or {})
    return subprocess.run(command, capture_output=True, text=True, env=full, input=stdin, timeout=timeout)


class Case(unittest.TestCase):
    """A test case with a scratch folder `self.tmp` that is removed afterwards."""

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="demarc-test-"))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)

    def ok(self, *args, **kw):
        """Run demarc, demand exit code 0, return the CompletedProcess."""
        p = run(*args, **kw)
        self.assertEqual(p.returncode, 0, f"{args}\n{p.stdout}\n{p.stderr}")
        return p

    def fails(self, code, pattern, *args, **kw):
        """Run demarc, demand the exit code and exactly one error line that matches `pattern`."""
        p = run(*args, **kw)
        self.assertEqual(p.returncode, code, f"{args}\n{p.stdout}\n{p.stderr}")
        lines = [s for s in p.stderr.splitlines() if s.startswith("demarc: ") and not s.startswith("demarc: warning")]
        self.assertEqual(len(lines), 1, p.stderr)
        self.assertRegex(lines[0], pattern)
        return p

    def write(self, name, features, **columns):
        """Write a customer file by h5py: features plus id=, weight=, outcomes=, ..., names= for feature_names."""
        import h5py
        path = self.tmp / name
        names = columns.pop("names", None)
        options = columns.pop("options", {})
        with h5py.File(path, "w") as f:
            ds = f.create_dataset("features", data=features, **options)
            if names is not None:
                ds.attrs["feature_names"] = names
            for key, value in columns.items():
                f[key] = value
        return path

    def results(self, run_dir):
        """Model, assignments and diagnostics of a results directory as a dict of numpy arrays."""
        import h5py
        out = {}
        for name in ("model.h5", "assignments.h5"):
            with h5py.File(pathlib.Path(run_dir) / name, "r") as f:
                f.visititems(lambda key, v: out.__setitem__(key, v[()]) if isinstance(v, h5py.Dataset) else None)
                out.setdefault("attrs", {}).update({k: v for k, v in f.attrs.items()})
        out["diagnostics"] = json.loads((pathlib.Path(run_dir) / "diagnostics.json").read_text())
        return out


def main():
    """Run the module's tests; exit 77 when every test was skipped."""
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == 0 or len(result.skipped) == result.testsRun:
        sys.exit(77)
    sys.exit(0)
