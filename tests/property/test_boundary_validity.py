"""Validity of the boundary tests by simulation, few experiments of fixed seeds (bench/validity has a thousand of each).

The bounds are such that a valid method passes with these seeds, while p-values without adjustment or standard errors that
are 30% too small do not: those err in 15 to 50 of 100 nulls and cover in 83%.
"""
import demarc_testing as t
import boundary_simulation as simulation

FAMILY = (0.0, 0.1)  # 5 of 100 expected
COVER = (0.905, 0.985)


class Validity(t.Case):
    def study(self, name, experiments, bounds, **options):
        run = simulation.Program(t.DEMARC)
        found = simulation.summary(simulation.experiments(run, name, range(experiments), **options))
        for figure, (low, high) in bounds.items():
            rate, error, trials = found[figure]
            with self.subTest(study=name, figure=figure):
                self.assertGreaterEqual(trials, experiments)
                self.assertTrue(low <= rate <= high, f"{rate:.3f} (se {error:.3f}, {trials} trials), not in {low} to {high}")

    def test_sweep_of_nothing(self):
        self.study("sweep_of_nothing", 60, {"family error": (0.0, 0.05), "covers": COVER})

    def test_sweep_of_the_middle(self):
        self.study("sweep_of_the_middle", 100, {"family error": (0.0, 0.06), "found": (0.99, 1.0)})

    def test_sweep_of_a_line(self):
        self.study("sweep_of_a_line", 60, {"covers": COVER})

    def test_replay_of_nothing(self):
        self.study("replay_of_nothing", 80, {"family error": FAMILY, "sample ratio stops": (0.0, 0.03)})

    def test_replay_of_arms(self):
        self.study("replay_of_arms", 80, {"effect in a segment covers": COVER, "constant value (aipw) covers": COVER,
                                          "value (ipw) covers": (0.88, 1.0), "value (aipw) covers": (0.88, 1.0)})

    def test_replay_of_small_cells(self):
        """Red when a customer is valued by what was learnt on its own half."""
        self.study("replay_of_small_cells", 30, {"value (aipw)": (-0.04, 0.04), "value (ipw)": (-0.04, 0.04),
                                                 "change per changing mover": (-0.05, 0.05)})

    def test_analyze_of_nothing(self):
        self.study("analyze_of_nothing", 80, {"family error": FAMILY, "covers": COVER, "stopped": (0.0, 0.0)})

    def test_analyze_of_a_crossing(self):
        self.study("analyze_of_a_crossing", 80, {
            "effect covers": (0.9, 0.99), "crossing covers": (0.88, 1.0), "crossing is bounded": (1.0, 1.0),
            "widens the right one": (0.9, 1.0), "widens the wrong one": (0.0, 0.0)})

    def test_looking_every_day(self):
        """Ten looks: an interval of a fixed horizon leaves the truth in a quarter of the cases."""
        self.study("analyze_day_by_day", 30, {"anytime ever excludes the truth": (0.0, 0.05),
                                              "fixed horizon ever excludes the truth": (0.1, 0.5)}, days=10)

    def test_power_that_was_promised(self):
        self.study("plan_keeps_its_promise", 60, {"found less promised": (-0.1, 0.1)})


if __name__ == "__main__":
    t.main()
