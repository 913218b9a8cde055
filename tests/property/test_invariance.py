"""What must not change an answer for reasons of mathematics: repeated rows are weights, order, origin and units are
ours to choose, a feature without weight is no feature; and what assign and verify must say of a fit.

Most data here are multiples of a small power of two in a power-of-two number of rows, so that means are exact in
double precision and "the same" can be demanded of the bits.
"""
import shutil

import h5py
import numpy as np

import demarc_testing as t

ROWS = ("segment", "distance", "runner_up", "margin")
LLOYD = ("--algorithm", "lloyd", "--scale", "none")


def dyadic(seed, n, d, groups=4, step=1 / 128):
    """Overlapping groups of customers, every value a multiple of `step`."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(groups, d)) * 2
    x = centre[rng.integers(0, groups, n)] + rng.normal(size=(n, d))
    return np.rint(x / step) * step


class Same(t.Case):
    def init(self, centroids, name="init.h5"):
        path = self.tmp / name
        with h5py.File(path, "w") as f:
            f["centroids"] = np.asarray(centroids, dtype=np.float64)
        return path

    def fit(self, data, *options, out="run", ranks=1, threads=2):
        path = self.tmp / out
        self.ok("fit", data, "--out", path, "--force", "--quiet", *options, ranks=ranks, threads=threads)
        return self.results(path)

    def same_bytes(self, a, b, keys=ROWS):
        for key in keys:
            self.assertEqual(a[key].dtype, b[key].dtype, key)
            differ = np.flatnonzero(a[key].view(np.uint8).reshape(len(a[key]), -1) !=
                                    b[key].view(np.uint8).reshape(len(b[key]), -1))
            self.assertEqual(len(differ), 0, f"{key} differs in {len(differ)} bytes")


class Invariance(Same):
    # ---------------------------------------------------------------------------------------------- weights

    def weighted_and_repeated(self, x, count, *options):
        """Fits of customers with integer weights and of the same customers repeated, from the same centroids."""
        init = ("--init", self.init(x[[5, 50, 500, 1500]]))
        weighted = self.write("weighted.h5", x, weight=count.astype(np.float32))
        repeated = self.write("repeated.h5", np.repeat(x, count, axis=0))
        a = self.fit(weighted, "--segments", 4, *init, *options, out="a")
        b = self.fit(repeated, "--segments", 4, *init, *options, out="b", ranks=2)
        return a, b

    def test_integer_weights_are_repeated_rows(self):
        rng = np.random.default_rng(11)
        for name, x in (("dyadic", dyadic(1, 6000, 5)), ("float32", rng.normal(size=(6000, 5)).astype(np.float32) * 7)):
            count = rng.integers(1, 5, len(x))
            for passes in (1, 8, 300):
                with self.subTest(x=name, passes=passes):
                    a, b = self.weighted_and_repeated(x, count, *LLOYD, "--max-iterations", passes)
                    np.testing.assert_array_equal(np.repeat(a["segment"], count), b["segment"])
                    np.testing.assert_allclose(a["centroids"], b["centroids"], rtol=0, atol=1e-9)
                    self.assertAlmostEqual(a["attrs"]["objective"] / b["attrs"]["objective"], 1, delta=1e-9)
                    self.assertEqual(a["attrs"]["iterations"], b["attrs"]["iterations"])
                    self.assertEqual(a["size"].sum(), len(x))
                    self.assertEqual(b["size"].sum(), count.sum())

    def test_integer_weights_are_repeated_rows_when_scaled(self):
        """Moments are weighted too."""
        x = dyadic(2, 6000, 4) * [1, 8, 64, 0.125]
        count = np.random.default_rng(12).integers(1, 5, len(x))
        for scale in ("zscore", "minmax"):
            with self.subTest(scale=scale):
                a, b = self.weighted_and_repeated(x, count, "--algorithm", "lloyd", "--scale", scale)
                np.testing.assert_array_equal(np.repeat(a["segment"], count), b["segment"])
                np.testing.assert_allclose(a["centroids"], b["centroids"], rtol=1e-9, atol=1e-9)

    def test_weight_zero_is_absence(self):
        """Customers without weight get a segment but move no centroid."""
        x = dyadic(3, 6000, 4)
        weight = np.random.default_rng(13).integers(0, 3, len(x)).astype(np.float32)
        x[np.flatnonzero(weight == 0)[:100]] += 40  # they would be missed
        init = ("--init", self.init(x[weight > 0][[5, 50, 500, 1500]]))
        a = self.fit(self.write("zero.h5", x, weight=weight), "--segments", 4, *init, *LLOYD, out="a")
        absent = self.write("absent.h5", x[weight > 0], weight=weight[weight > 0])
        b = self.fit(absent, "--segments", 4, *init, *LLOYD, out="b")
        np.testing.assert_array_equal(a["segment"][weight > 0], b["segment"])
        np.testing.assert_allclose(a["centroids"], b["centroids"], rtol=0, atol=1e-9)
        self.assertAlmostEqual(a["attrs"]["objective"] / b["attrs"]["objective"], 1, delta=1e-9)

    # ---------------------------------------------------------------------------------------------- order of rows

    def shuffled(self, x, *options):
        """Fits of customers in two orders, the second sorted back by id."""
        n = len(x)
        ids = np.random.default_rng(21).permutation(10 * n)[:n].astype(np.int64)
        order = np.random.default_rng(22).permutation(n)
        init = ("--init", self.init(x[[1, 20, 300, 4000]]))
        a = self.fit(self.write("a.h5", x, id=ids), "--segments", 4, *init, *options, out="a")
        b = self.fit(self.write("b.h5", x[order], id=ids[order]), "--segments", 4, *init, *options, out="b", ranks=2)
        np.testing.assert_array_equal(a["id"], ids)
        np.testing.assert_array_equal(b["id"], ids[order])
        back = np.empty(n, dtype=np.int64)
        back[order] = np.arange(n)
        return a, {**b, **{key: b[key][back] for key in ROWS}}

    def test_order_of_rows(self):
        for passes in (2, 300):
            with self.subTest(passes=passes):
                a, b = self.shuffled(dyadic(4, 8192, 5), *LLOYD, "--max-iterations", passes)
                self.same_bytes(a, b, (*ROWS, "centroids", "centroids_scaled"))

    def test_order_of_rows_without_exact_means(self):
        """Any float32 values and any number of rows: the means may round otherwise, the segments may not."""
        x = np.random.default_rng(23).normal(size=(7001, 5)).astype(np.float32)
        a, b = self.shuffled(x, *LLOYD)
        np.testing.assert_array_equal(a["segment"], b["segment"])
        np.testing.assert_allclose(a["centroids"], b["centroids"], rtol=0, atol=1e-9)

    # ---------------------------------------------------------------------------------------------- origin and units

    def test_origin_of_a_column(self):
        """Unix times: 2^-7 s apart at 1.7e9 s, far below what float32 can tell there."""
        x = dyadic(5, 8192, 4)
        start = x[[1, 20, 300, 4000]]
        for shift in (1.7e9, -1.7e9, 12345.0):
            with self.subTest(shift=shift):
                move = np.array([0, shift, 0, 0])
                init = self.init(start), self.init(start + move, "moved_init.h5")
                a = self.fit(self.write("a.h5", x), "--segments", 4, "--init", init[0], *LLOYD, out="a")
                b = self.fit(self.write("b.h5", x + move), "--segments", 4, "--init", init[1], *LLOYD, out="b", ranks=2)
                np.testing.assert_array_equal((x + move) - move, x)
                self.same_bytes(a, b)
                self.assertEqual(a["attrs"]["objective"], b["attrs"]["objective"])
                np.testing.assert_array_equal(a["centroids"][:, [0, 2, 3]], b["centroids"][:, [0, 2, 3]])
                # The shifted centroid is rounded to a double near the shift.
                np.testing.assert_allclose(b["centroids"][:, 1] - shift, a["centroids"][:, 1], rtol=0,
                                           atol=np.spacing(abs(shift)))

    def test_units_that_are_powers_of_two(self):
        """Scaling takes the units out again, and powers of two leave the bits: same draws, labels, distances."""
        x = dyadic(6, 20000, 5) + 3
        unit = 2.0 ** np.array([0, 20, -9, 1, -30])
        for options in (("--scale", "zscore"), ("--scale", "robust", "--algorithm", "lloyd", "--init", "random"),
                        ("--scale", "minmax", "--init", "kmeans++"), ("--scale", "zscore", "--segments", "2:4")):
            options = ("--segments", 5, "--batch-size", 2048, "--polish", 2, *options)
            options = options[2:] if options.count("--segments") > 1 else options
            for dtype in (np.float32, np.float64):
                with self.subTest(options=options, dtype=dtype):
                    a = self.fit(self.write("a.h5", x.astype(dtype)), *options, out="a")
                    b = self.fit(self.write("b.h5", (x * unit).astype(dtype)), *options, out="b")
                    self.same_bytes(a, b, (*ROWS, "centroids_scaled"))
                    np.testing.assert_array_equal(a["centroids"] * unit, b["centroids"])
                    self.assertEqual(a["attrs"]["objective"], b["attrs"]["objective"])

    def test_unit_of_everything_unscaled(self):
        """--scale none: all in millimetres or light years; distances that float32 cannot hold are refused."""
        x = dyadic(7, 8192, 4)
        start = x[[1, 20, 300, 4000]]
        a = self.fit(self.write("a.h5", x), "--segments", 4, "--init", self.init(start), *LLOYD, out="a")
        for power in (3, -40, 100, -100):
            with self.subTest(power=power):
                unit = 2.0 ** power
                init = ("--init", self.init(start * unit))
                b = self.fit(self.write("b.h5", x * unit), "--segments", 4, *init, *LLOYD, out="b")
                self.same_bytes(a, b, ("segment", "runner_up"))
                for key in ("distance", "margin"):
                    np.testing.assert_array_equal(a[key].astype(np.float64) * unit, b[key].astype(np.float64))
                np.testing.assert_array_equal(a["centroids"] * unit, b["centroids"])
                self.assertEqual(a["attrs"]["objective"] * unit * unit, b["attrs"]["objective"])
        for power, words in ((200, "too far apart"), (-200, "too close together")):
            self.fails(3, f"values {words}: ", "fit", self.write("b.h5", x * 2.0**power), "--segments", 4, "--scale", "none",
                       "--out", self.tmp / "c")

    # ---------------------------------------------------------------------------------------------- features

    def left_out(self, *options):
        """A fit with a feature of weight 0 must equal the one without the feature; returns the latter."""
        names = ["recency", "frequency", "noise", "monetary", "basket"]
        x = dyadic(8, 20000, 5)
        x[:, 2] *= 100
        keep = [0, 1, 3, 4]
        whole = self.write("whole.h5", x, names=names)
        short = self.write("short.h5", x[:, keep], names=[names[i] for i in keep])
        a = self.fit(whole, "--segments", 5, "--feature-weights", "noise=0", *options, out="a")
        b = self.fit(short, "--segments", 5, *options, out="b")
        self.assertEqual(a["centroids"].shape, (5, 5))
        np.testing.assert_array_equal(a["segment"], b["segment"])
        self.assertEqual(a["attrs"]["iterations"], b["attrs"]["iterations"])
        np.testing.assert_array_equal(a["runner_up"], b["runner_up"])
        for key in ("distance", "margin"):
            np.testing.assert_allclose(a[key], b[key], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(a["centroids"][:, keep], b["centroids"], rtol=1e-9, atol=1e-9)
        return b

    def test_feature_without_weight_is_left_out(self):
        for options in (("--tolerance", 0), ("--tolerance", 0, "--scale", "none", "--init", "random"),
                        ("--algorithm", "lloyd", "--init", "kmeans++", "--tolerance", 0)):
            with self.subTest(options=options):
                self.left_out(*options, "--batch-size", 2048)

    def test_feature_without_weight_does_not_move_the_stop_rule(self):
        """The tolerance is a share of the mean feature variance, here 1: of the features that count."""
        options = ("--algorithm", "lloyd", "--init", "random")
        shift = [p["shift"] for p in self.left_out(*options, "--tolerance", 0)["diagnostics"]["passes"]]
        self.assertGreater(len(shift), 12)
        for p in (3, 6, 9):  # a tolerance that the shift of one pass undercuts by a tenth
            with self.subTest(p=p):
                self.left_out(*options, "--tolerance", repr(shift[p] / 0.9))

    def test_weights_of_features(self):
        """A weight multiplies the scaled feature: doing so by hand with --scale none gives the same."""
        x = dyadic(9, 8192, 3)
        start = x[[1, 20, 300, 4000]]
        weight = np.array([1, 4, 0.5])
        a = self.fit(self.write("a.h5", x), "--segments", 4, "--init", self.init(start), *LLOYD,
                     "--feature-weights", "f1=4,f2=0.5", out="a")
        init = ("--init", self.init(start * weight))
        b = self.fit(self.write("b.h5", x * weight), "--segments", 4, *init, *LLOYD, out="b")
        self.same_bytes(a, b)
        np.testing.assert_array_equal(a["centroids"] * weight, b["centroids"])
        self.assertFalse(np.array_equal(a["centroids_scaled"], a["centroids"]))


class Assign(Same):
    NAMES = ["recency", "frequency", "monetary", "basket", "tenure"]

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(31)
        self.x = np.exp(dyadic(10, 20001, 5)).astype(np.float32)
        self.x[rng.random(self.x.shape) < 0.01] = np.nan
        self.ids = np.array([b"c%06d" % i for i in rng.permutation(20001)])
        self.weight = rng.integers(0, 4, 20001).astype(np.float32)

    def everything(self, *options, weight=True):
        """A fit that uses all there is to remember in a model."""
        columns = {"weight": self.weight} if weight else {}
        self.data = self.write("data.h5", self.x, id=self.ids, names=self.NAMES, **columns)
        return self.fit(self.data, "--segments", 5, "--missing", "mean", "--log1p", "monetary,basket",
                        "--feature-weights", "tenure=0.5", "--batch-size", 2048, "--polish", 1, *options, ranks=2)

    def assign(self, data, out="assigned.h5", ranks=1, **kw):
        path = self.tmp / out
        p = self.ok("assign", data, "--model", self.tmp / "run" / "model.h5", "--out", path, "--force", "--quiet",
                    "--json", ranks=ranks, **kw)
        with h5py.File(path, "r") as f:
            return {key: f[key][()] for key in f}, t.json.loads(p.stdout)

    def test_own_data(self):
        for scale in ("zscore", "robust", "minmax", "none"):
            with self.subTest(scale=scale):
                fit = self.everything("--scale", scale)
                for ranks in (1, 3):
                    found, said = self.assign(self.data, ranks=ranks)
                    self.same_bytes(fit, found)
                    np.testing.assert_array_equal(found["id"], self.ids)
                    self.assertEqual(said["digest"], fit["attrs"]["digest"])
                    self.assertEqual(said["objective"], fit["attrs"]["objective"])
                    self.assertEqual(said["size"], fit["size"].tolist())

    def test_columns_in_another_order(self):
        """By name, in any order, with columns the model does not know."""
        fit = self.everything()
        other = np.column_stack([np.full(len(self.x), 7), self.x[:, [3, 0, 4, 2, 1]]])
        names = ["unknown", *(self.NAMES[i] for i in (3, 0, 4, 2, 1))]
        for first in (0, 1):  # with and without the unknown column
            for dtype in (np.float32, np.float64):
                with self.subTest(first=first, dtype=dtype):
                    data = self.write("other.h5", other[:, first:].astype(dtype), id=self.ids, names=names[first:],
                                      weight=self.weight)
                    found, said = self.assign(data, ranks=2)
                    self.same_bytes(fit, found)
                    self.assertEqual(said["digest"], fit["attrs"]["digest"])
        data = self.write("short.h5", other[:, 2:], names=names[2:])
        out = self.tmp / "none.h5"
        self.fails(3, "basket", "assign", data, "--model", self.tmp / "run" / "model.h5", "--out", out)
        self.assertFalse(out.exists())

    def test_some_customers(self):
        """A customer's segment does not depend on who else is in the file."""
        fit = self.everything(weight=False)
        some = np.sort(np.random.default_rng(32).permutation(len(self.x))[:5000])[::-1]
        found, _ = self.assign(self.write("some.h5", self.x[some], id=self.ids[some], names=self.NAMES), ranks=2)
        self.same_bytes({key: np.ascontiguousarray(fit[key][some]) for key in ROWS}, found)


