#include "engine/final_pass.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "engine/final_run.h"

/* near and /distance; with a runner-up also gap, away, margin and /margin. No branches: roots and divisions as vectors. */
static void row_figures(const dm_final_run *run, const dm_final_part *p, const dm_assignment_rows *out, int64_t rows)
{
    const double *restrict squared = p->squared, *restrict own = p->own, *restrict second = p->second;
    double *restrict near = p->near, *restrict away = p->away, *restrict gap = p->gap, *restrict margin = p->margin;
    float *restrict distance_out = out->distance, *restrict margin_out = out->margin;
    const double unit = run->unit;
    for (int64_t r = 0; r < rows; r++) {
        near[r] = sqrt(squared[r]);
        distance_out[r] = (float)(near[r] * unit);
    }
    if (run->k == 1) { /* there is no boundary */
        for (int64_t r = 0; r < rows; r++) margin_out[r] = INFINITY;
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        const int32_t other = out->runner_up[r];
        gap[r] = run->gap[(int64_t)out->segment[r] * run->k + other];
        away[r] = second[r] + run->centers.b[other];
    }
    for (int64_t r = 0; r < rows; r++) {
        away[r] = sqrt(away[r]);
        const double m = (second[r] - own[r]) / (2.0 * gap[r]);
        margin[r] = gap[r] > 0.0 ? m : 0.0; /* equal centroids have their boundary everywhere */
        margin_out[r] = (float)(margin[r] * unit);
    }
}

/* Block sums, rows in order. `away` becomes the silhouette's term. */
static void add_sums(const dm_final_run *run, dm_final_part *p, const int32_t *segment, int64_t rows, const float *x,
                     const float *w)
{
    const double *restrict squared = p->squared, *restrict near = p->near, *restrict gap = p->gap;
    const double *restrict margin = p->margin;
    double *restrict away = p->away;
    double square = 0.0;
    memset(p->block, 0, (size_t)run->k * DM_SUMS * sizeof *p->block);
    for (int64_t r = 0; r < rows; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        double *s = p->block + (int64_t)segment[r] * DM_SUMS;
        s[DM_SUM_WEIGHT] += wr;
        s[DM_SUM_WITHIN] += wr * squared[r];
        s[DM_SUM_DISTANCE] += wr * near[r];
        p->size[segment[r]]++;
        square += wr * run->kernel->squared_distance(x + r * run->d, run->zero, run->d);
    }
    for (int64_t r = 0; r < rows && run->k > 1; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r], most = away[r] > near[r] ? away[r] : near[r];
        const double term = wr * (away[r] - near[r]) / most;
        away[r] = most > 0.0 ? term : 0.0;
    }
    for (int64_t r = 0; r < rows && run->k > 1; r++) {
        const double wr = w == NULL ? 1.0 : (double)w[r];
        double *s = p->block + (int64_t)segment[r] * DM_SUMS;
        s[DM_SUM_MARGIN] += wr * margin[r];
        s[DM_SUM_NEAR] += margin[r] < DM_NEAR_RULE * 0.5 * gap[r] ? wr : 0.0;
        s[DM_SUM_SILHOUETTE] += away[r];
    }
    for (int32_t j = 0; j < run->k; j++) p->lost += !isfinite(p->block[(int64_t)j * DM_SUMS + DM_SUM_WITHIN]);
    for (int64_t i = 0; i < (int64_t)run->k * DM_SUMS; i++) dm_exact_sum_add(&p->sum[i], p->block[i]);
    dm_exact_sum_add(&p->square, square);
}

