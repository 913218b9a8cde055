#include "cli/fit_options.h"

#include <math.h>

#define FEATURES "Features"
#define SEARCH "Search"

/* In the order of the enums of the public API. */
static const char *const scale_words[] = {"zscore", "robust", "minmax", "none", NULL};
static const char *const missing_words[] = {"error", "mean", NULL};
static const char *const store_words[] = {"auto", "f16", "f32", NULL};
static const char *const algorithm_words[] = {"minibatch", "lloyd", NULL};

void cli_fit_features_add(cli_line *line, demarc_fit_options *o)
{
    const cli_option table[] = {
        CLI_OPTION(FEATURES, "scale", "HOW", CLI_CHOICE, &o->scale,
                   "zscore, robust (median and quartiles), minmax or none", .word = scale_words, .show_default = true),
        CLI_OPTION(FEATURES, "log1p", "NAMES", CLI_TEXT, &o->log1p,
                   "features to take log(1 + x) of, separated by commas"),
        CLI_OPTION(FEATURES, "feature-weights", "LIST", CLI_TEXT, &o->feature_weights,
                   "NAME=W,...: multiply scaled features by W (default: all 1)"),
        CLI_OPTION(FEATURES, "missing", "HOW", CLI_CHOICE, &o->missing,
                   "missing values: error, or mean to fill them in", .word = missing_words, .show_default = true),
        CLI_OPTION(
            FEATURES, "store", "HOW", CLI_CHOICE, &o->store,
            "features in memory: f16 (a float16 file as it is), f32, or auto: f16 where the file is float16; only "
            "memory and speed depend on it",
            .word = store_words, .show_default = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}

void cli_fit_search_add(cli_line *line, demarc_fit_options *o)
{
    const cli_option table[] = {
        CLI_OPTION(
            SEARCH, "init", "HOW", CLI_TEXT, &o->init,
            "first centroids: kmeans||, kmeans++, random, or an HDF5 file with /centroids [k, d] in original units "
            "(default kmeans||)"),
        CLI_OPTION(SEARCH, "restarts", "N", CLI_INT32, &o->restarts, "searches; the best is kept", .min = 1, .max = 1e4,
                   .show_default = true),
        CLI_OPTION(SEARCH, "algorithm", "NAME", CLI_CHOICE, &o->algorithm, "minibatch, then polished; or lloyd",
                   .word = algorithm_words, .show_default = true),
        CLI_OPTION(SEARCH, "batch-size", "N", CLI_INT64, &o->batch_size,
                   "rows of the first mini-batch (each holds the one before and as many again); 0 = automatic",
                   .min = 0, .max = 1e12, .show_default = true),
        CLI_OPTION(SEARCH, "max-epochs", "N", CLI_INT32, &o->max_epochs, "mini-batch rows drawn per customer, at most",
                   .min = 1, .max = 1e6, .show_default = true),
        CLI_OPTION(SEARCH, "polish", "N", CLI_INT32, &o->polish,
                   "full passes after the mini-batches; -1 = until converged", .min = -1, .max = 1e6,
                   .show_default = true),
        CLI_OPTION(SEARCH, "max-iterations", "N", CLI_INT32, &o->max_iterations, "full passes at most", .min = 1,
                   .max = 1e6, .show_default = true),
        CLI_OPTION(SEARCH, "tolerance", "X", CLI_REAL, &o->tolerance,
                   "stop when the squared centroid shift is at most X times the mean feature variance", .min = 0,
                   .max = INFINITY, .show_default = true),
        CLI_OPTION(SEARCH, "seed", "N", CLI_UINT64, &o->seed, "the same seed gives the same result",
                   .show_default = true),
    };
    cli_line_add(line, table, sizeof table / sizeof *table);
}