class Verify(Same):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(41)
        x = dyadic(12, 9001, 4).astype(np.float32)
        self.n = len(x)
        self.data = self.write("data.h5", x, id=rng.permutation(self.n) + 10**12)
        self.fit(self.data, "--segments", 4, out="right")

    def copy(self):
        wrong = self.tmp / "wrong"
        shutil.rmtree(wrong, ignore_errors=True)
        shutil.copytree(self.tmp / "right", wrong)
        return wrong

    def test_right(self):
        for ranks in (1, 3):
            p = self.ok("verify", self.tmp / "right", ranks=ranks)
            self.assertIn(self.results(self.tmp / "right")["attrs"]["digest"], p.stdout)

    def detects(self, name, key, change, pattern, ranks=1):
        """One value of one file replaced: exit 6 and a line that names what is wrong."""
        wrong = self.copy()
        with h5py.File(wrong / name, "r+") as f:
            if key.startswith("@"):
                before = f.attrs[key[1:]]
                f.attrs[key[1:]] = change(before)
                self.assertNotEqual(f.attrs[key[1:]], before)
            else:
                v = f[key][()]
                i = tuple(s // 2 for s in v.shape)
                before = v[i]
                v[i] = change(v[i])
                self.assertNotEqual(v[i], before)
                f[key][...] = v
        self.fails(6, pattern, "verify", wrong, ranks=ranks)

    def test_wrong_assignments(self):
        def next_up(v):
            return np.nextafter(v, np.float32(np.inf))

        def other(v):
            return (v + 1) % 4

        middle = self.n // 2
        for ranks in (1, 2):
            for key, change in (("segment", other), ("runner_up", other), ("distance", next_up), ("margin", next_up),
                                ("id", lambda v: v + 1)):
                with self.subTest(key=key, ranks=ranks):
                    self.detects("assignments.h5", key, change, rf"/{key} of row {middle}\b", ranks)

    def test_first_and_last_row(self):
        for row in (0, 4095, 4096, self.n - 1):
            for key in ("segment", "margin"):
                with self.subTest(row=row, key=key):
                    wrong = self.copy()
                    with h5py.File(wrong / "assignments.h5", "r+") as f:
                        f[key][row] = 0 if key == "margin" else (f[key][row] + 1) % 4
                    self.fails(6, rf"/{key} of row {row}\b", "verify", wrong, ranks=1 + row % 2)

    def test_text_ids(self):
        x = dyadic(13, 500, 3)
        data = self.write("text.h5", x, id=np.array([b"customer %d" % i for i in range(500)]))
        self.fit(data, "--segments", 3, out="right")
        self.ok("verify", self.tmp / "right")
        self.detects("assignments.h5", "id", lambda v: b"customer 25x", "/id of row 250")

    def test_wrong_model(self):
        for key, change, pattern in (
                ("@objective", lambda v: np.nextafter(v, np.inf), "objective"),
                ("@digest", lambda v: ("1" if v[0] == "0" else "0") + v[1:], "digest"),
                ("size", lambda v: v + 1, "size"),
                ("centroids", lambda v: np.nextafter(v, np.inf), "centroid"),
                ("centroids", lambda v: v + 1, "centroid"),
                ("centroids_scaled", lambda v: v + 1, "centroid"),
                ("offsets", lambda v: v + 1, "."),
                ("transform/origin", lambda v: v + 1, "."),
                ("transform/factor", lambda v: v * 2, "."),
                ("transform/centroids", lambda v: np.nextafter(v, np.inf), ".")):
            with self.subTest(key=key):
                self.detects("model.h5", key, change, pattern)

    def test_wrong_manifest(self):
        for key, change in (("objective", lambda v: float(np.nextafter(v, np.inf))), ("digest", lambda v: v[::-1])):
            with self.subTest(key=key):
                path = self.copy() / "manifest.json"
                manifest = t.json.loads(path.read_text())
                manifest["result"][key] = change(manifest["result"][key])
                path.write_text(t.json.dumps(manifest))
                self.fails(6, key, "verify", path.parent)

    def test_other_input(self):
        """One value of the input changed, a customer's id changed, a customer gone."""
        with h5py.File(self.data, "r") as f:
            x, ids = f["features"][()], f["id"][()]
        moved, renamed = x.copy(), ids.copy()
        moved[4321, 2] += 0.5
        renamed[4321] += 10**6
        for name, columns, pattern in (("moved", (moved, ids), "row 4321"),
                                       ("renamed", (x, renamed), "/id of row 4321"),
                                       ("shorter", (x[:-1], ids[:-1]), "rows")):
            with self.subTest(name):
                data = self.write(f"{name}.h5", columns[0], id=columns[1])
                for ranks in (1, 2):
                    self.fails(6, pattern, "verify", self.tmp / "right", "--data", data, ranks=ranks)


if __name__ == "__main__":
    t.main()
