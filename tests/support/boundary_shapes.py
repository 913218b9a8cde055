"""The JSON of the boundary tests: which keys, in which order. Where there is an object there may be null.

In a shape a dict is an object with exactly these keys in this order, a list an array of such things, None anything.
"""


def keys(words, **of):
    return {word: of.get(word) for word in words.split()}


INTERVAL = keys("value low high")
ESTIMATE = keys("value se low high")
HEAD = "command format_version n d k model_digest seed alpha adjust tests "
CHI_SQUARED = "chi_squared freedom p"

SWEEP = keys(
    HEAD + "observational replicates min_cell min_events objective outcomes segments shifts",
    outcomes=[keys("name n mean eta_squared binary exploratory exploratory_feature")],
    segments=[keys("segment size offset")],
    shifts=[keys("segment shift status target offset tied movers movers_weight with objective_change objective_change_share "
                 "outcomes",
                 **{"with": [keys("segment count")]}, objective_change=INTERVAL,
                 outcomes=[keys("name n movers left joined eta_squared_change difference contrast p p_adjusted verdict",
                                movers=INTERVAL, left=INTERVAL, joined=INTERVAL, eta_squared_change=INTERVAL,
                                difference=keys("value se"), contrast=keys("value se"))])])

ARM_MEAN = keys("arm n mean se")
REPLAY = keys(
    HEAD + "srm_alpha min_cell min_events campaign stopped outcomes",
    campaign=keys("arms control candidates policy arm_costs propensity sample_ratio", arms=[keys("arm name n expected share")],
                  sample_ratio=keys(CHI_SQUARED + " passed")),
    outcomes=[keys(
        "name n binary exploratory exploratory_feature arms effects segments value shifts verdicts",
        arms=[ARM_MEAN], effects=[keys("arm against difference p p_adjusted verdict", difference=ESTIMATE)],
        segments=[keys("segment size policy arms effects", arms=[ARM_MEAN],
                       effects=[keys("arm against difference", difference=ESTIMATE)])],
        value=keys("ipw aipw gain_over_control constant", ipw=ESTIMATE, aipw=ESTIMATE, gain_over_control=ESTIMATE,
                   constant=[keys("arm ipw aipw", ipw=ESTIMATE, aipw=ESTIMATE)]),
        shifts=[keys("segment shift target offset tied movers changing status ipw aipw per_mover p p_adjusted verdict",
                     ipw=ESTIMATE, aipw=ESTIMATE)],
        verdicts=[keys("segment verdict shift reason")])])

PLAN = keys(
    HEAD + "salt outcome outcome_sd effect power switch_share distance_strata band_share customers "
    "boundaries underpowered",
    boundaries=[keys("boundary segments gap band facet_customers customers outcome_mean outcome_sd sides",
                     sides=[keys("segment customers keep switch mde power")])])

ANALYZE = keys(
    HEAD + "experiment results outcome pre srm_alpha max_attrition min_cell min_events sample_ratio attrition stopped "
    "boundaries offsets",
    sample_ratio=keys("assigned observed passed", assigned=keys(CHI_SQUARED), observed=keys(CHI_SQUARED)),
    attrition=keys("missing share limit chi_squared p passed"),
    boundaries=[keys(
        "boundary segments gap band customers observed sides curve points crossing decision reason move shift",
        sides=[keys("segment other customers keep switch effect unadjusted_effect anytime p p_adjusted verdict cuped",
                    keep=keys("n mean"), switch=keys("n mean"), effect=ESTIMATE, unadjusted_effect=ESTIMATE,
                    anytime=keys("low high p rho"), cuped=keys("theta variance_reduction"))],
        curve=keys("intercept slope covariance", intercept=ESTIMATE, slope=ESTIMATE),
        points=[keys("segment strata distance effect se n")], crossing=INTERVAL,
        move=keys("distance offset_difference achieved"))])


def misshapen(got, shape, where=""):
    """Where `got` has other keys, or another order of them: lines."""
    if isinstance(shape, list):
        if not isinstance(got, list):
            return [f"{where}: {got!r} is no array"]
        return [line for i, item in enumerate(got) for line in misshapen(item, shape[0], f"{where}[{i}]")]
    if not isinstance(shape, dict) or got is None:
        return []
    if not isinstance(got, dict) or list(got) != list(shape):
        return [f"{where}: {list(got) if isinstance(got, dict) else got!r}, expected {list(shape)}"]
    return [line for key in shape for line in misshapen(got[key], shape[key], f"{where}.{key}")]