static void final_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    dm_final_run *run = context;
    dm_final_part *p = &run->part[thread];
    const int64_t at = begin - run->window_begin;
    const dm_assignment_rows out = {run->out.segment + at, run->out.runner_up + at, run->out.distance + at,
                                    run->out.margin + at};
    if (run->o->exhaustive) {
        dm_nearest_two_exhaustive(run->kernel, &run->centers, x, rows, out.segment, out.runner_up, p->squared, p->own,
                                  p->second);
    } else {
        dm_nearest_two(run->kernel, &run->centers, &p->tile, x, rows, out.segment, out.runner_up, p->squared, p->own,
                       p->second);
    }
    row_figures(run, p, &out, rows);
    add_sums(run, p, out.segment, rows, x, w);
    const uint64_t block = (uint64_t)(begin / DM_BLOCK_ROWS) * 4;
    const size_t bytes = (size_t)rows * 4;
    dm_digest_add(&p->digest, block, out.segment, bytes);
    dm_digest_add(&p->digest, block + 1, out.runner_up, bytes);
    dm_digest_add(&p->digest, block + 2, out.distance, bytes);
    dm_digest_add(&p->digest, block + 3, out.margin, bytes);
    if (run->profile != NULL && !run->o->reach_only)
        dm_profile_add_features(run->profile, thread, out.segment, rows, x, w);
}

/* ---- comparing with what is stored ---- */

static demarc_status differs(const dm_final_run *run, int64_t row, const char *what, double stored, double right)
{
    return dm_fail(DEMARC_ERR_VERIFY, "verification failed: %s, /%s of row %lld is %.9g, should be %.9g: fit again",
                   dm_assignments_path(run->o->compare), what, (long long)row, stored, right);
}

static demarc_status compare_window(const dm_final_run *run, int64_t begin, int64_t count,
                                    const dm_assignment_rows *stored)
{
    demarc_status st = DEMARC_OK;
    int64_t id = -1;
    const dm_assignment_rows *right = &run->out;
    DM_TRY(dm_assignments_read(run->o->compare, begin, count, stored));
    for (int64_t i = 0; i < count; i++) {
        if (stored->segment[i] != right->segment[i]) {
            return differs(run, begin + i, "segment", stored->segment[i], right->segment[i]);
        }
        if (stored->runner_up[i] != right->runner_up[i]) {
            return differs(run, begin + i, "runner_up", stored->runner_up[i], right->runner_up[i]);
        }
        if (memcmp(&stored->distance[i], &right->distance[i], sizeof(float)) != 0) {
            return differs(run, begin + i, "distance", (double)stored->distance[i], (double)right->distance[i]);
        }
        if (memcmp(&stored->margin[i], &right->margin[i], sizeof(float)) != 0) {
            return differs(run, begin + i, "margin", (double)stored->margin[i], (double)right->margin[i]);
        }
    }
    DM_TRY(dm_assignments_compare_ids(run->o->compare, run->o->customers, begin, count, &id));
    if (id >= 0) {
        st = dm_fail(DEMARC_ERR_VERIFY, "verification failed: %s, /id of row %lld is not the input's: fit again",
                     dm_assignments_path(run->o->compare), (long long)id);
    }
cleanup:
    return st;
}

/* ---- set-up, reduction ---- */

static demarc_status rows_create(dm_assignment_rows *r, int64_t rows)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc(r->segment, rows, "results"));
    DM_TRY(dm_alloc(r->runner_up, rows, "results"));
    DM_TRY(dm_alloc(r->distance, rows, "results"));
    DM_TRY(dm_alloc(r->margin, rows, "results"));
cleanup:
    return st;
}

static void rows_destroy(dm_assignment_rows *r)
{
    dm_free(r->segment);
    dm_free(r->runner_up);
    dm_free(r->distance);
    dm_free(r->margin);
}

