"""The two h5py examples of scripts/ work with the program: what one writes is read, what is written the other reads."""
import re
import subprocess
import sys

import h5py

from demarc_testing import SOURCE, Case, main


class Examples(Case):
    def script(self, name, *args):
        p = subprocess.run([sys.executable, SOURCE / "scripts" / name, *map(str, args)], capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, f"{name} {args}\n{p.stdout}\n{p.stderr}")
        return p.stdout

    def test_write_fit_read(self):
        data, out = self.tmp / "customers.h5", self.tmp / "run"
        self.assertIn("5000 customers, 3 features", self.script("write_customers.py", data, 5000))
        self.ok("fit", data, "--segments", 3, "--log1p", "orders,spend", "--out", out)

        said = self.script("read_results.py", out)
        self.assertRegex(said, r"(?m)^5000 customers, 3 segments, objective [0-9.e+]+$")
        sizes = [int(s) for s in re.findall(r"(?m)^segment \d+: (\d+) customers", said)]
        with h5py.File(out / "model.h5") as f:
            self.assertEqual(sizes, list(f["size"][:]))
        self.assertEqual(sum(sizes), 5000)
        self.assertRegex(said, r"recency_days [0-9.]+, orders [0-9.]+, spend [0-9.]+")

    def test_ids_arrive_as_written(self):
        data, out = self.tmp / "customers.h5", self.tmp / "run"
        self.script("write_customers.py", data, 500)
        self.ok("fit", data, "--segments", 2, "--out", out)
        with h5py.File(data) as a, h5py.File(out / "assignments.h5") as b:
            self.assertEqual(list(a["id"].asstr()[:]), list(b["id"].asstr()[:]))

    def test_optional_datasets_are_used(self):
        """Outcomes and reach of the example file appear in the diagnostics by name."""
        data, out = self.tmp / "customers.h5", self.tmp / "run"
        self.script("write_customers.py", data, 2000)
        self.ok("fit", data, "--segments", 2, "--out", out)
        text = (out / "diagnostics.json").read_text()
        for name in ("visit", "revenue", "mail", "phone"):
            self.assertIn(f'"{name}"', text)

    def test_reader_notices_a_mixture(self):
        """Model of one fit beside the assignments of another: the reader refuses."""
        data, one, two = self.tmp / "customers.h5", self.tmp / "one", self.tmp / "two"
        self.script("write_customers.py", data, 2000)
        self.ok("fit", data, "--segments", 3, "--out", one)
        self.ok("fit", data, "--segments", 4, "--out", two)
        (two / "assignments.h5").replace(one / "assignments.h5")
        p = subprocess.run([sys.executable, SOURCE / "scripts/read_results.py", one], capture_output=True, text=True)
        self.assertNotEqual(p.returncode, 0)


main()
