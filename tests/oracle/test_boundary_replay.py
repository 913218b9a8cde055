"""`demarc boundary replay` against brute force (tests/support/replay_oracle.py)."""
import json

import numpy as np

import boundary_data as data
import boundary_oracle as oracle
import boundary_shapes as shapes
import demarc_testing as t
import replay_oracle


class Replay(t.Case):
    def fitted(self, customers, k):
        self.ok("fit", customers, "--segments", k, "--out", self.tmp / "run", "--quiet", "--force")
        return self.tmp / "run" / "model.h5"

    def agrees(self, model, customers, *options, shifts=oracle.SHIFTS, scale=1.0, **kw):
        """Everything that replay says. @return its JSON"""
        shown = ("--shifts", ",".join(map(str, shifts))) if shifts is not oracle.SHIFTS else ()
        p = self.ok("boundary", "replay", customers, "--model", model, "--json", *shown, *options)
        got = json.loads(p.stdout)
        want = replay_oracle.replay(oracle.Frozen(model, customers), shifts, **kw)
        self.assertEqual(shapes.misshapen(got, shapes.REPLAY), [])
        self.assertEqual(oracle.differences(got, want, scale, rtol=1e-8 if scale > 1 else 1e-9), [])
        return got

    def words(self, got):
        """What was decided, to see that a case decides something."""
        return {s["verdict"] for o in got["outcomes"] for s in o["shifts"]} | {
            e["verdict"] for o in got["outcomes"] for e in o["effects"]}


def campaign(rng, x, arms, size=1.0):
    """Arms at random; the effect of arm a changes sign along feature 0, each at another place."""
    n = len(x)
    arm = rng.integers(0, arms, n)
    effect = size * (x[:, 0] + 0.5 * arm - 1.0) * (arm > 0)
    y = {"spend": 20.0 + x[:, 1] + effect + rng.standard_normal(n),
         "visit": (rng.random(n) < np.clip(0.3 + 0.2 * effect, 0.02, 0.98)).astype(float),
         "tenure": rng.lognormal(0, 1, n) + 0.2 * effect}
    y["tenure"][rng.random(n) < 0.2] = np.nan
    return arm, y