static demarc_status run_create(dm_final_run *run, int64_t window_rows)
{
    demarc_status st = DEMARC_OK;
    const dm_model *m = run->o->model;
    const int32_t k = run->k, d = run->d;
    double *offsets = NULL;
    DM_TRY(dm_centers_create(&run->centers, k, d));
    DM_TRY(dm_alloc(offsets, k, "offsets"));
    for (int32_t j = 0; j < k; j++) offsets[j] = m->offsets[j] / (run->unit * run->unit);
    dm_centers_set(&run->centers, k, m->centroids, offsets);
    DM_TRY(dm_alloc_zero(run->zero, d, "final pass"));
    DM_TRY(dm_alloc(run->gap, (int64_t)k * k, "final pass"));
    for (int32_t a = 0; a < k; a++) {
        for (int32_t b = 0; b < k; b++) {
            double s = 0.0;
            for (int32_t f = 0; f < d; f++) {
                const double t = m->centroids[(int64_t)a * d + f] - m->centroids[(int64_t)b * d + f];
                s += t * t;
            }
            run->gap[(int64_t)a * k + b] = sqrt(s);
        }
    }
    for (int i = 0; i < (run->o->writer != NULL ? DM_FINAL_RING : 1); i++)
        DM_TRY(rows_create(&run->ring[i], window_rows));
    DM_TRY(dm_alloc_zero(run->part, run->threads, "final pass"));
    for (int t = 0; t < run->threads; t++) {
        dm_final_part *p = &run->part[t];
        if (!run->o->exhaustive) DM_TRY(dm_tile_create(&p->tile, k));
        DM_TRY(dm_alloc(p->squared, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->own, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->second, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->near, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->away, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->gap, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->margin, DM_BLOCK_ROWS, "final pass"));
        DM_TRY(dm_alloc(p->block, (int64_t)k * DM_SUMS, "final pass"));
        DM_TRY(dm_alloc_zero(p->sum, (int64_t)k * DM_SUMS, "final pass"));
        DM_TRY(dm_alloc_zero(p->size, k, "final pass"));
    }
cleanup:
    dm_free(offsets);
    return st;
}

static void run_destroy(dm_final_run *run)
{
    for (int t = 0; t < run->threads && run->part != NULL; t++) {
        dm_final_part *p = &run->part[t];
        dm_tile_destroy(&p->tile);
        dm_free(p->squared);
        dm_free(p->own);
        dm_free(p->second);
        dm_free(p->near);
        dm_free(p->away);
        dm_free(p->gap);
        dm_free(p->margin);
        dm_free(p->block);
        dm_free(p->sum);
        dm_free(p->size);
    }
    dm_free(run->part);
    dm_free(run->gap);
    dm_free(run->zero);
    dm_centers_destroy(&run->centers);
    for (int i = 0; i < DM_FINAL_RING; i++) rows_destroy(&run->ring[i]);
    dm_profile_destroy(&run->profile);
    dm_free(run->done.range);
    dm_free(run->window.range);
}

static void reduce(dm_final_run *run, dm_comm *comm)
{
    dm_final_part *p = &run->part[0];
    const int64_t cells = (int64_t)run->k * DM_SUMS;
    for (int t = 1; t < run->threads; t++) {
        const dm_final_part *q = &run->part[t];
        for (int64_t i = 0; i < cells; i++) dm_exact_sum_merge(&p->sum[i], &q->sum[i]);
        dm_exact_sum_merge(&p->square, &q->square);
        for (int32_t j = 0; j < run->k; j++) p->size[j] += q->size[j];
        p->lost += q->lost;
        dm_digest_merge(&p->digest, &q->digest);
    }
    dm_comm_sum_exact(comm, p->sum, cells);
    dm_comm_sum_exact(comm, &p->square, 1);
    dm_comm_sum_i64(comm, p->size, run->k);
    dm_comm_sum_i64(comm, &p->lost, 1);
    dm_comm_sum_i64(comm, &p->digest.low, 1);
    dm_comm_sum_i64(comm, &p->digest.high, 1);
}

/* ---- figures ---- */

static demarc_status diagnostics_create(dm_diagnostics *g, int32_t k)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(dm_alloc_zero(g->size, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->weight, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->within, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->mean_distance, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->mean_margin, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->near_boundary, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->segment_silhouette, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->nearest, k, "diagnostics"));
    DM_TRY(dm_alloc_zero(g->centroid_gap, k, "diagnostics"));
cleanup:
    return st;
}

/* Davies & Bouldin 1979: mean over segments of the worst (scatter_a + scatter_b) / gap. */
static double davies_bouldin(const dm_final_run *run, const dm_diagnostics *g)
{
    double total = 0.0;
    int32_t counted = 0;
    for (int32_t a = 0; a < run->k; a++) {
        if (g->size[a] == 0) continue;
        double worst = 0.0;
        for (int32_t b = 0; b < run->k; b++) {
            const double gap = run->gap[(int64_t)a * run->k + b] * run->unit;
            if (b != a && g->size[b] > 0 && gap > 0.0)
                worst = fmax(worst, (g->mean_distance[a] + g->mean_distance[b]) / gap);
        }
        total += worst;
        counted++;
    }
    return run->k > 1 && counted > 0 ? total / counted : (double)NAN;
}