class AgainstBruteForce(Replay):
    def test_two_to_four_arms(self):
        seen = set()
        for k, n, arms, seed in ((2, 600, 2, 0), (3, 1500, 3, 5), (5, 3500, 4, 2**63 + 9)):
            with self.subTest(k=k):
                rng = np.random.default_rng(100 + k)
                x, _ = data.clusters(rng, n, 3, k)
                arm, y = campaign(rng, x, arms, 3.0)
                path = data.write_customers(self.tmp / f"{k}.h5", x, y, (arm, ["control", "mail", "call", "visit"][:arms]))
                seen |= self.words(self.agrees(self.fitted(path, k), path, "--seed", seed, seed=seed))
        self.assertGreaterEqual(seen, {"raises", "lowers", "gain", "loss", "undecided", None})

    def test_weights_ids_and_offsets(self):
        rng = np.random.default_rng(31)
        x, _ = data.clusters(rng, 1600, 2, 3)
        arm, y = campaign(rng, x, 3, 1.5)
        weight = rng.gamma(2.0, 0.5, len(x)).astype(np.float32)
        weight[rng.random(len(x)) < 0.1] = 0
        for name, ids in (("text", data.string_ids(len(x), rng)), ("signed", rng.permutation(len(x)) - 700)):
            path = data.write_customers(self.tmp / f"{name}.h5", x, y, (arm, None), id=ids, weight=weight)
            model = data.move_offsets(self.fitted(path, 3), [0.2, -0.3, 0.5])
            self.agrees(model, path, "--adjust", "bh", "--alpha", 0.1, how="bh", alpha=0.1)
            self.agrees(model, path, "--outcome", "tenure", outcomes=["tenure"])

    def test_propensities_of_the_file(self):
        rng = np.random.default_rng(32)
        x, _ = data.clusters(rng, 2000, 2, 3)
        _, y = campaign(rng, x, 3, 1.5)
        e = np.column_stack([np.full(len(x), 0.4), 0.2 + 0.2 * (x[:, 0] > 0), 0.4 - 0.2 * (x[:, 0] > 0)])
        arm = (rng.random(len(x))[:, None] > e.cumsum(1)).sum(1)
        path = data.write_customers(self.tmp / "x.h5", x, y, (arm, None), propensity=e)
        got = self.agrees(self.fitted(path, 3), path, "--min-cell", 10, min_cell=10)
        self.assertEqual(got["campaign"]["propensity"], "file")

    def test_control_and_candidates(self):
        rng = np.random.default_rng(33)
        x, _ = data.clusters(rng, 1500, 2, 3)
        arm, y = campaign(rng, x, 3, 1.5)
        arm = np.array([0, 3, 1])[arm]  # arm 2 is in the list only
        names = ["mail", "call", "nobody", "Control"]
        shares = ("--arm-shares", "1,1,0,1")
        path = data.write_customers(self.tmp / "x.h5", x, y, (arm, names))
        model = self.fitted(path, 3)
        for options, kw, control in (((), {}, 3), (("--control", "mail"), {"control": "mail"}, 0),
                                     (("--control", "1"), {"control": "1"}, 1), (("--control", "none"), {"control": "none"}, None),
                                     (("--arms", "mail,call"), {"candidates": [0, 1]}, 3)):
            with self.subTest(options=options):
                got = self.agrees(model, path, *shares, *options, arm_shares=[1, 1, 0, 1], **kw)
                self.assertEqual(got["campaign"]["control"], control)

    def test_policies_that_are_given(self):
        rng = np.random.default_rng(37)
        x, _ = data.clusters(rng, 2500, 2, 4)
        arm, y = campaign(rng, x, 4, 2.0)
        arm[arm == 3] = 2
        weight = rng.gamma(4.0, 0.25, len(x)).astype(np.float32)
        names = ["no, thanks", "Mens=E-Mail", "a call", "nobody"]
        path = data.write_customers(self.tmp / "x.h5", x, y, (arm, names), weight=weight)
        model = self.fitted(path, 4)
        seen = set()
        for option, policy in (("0=Mens=E-Mail,1=no,, thanks,2=Mens=E-Mail,3=a call", [1, 0, 1, 2]),
                               ("3=0,2=1,1=2,0=0", [0, 2, 1, 0]), ("0=2,1=2,2=2,3=2", [2, 2, 2, 2])):
            with self.subTest(policy=policy):
                got = self.agrees(model, path, "--policy", option, "--arm-shares", "1,1,2,0", policy=policy, arm_shares=[1, 1, 2, 0])
                self.assertEqual([s["policy"] for s in got["outcomes"][0]["segments"]], [[a, a] for a in policy])
                seen |= {s["status"] for s in got["outcomes"][0]["shifts"]}
        self.assertGreaterEqual(seen, {"ok", "same arm"})

    def test_costs_of_arms(self):
        """A cost changes what is learnt and is taken off all values and changes; large ones lose no digits."""
        rng = np.random.default_rng(38)
        x, _ = data.clusters(rng, 2500, 2, 4)
        arm, y = campaign(rng, x, 3, 2.0)
        path = data.write_customers(self.tmp / "x.h5", x, y, (arm, ["control", "mail", "call=2"]))
        model = self.fitted(path, 4)
        learnt = {}
        for option, costs in ((None, None), ("mail=0.5,call=2=1.25", {1: 0.5, 2: 1.25}), ("2=1e6,0=-0.25", {0: -0.25, 2: 1e6}),
                              ("control=1e6,1=1e6", {0: 1e6, 1: 1e6}), ("1=0", {})):
            with self.subTest(costs=costs):
                options = () if option is None else ("--arm-costs", option)
                got = self.agrees(model, path, "--outcome", "spend", *options, outcomes=["spend"], costs=costs, seed=0,
                                  scale=1e6 if costs and max(costs.values()) > 10 else 1.0)
                learnt[option] = [s["policy"] for s in got["outcomes"][0]["segments"]]
                self.assertEqual(got["campaign"]["arm_costs"], None if option is None else [costs.get(a, 0.0) for a in range(3)])
        self.assertNotEqual(learnt[None], learnt["mail=0.5,call=2=1.25"])
        self.assertEqual(learnt[None], learnt["1=0"])
        self.assertNotIn(2, np.ravel(learnt["2=1e6,0=-0.25"]))
        policy = "0=1,1=2,2=0,3=1"
        self.agrees(model, path, "--outcome", "visit", "--policy", policy, "--arm-costs", "2=0.1", outcomes=["visit"],
                    policy=[1, 2, 0, 1], costs={2: 0.1})

    def test_control_of_the_file(self):
        """The attribute: a name, or "" = none was named."""
        import h5py
        rng = np.random.default_rng(36)
        x, _ = data.clusters(rng, 800, 2, 2)
        arm, y = campaign(rng, x, 2)
        for name, control in (("mail", 1), ("", None)):
            path = data.write_customers(self.tmp / f"x{control}.h5", x, y, (arm, ["none", "mail"]))
            with h5py.File(path, "r+") as f:
                f["arm"].attrs["control"] = name
            got = self.agrees(self.fitted(path, 2), path)
            self.assertEqual(got["campaign"]["control"], control)

    def test_sample_ratio_stops_the_verdicts(self):
        rng = np.random.default_rng(34)
        x, _ = data.clusters(rng, 1200, 2, 2)
        arm, y = campaign(rng, x, 2, 2.0)
        arm[:150] = 0
        path = data.write_customers(self.tmp / "x.h5", x, y, (arm, None))
        got = self.agrees(self.fitted(path, 2), path)
        self.assertFalse(got["campaign"]["sample_ratio"]["passed"])
        self.assertIn("sample ratio", got["stopped"])
        self.assertEqual(self.words(got), {None})
        self.assertEqual(got["tests"], 0)

    def test_ties_and_small_cells(self):
        """Cuts among equals, arms too rare for a policy in some segment, a binary outcome with few events."""
        rng = np.random.default_rng(35)
        x = rng.integers(-2, 3, (900, 2)).astype(float)
        arm, y = campaign(rng, x, 3, 1.0)
        arm[(x[:, 0] > 0) & (arm == 2) & (rng.random(900) < 0.8)] = 0
        y["rare"] = (rng.random(900) < 0.02).astype(float)
        e = np.tile(np.bincount(arm, minlength=3) / 900, (900, 1))
        path = data.write_customers(self.tmp / "g.h5", x, y, (arm, None), id=data.string_ids(900, rng), propensity=e)
        for offsets in (None, [0.5, 0.0, -1.0]):
            model = data.write_model(self.tmp / "m.h5", [[-1, -1], [1, 0], [0, 1]], offsets)
            got = self.agrees(model, path, shifts=(-0.3, -0.9, 0.3, 0.6, 40.0))
            status = {s["status"] for o in got["outcomes"] for s in o["shifts"]}
            self.assertGreaterEqual(status, {"ok", "not enough data", "impossible"})


if __name__ == "__main__":
    t.main()