/* Totals, criteria and per-segment figures from the reduced sums; sums of k in fixed order. */
static void fill_figures(const dm_final_run *run, dm_diagnostics *g)
{
    const dm_final_part *p = &run->part[0];
    const double unit = run->unit, unit2 = unit * unit;
    dm_exact_sum weight = {0}, within = {0}, silhouette = {0};
    for (int32_t j = 0; j < run->k; j++) {
        const dm_exact_sum *s = p->sum + (int64_t)j * DM_SUMS;
        const double w = dm_exact_sum_value(&s[DM_SUM_WEIGHT]);
        dm_exact_sum_merge(&weight, &s[DM_SUM_WEIGHT]);
        dm_exact_sum_merge(&within, &s[DM_SUM_WITHIN]);
        dm_exact_sum_merge(&silhouette, &s[DM_SUM_SILHOUETTE]);
        g->size[j] = p->size[j];
        g->weight[j] = w;
        g->within[j] = dm_exact_sum_value(&s[DM_SUM_WITHIN]) * unit2;
        g->mean_distance[j] = dm_exact_sum_value(&s[DM_SUM_DISTANCE]) / w * unit;
        const bool alone = run->k == 1;
        g->mean_margin[j] = alone ? (double)NAN : dm_exact_sum_value(&s[DM_SUM_MARGIN]) / w * unit;
        g->near_boundary[j] = alone ? (double)NAN : dm_exact_sum_value(&s[DM_SUM_NEAR]) / w;
        g->segment_silhouette[j] = alone ? (double)NAN : dm_exact_sum_value(&s[DM_SUM_SILHOUETTE]) / w;
        g->nearest[j] = -1;
        g->centroid_gap[j] = (double)NAN;
        for (int32_t b = 0; b < run->k; b++) {
            const double gap = run->gap[(int64_t)j * run->k + b] * unit;
            if (b != j && (g->nearest[j] < 0 || gap < g->centroid_gap[j])) {
                g->nearest[j] = b;
                g->centroid_gap[j] = gap;
            }
        }
    }
    g->total_weight = dm_exact_sum_value(&weight);
    g->objective = dm_exact_sum_value(&within) * unit2;
    /* Working space has its origin at the mean, so the sum of squares is the total sum of squares. */
    g->total = dm_exact_sum_value(&p->square) * unit2;
    g->silhouette = run->k == 1 ? (double)NAN : dm_exact_sum_value(&silhouette) / g->total_weight;
    g->near_boundary_rule = DM_NEAR_RULE;
    g->davies_bouldin = davies_bouldin(run, g);
    const double freedom = g->total_weight - run->k; /* customers, or weight when weighted */
    g->calinski_harabasz = run->k > 1 && freedom > 0.0 && g->objective > 0.0
                               ? ((g->total - g->objective) / (run->k - 1)) / (g->objective / freedom)
                               : (double)NAN;
}

/* What the digest covers, in this order: rows, shape, centroids and offsets as saved, objective. */
static demarc_status make_digest(const dm_final_run *run, double objective, char digest[40])
{
    demarc_status st = DEMARC_OK;
    const dm_model *m = run->o->model;
    const int64_t kd = (int64_t)run->k * run->d, words = 5 + kd + run->k + 1;
    double *all = NULL;
    char hex[33];
    DM_TRY(dm_alloc(all, words, "digest"));
    const int64_t head[5] = {run->part[0].digest.low, run->part[0].digest.high, dm_rows_global(run->o->rows), run->k,
                             run->d};
    memcpy(all, head, sizeof head);
    for (int64_t i = 0; i < kd; i++)
        all[5 + i] = dm_transform_to_original(&m->transform, (int32_t)(i % run->d), m->centroids[i]);
    memcpy(all + 5 + kd, m->offsets, (size_t)run->k * sizeof *all);
    all[words - 1] = objective;
    dm_hash128_hex(all, (size_t)words * sizeof *all, hex);
    snprintf(digest, 40, "%s", hex);
cleanup:
    dm_free(all);
    return st;
}

demarc_status dm_final_pass(const dm_final_options *o, dm_diagnostics *g, char digest[40], double *write_seconds)
{
    demarc_status st = DEMARC_OK;
    const dm_rows_options *opened = dm_rows_opened_with(o->rows);
    dm_comm *comm = opened->comm;
    const int64_t window_rows = (int64_t)DM_FINAL_BLOCKS * DM_BLOCK_ROWS;
    int64_t windows = 0;
    const double start = dm_clock();
    dm_assignment_rows stored = {0};
    dm_final_run run = {.o = o,
                        .kernel = opened->kernel,
                        .threads = opened->threads,
                        .k = o->model->k,
                        .d = o->model->d,
                        .unit = o->model->transform.unit};
    *g = (dm_diagnostics){.n = dm_rows_global(o->rows), .d = run.d, .k = run.k, .weighted = dm_rows_weighted(o->rows)};
    if (write_seconds != NULL) *write_seconds = 0.0;
    st = run_create(&run, window_rows);
    if (st == DEMARC_OK) st = diagnostics_create(g, run.k);
    if (st == DEMARC_OK && o->compare != NULL) st = rows_create(&stored, window_rows);
    if (st == DEMARC_OK && o->scan != NULL)
        st = dm_profile_create(&run.profile, o->rows, o->customers, o->model, o->scan);
    if (st == DEMARC_OK && o->left != NULL) st = dm_final_restore(&run, dm_comm_rank(comm) == 0);
    if (st == DEMARC_OK) st = dm_final_windows(&run);
    DM_TRY_ALL(comm, st);
    windows = run.window.count;
    dm_comm_max_i64(comm, &windows, 1); /* writing is collective: all ranks take as many turns */
    for (; run.turn < windows; run.turn++) {
        if (o->edge != NULL) DM_TRY(o->edge(o->edge_context, &run));
        const dm_row_range none = {0, 0}, mine = run.turn < run.window.count ? run.window.range[run.turn] : none;
        const int64_t begin = mine.begin, end = mine.end;
        run.window_begin = begin;
        run.out = run.ring[o->writer != NULL ? run.turn % DM_FINAL_RING : 0];
        if (end > begin) st = dm_rows_pass_range(o->rows, begin, end, final_block, &run);
        if (st == DEMARC_OK && run.profile != NULL) {
            st = dm_profile_add_outcomes(run.profile, run.out.segment, begin, end);
        }
        if (st == DEMARC_OK && o->compare != NULL && end > begin)
            st = compare_window(&run, begin, end - begin, &stored);
        DM_TRY_ALL(comm, st);
        if (o->writer != NULL) {
            const double before = dm_clock();
            DM_TRY(dm_assignments_write(o->writer, begin, end - begin, &run.out));
            if (write_seconds != NULL) *write_seconds += dm_clock() - before;
        }
        dm_log_progress(opened->log, "assign", run.turn + 1, windows, start);
    }
    if (o->writer != NULL) {
        const double before = dm_clock();
        DM_TRY_ALL(comm, dm_assignments_wait(o->writer));
        if (write_seconds != NULL) *write_seconds += dm_clock() - before;
    }
    reduce(&run, comm);
    fill_figures(&run, g);
    if (o->writer != NULL && (run.part[0].lost > 0 || !isfinite(g->objective))) {
        DM_TRY(dm_fail(DEMARC_ERR_IMPOSSIBLE,
                       "distances beyond double precision: %s: check the units of its features, and the centroids",
                       dm_customers_path(o->customers)));
    }
    if (run.profile != NULL) DM_TRY(dm_profile_finish(run.profile, comm, g));
    DM_TRY_ALL(comm, make_digest(&run, g->objective, digest));
    snprintf(g->digest, sizeof g->digest, "%s", digest);
cleanup:
    if (st != DEMARC_OK && o->writer != NULL) dm_assignments_discard(o->writer); /* it reads what is freed next */
    rows_destroy(&stored);
    run_destroy(&run);
    if (st != DEMARC_OK) dm_diagnostics_clear(g);
    return st;
}
