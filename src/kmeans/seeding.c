/*
 * Seeding.
 *
 * k-means|| (Bahmani, Moseley, Vattani, Kumar & Vassilvitskii 2012): from one random centre, a few rounds each draw about
 * l = 2k rows, every row independently with probability min(1, l w d^2(x) / phi), d the distance to the nearest centre
 * so far and phi = sum w d^2. The candidates' cells (their weighted means) are then clustered on rank 0 (recluster.c).
 * One pass over the rows a round: see row_sampler.h. If after the usual rounds fewer than k candidates are distinct,
 * rounds go on until there are k, or until phi = 0 proves that there are fewer distinct customers.
 *
 * A large file is seeded from the first level of the nested sample (row_sample.h) that the mini-batches start from, too; if
 * that holds fewer than k distinct customers, from all. Draws are keyed by the row, or by its position in the sample.
 * There the centroids of k-means|| are one of several starts of a search on a coreset (coreset.c), the others greedy
 * k-means++: cells of few candidates blur which of two optima is better, a few thousand customers do not. Where so many
 * segments are wanted that one start is all there is time for, it is that of greedy k-means++.
 *
 * k-means++ (Arthur & Vassilvitskii 2007) on all rows is the same with one row drawn per pass; "random" draws k rows.
 */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter_rng.h"
#include "base/memory.h"
#include "kmeans/kmeans.h"
#include "kmeans/row_sampler.h"

#define ROUNDS 5
#define RECLUSTER_MOST 4e8  /* multiply-adds that a search among few points may take: a blink */
#define RECLUSTER_LEAST 2e7 /* for a start that goes on from there */
#define CORESET_ROWS 4096   /* at least, and */
#define CORESET_PER_SEGMENT 48
#define CORESET_MANY 128    /* the same where one start is all there is time for: it must not overfit, */
#define CORESET_EXCHANGE 32 /* unless exchanges follow, which make up for that */
#define SUM_ROWS 32         /* rows summed in double before they join the exact sum: the same on every layout */
#define MOST_ROUNDS 1000 /* a step in the counter's key space per restart; each round adds at least one distinct row */

/* The candidates so far and the state of a round. */
typedef struct seeder {
    dm_kmeans *km;
    int32_t restart;
    double *candidate; /* [capacity, d] */
    int32_t count, capacity;
    int32_t fresh;  /* candidates added by the last round: only these are new to `nearest` */
    float *nearest; /* [rows of this rank's pass] squared distance to the nearest candidate, or NULL when streamed */
    /* one pass */
    dm_purpose purpose;
    uint64_t step;
    bool race;    /* exponential race instead of Poisson keys */
    bool uniform; /* mass = w instead of w d^2 */
    dm_centers centers;
    dm_tile *tile;
    int32_t *label;
    double *squared;
    dm_sampler *sampler;
    dm_exact_sum *phi; /* [threads] */
} seeder;

static double row_uniform(const seeder *s, int64_t row)
{
    const dm_random4 r = dm_random(s->km->seed, s->purpose, s->step, (uint64_t)row >> 1);
    return (row & 1) != 0 ? dm_uniform(r.v[2], r.v[3]) : dm_uniform(r.v[0], r.v[1]);
}

static void sample_block(void *context, int thread, int64_t begin, int64_t rows, const float *x, const float *w)
{
    seeder *s = context;
    const dm_kmeans *km = s->km;
    const int64_t local = begin - dm_kmeans_first(km);
    double *squared = s->squared + (int64_t)thread * DM_BLOCK_ROWS;
    dm_sampler *sampler = &s->sampler[thread];
    double sum = 0.0;
    if (!s->uniform) {
        dm_nearest_distance(km->kernel, &s->centers, &s->tile[thread], x, rows,
                            s->label + (int64_t)thread * DM_BLOCK_ROWS, squared);
    }
    for (int64_t r = 0; r < rows; r++) {
        double mass = w == NULL ? 1.0 : (double)w[r];
        if (!s->uniform) {
            /* Rounded to float: a minimum of rounded values is the rounded minimum, so keeping it or recomputing it
             * against all candidates (streamed) gives the same bits. */
            float near = (float)squared[r];
            if (s->nearest != NULL) {
                if (s->nearest[local + r] < near) near = s->nearest[local + r];
                s->nearest[local + r] = near;
            }
            mass *= (double)near;
        }
        sum += mass;
        if (r % SUM_ROWS == SUM_ROWS - 1 || r == rows - 1) {
            dm_exact_sum_add(&s->phi[thread], sum);
            sum = 0.0;
        }
        if (!(mass > 0.0)) continue;
        const double u = row_uniform(s, begin + r);
        const double key = (s->race ? -log(u) : u) / mass;
        if (dm_sampler_wants(sampler, key, begin + r)) dm_sampler_offer(sampler, key, begin + r, x + r * km->d);
    }
}

/*
 * One pass that draws: at most `most` rows with the smallest keys, and phi.
 * The rows' nearest candidate distances are brought up to date on the way.
 */
static demarc_status draw(seeder *s, int32_t most, dm_drawn **drawn, float **x, int32_t *count, double *phi)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = s->km;
    *drawn = NULL;
    *x = NULL;
    /* With a memory of the nearest only the new candidates need a look; streamed rows have none. */
    const int32_t from = s->nearest != NULL ? s->count - s->fresh : 0, k = s->count - from;
    DM_TRY(dm_kmeans_edge(km));
    if (!s->uniform) {
        st = dm_centers_create(&s->centers, k > 0 ? k : 1, km->d);
        if (st == DEMARC_OK) dm_centers_set(&s->centers, k, s->candidate + (int64_t)from * km->d, NULL);
    }
    if (st == DEMARC_OK) st = dm_alloc_zero(s->tile, km->threads, "seeding");
    if (st == DEMARC_OK) st = dm_alloc_zero(s->sampler, km->threads, "seeding");
    if (st == DEMARC_OK) st = dm_alloc_zero(s->phi, km->threads, "seeding");
    if (st == DEMARC_OK) st = dm_alloc(s->label, (int64_t)km->threads * DM_BLOCK_ROWS, "seeding");
    if (st == DEMARC_OK) st = dm_alloc(s->squared, (int64_t)km->threads * DM_BLOCK_ROWS, "seeding");
    for (int t = 0; t < km->threads && st == DEMARC_OK; t++) {
        if (!s->uniform) st = dm_tile_create(&s->tile[t], k);
        if (st == DEMARC_OK) st = dm_sampler_create(&s->sampler[t], most, km->d);
    }
    DM_TRY_ALL(km->comm, st);
    DM_TRY_ALL(km->comm, dm_kmeans_pass(km, sample_block, s));
    for (int t = 1; t < km->threads; t++) dm_exact_sum_merge(&s->phi[0], &s->phi[t]);
    dm_comm_sum_exact(km->comm, &s->phi[0], 1);
    *phi = dm_exact_sum_value(&s->phi[0]);
    DM_TRY(dm_sampler_collect(km->comm, s->sampler, km->threads, drawn, x, count));
cleanup:
    for (int t = 0; t < km->threads; t++) {
        if (s->tile != NULL) {
            km->settled += s->tile[t].settled;
            dm_tile_destroy(&s->tile[t]);
        }
        if (s->sampler != NULL) dm_sampler_destroy(&s->sampler[t]);
    }
    dm_free(s->tile);
    dm_free(s->sampler);
    dm_free(s->phi);
    dm_free(s->label);
    dm_free(s->squared);
    s->tile = NULL;
    s->sampler = NULL;
    s->phi = NULL;
    s->label = NULL;
    s->squared = NULL;
    dm_centers_destroy(&s->centers);
    return st;
}

/* Add `count` rows x to the candidates. */
static demarc_status add_candidates(seeder *s, const float *x, int32_t count)
{
    const int32_t d = s->km->d;
    if (s->count + count > s->capacity) {
        const int32_t capacity = 2 * (s->count + count);
        double *grown = NULL;
        demarc_status st = dm_comm_agree(s->km->comm, dm_alloc(grown, (int64_t)capacity * d, "seeding candidates"));
        if (st != DEMARC_OK) {
            dm_free(grown);
            return st;
        }
        if (s->count > 0) memcpy(grown, s->candidate, (size_t)s->count * (size_t)d * sizeof *grown);
        dm_free(s->candidate);
        s->candidate = grown;
        s->capacity = capacity;
    }
    for (int64_t i = 0; i < (int64_t)count * d; i++) s->candidate[(int64_t)s->count * d + i] = (double)x[i];
    s->count += count;
    s->fresh = count;
    return DEMARC_OK;
}

/* True if candidate a equals an earlier one. */
static bool is_repeat(const seeder *s, int32_t a)
{
    const int32_t d = s->km->d;
    for (int32_t b = 0; b < a; b++) {
        if (memcmp(s->candidate + (int64_t)a * d, s->candidate + (int64_t)b * d, (size_t)d * sizeof(double)) == 0)
            return true;
    }
    return false;
}

/* Candidates that differ, as far as `wanted` of them. */
static int32_t count_distinct(const seeder *s, int32_t wanted)
{
    int32_t distinct = 0;
    for (int32_t a = 0; a < s->count && distinct < wanted; a++) distinct += !is_repeat(s, a);
    return distinct;
}

static demarc_status too_few(int32_t distinct, int32_t k)
{
    return dm_fail(
        DEMARC_ERR_IMPOSSIBLE,
        "fewer distinct customers than segments: %d segments asked, %d distinct customers (after scaling, with weight "
        "> 0): lower --segments",
        (int)k, (int)distinct);
}

/* First centre: one customer drawn by weight. */
static demarc_status draw_first(seeder *s)
{
    demarc_status st = DEMARC_OK;
    dm_drawn *drawn = NULL;
    float *x = NULL;
    int32_t count = 0;
    double phi = 0.0;
    s->purpose = DM_PURPOSE_SEED_FIRST;
    s->step = (uint64_t)s->restart;
    s->race = true;
    s->uniform = true;
    DM_TRY(draw(s, 1, &drawn, &x, &count, &phi));
    DM_TRY(add_candidates(s, x, count));
cleanup:
    s->uniform = false;
    dm_free(drawn);
    dm_free(x);
    return st;
}

/* The candidates' cells: their weighted means, on rank 0 clustered into k, sent to all. */
static demarc_status recluster_cells(seeder *s, int32_t k, double *centroids)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = s->km;
    dm_centers centers = {0};
    dm_segment_sums sums = {0};
    double *y = NULL, *w = NULL;
    int64_t m = 0;
    st = dm_centers_create(&centers, s->count, km->d);
    if (st == DEMARC_OK) st = dm_segment_sums_create(&sums, s->count, km->d, km->threads);
    if (st == DEMARC_OK) st = dm_alloc(y, (int64_t)s->count * km->d, "seeding cells");
    if (st == DEMARC_OK) st = dm_alloc(w, s->count, "seeding cells");
    DM_TRY_ALL(km->comm, st);
    dm_centers_set(&centers, s->count, s->candidate, NULL);
    DM_TRY(dm_assign_pass(km, &centers, &sums, NULL));
    for (int32_t j = 0; j < s->count; j++) {
        if (!dm_segment_sums_mean(&sums, &km->grid, j, y + m * km->d)) continue;
        w[m++] = dm_segment_sums_weight(&sums, &km->grid, j);
    }
    if (m < k) DM_TRY(too_few((int32_t)m, k));
    st = DEMARC_OK;
    if (dm_comm_rank(km->comm) == 0) {
        const dm_recluster_options o = {
            km->kernel, km->threads,          km->sample == NULL ? RECLUSTER_MOST : RECLUSTER_LEAST,
            km->seed,   (uint64_t)s->restart, NULL,
            0};
        st = dm_recluster(&o, y, w, m, km->d, k, centroids);
    }
    DM_TRY_ALL(km->comm, st);
    dm_comm_bcast(km->comm, centroids, (int64_t)k * km->d * (int64_t)sizeof *centroids, 0);
cleanup:
    dm_centers_destroy(&centers);
    dm_segment_sums_destroy(&sums);
    dm_free(y);
    dm_free(w);
    return st;
}

/* k-means|| as its authors have it. */
static demarc_status rounds(seeder *s, int32_t k, double *centroids)
{
    demarc_status st = DEMARC_OK;
    dm_drawn *drawn = NULL;
    float *x = NULL;
    const int32_t wanted = k <= 128 ? 2 * k : k <= 256 ? 256 : k; /* Bahmani et al. draw k / 2 to 2k a round */
    DM_TRY(draw_first(s));
    s->purpose = DM_PURPOSE_SEED_ROUND;
    s->race = false;
    for (int32_t round = 0; round < ROUNDS || count_distinct(s, k) < k; round++) {
        int32_t count = 0, taken = 0;
        double phi = 0.0;
        s->step = (uint64_t)s->restart * MOST_ROUNDS + (uint64_t)round;
        DM_TRY(draw(s, 4 * wanted, &drawn, &x, &count, &phi));
        if (!(phi > 0.0)) break; /* every customer is a candidate */
        const double limit = (double)wanted / phi;
        while (taken < count && drawn[taken].key < limit) taken++;
        if (taken == 0) taken = 1;
        DM_TRY(add_candidates(s, x, taken));
        dm_log_detail(s->km->log, "k-means|| round %d: phi %.9g, %d rows drawn", (int)round + 1, phi, (int)taken);
        dm_free(drawn);
        dm_free(x);
        drawn = NULL;
        x = NULL;
        if (round + 1 >= MOST_ROUNDS) break;
    }
    const int32_t distinct = count_distinct(s, k);
    if (distinct < k) DM_TRY(too_few(distinct, k));
    DM_TRY(recluster_cells(s, k, centroids));
cleanup:
    dm_free(drawn);
    dm_free(x);
    return st;
}

/* Points distinct from each other among the first of a coreset, as far as `wanted` goes. */
static int32_t distinct_points(const double *y, int64_t m, int32_t d, int32_t wanted)
{
    int32_t found = 0;
    for (int64_t i = 0; i < m && found < wanted; i++) {
        bool repeat = false;
        for (int64_t j = 0; j < i && !repeat; j++) repeat = memcmp(y + i * d, y + j * d, (size_t)d * sizeof *y) == 0;
        found += !repeat;
    }
    return found;
}

static dm_recluster_options search_of(const dm_kmeans *km, int32_t restart)
{
    return (dm_recluster_options){
        km->kernel, km->threads, RECLUSTER_MOST, km->seed, (uint64_t)restart + (UINT64_C(1) << 32), NULL, 0};
}

bool dm_seed_once(const dm_kmeans *km, int32_t k)
{
    const dm_recluster_options o = search_of(km, 0);
    const int64_t points = (int64_t)k * CORESET_PER_SEGMENT;
    return !dm_recluster_wants_start(&o, points > CORESET_ROWS ? points : CORESET_ROWS, km->d, k);
}

/* On all rows k-means||; on a sample the best of several starts on a coreset, that of k-means|| among them. */
static demarc_status seed_parallel(seeder *s, const dm_kmeans_options *fit, double *centroids)
{
    demarc_status st = DEMARC_OK;
    dm_kmeans *km = s->km;
    const int32_t k = fit->k;
    double *y = NULL, *w = NULL, *found = NULL;
    int64_t m = 0;
    if (km->sample == NULL) return rounds(s, k, centroids);
    dm_recluster_options o = search_of(km, s->restart);
    const int64_t wanted = (int64_t)k * (!dm_seed_once(km, k)          ? CORESET_PER_SEGMENT
                                         : dm_exchange_wanted(km, fit) ? CORESET_EXCHANGE
                                                                       : CORESET_MANY);
    DM_TRY(dm_coreset(km, s->restart, wanted > CORESET_ROWS ? wanted : CORESET_ROWS, &y, &w, &m));
    if (distinct_points(y, m, km->d, k) < k) DM_TRY(too_few((int32_t)m, k)); /* then all rows are asked */
    if (dm_recluster_wants_start(&o, m, km->d, k)) {
        DM_TRY(rounds(s, k, centroids));
        o.start = centroids;
    }
    if (dm_comm_rank(km->comm) == 0) {
        st = dm_alloc(found, (int64_t)k * km->d, "seeding");
        if (st == DEMARC_OK) st = dm_recluster(&o, y, w, m, km->d, k, found);
        if (st == DEMARC_OK) memcpy(centroids, found, (size_t)k * (size_t)km->d * sizeof *found);
    }
    DM_TRY_ALL(km->comm, st);
    dm_comm_bcast(km->comm, centroids, (int64_t)k * km->d * (int64_t)sizeof *centroids, 0);
cleanup:
    dm_free(y);
    dm_free(w);
    dm_free(found);
    return st;
}

/* Until there are k candidates, one more row a pass by D^2 (k-means++): it differs from all before. */
static demarc_status draw_until(seeder *s, int32_t k)
{
    demarc_status st = DEMARC_OK;
    dm_drawn *drawn = NULL;
    float *x = NULL;
    s->purpose = DM_PURPOSE_SEED_ROUND;
    s->race = true;
    s->uniform = false;
    while (s->count < k) {
        int32_t count = 0;
        double phi = 0.0;
        s->step = ((uint64_t)s->restart << 32) + (uint64_t)s->count;
        DM_TRY(draw(s, 1, &drawn, &x, &count, &phi));
        if (count == 0) DM_TRY(too_few(s->count, k));
        DM_TRY(add_candidates(s, x, 1));
        dm_free(drawn);
        dm_free(x);
        drawn = NULL;
        x = NULL;
    }
cleanup:
    dm_free(drawn);
    dm_free(x);
    return st;
}

static demarc_status seed_plus_plus(seeder *s, int32_t k, double *centroids)
{
    demarc_status st = DEMARC_OK;
    DM_TRY(draw_first(s));
    DM_TRY(draw_until(s, k));
    memcpy(centroids, s->candidate, (size_t)k * (size_t)s->km->d * sizeof *centroids);
cleanup:
    return st;
}

/* k distinct rows: the k smallest keys among all rows; where values repeat the rest by k-means++ draws. */
static demarc_status seed_random(seeder *s, int32_t k, double *centroids)
{
    demarc_status st = DEMARC_OK;
    dm_drawn *drawn = NULL;
    float *x = NULL;
    int32_t count = 0;
    double phi = 0.0;
    s->purpose = DM_PURPOSE_SEED_RANDOM;
    s->step = (uint64_t)s->restart;
    s->race = true;
    s->uniform = true;
    DM_TRY(draw(s, k, &drawn, &x, &count, &phi));
    for (int32_t i = 0; i < count; i++) {
        DM_TRY(add_candidates(s, x + (int64_t)i * s->km->d, 1));
        if (is_repeat(s, s->count - 1)) s->count--;
    }
    s->fresh = s->count; /* no pass has looked at any of them */
    DM_TRY(draw_until(s, k));
    memcpy(centroids, s->candidate, (size_t)k * (size_t)s->km->d * sizeof *centroids);
cleanup:
    dm_free(drawn);
    dm_free(x);
    return st;
}

static demarc_status seed_rows(dm_kmeans *km, const dm_kmeans_options *o, int32_t restart, double *centroids)
{
    demarc_status st = DEMARC_OK;
    const int64_t rows = dm_kmeans_rows(km);
    seeder s = {.km = km, .restart = restart};
    if (km->sample != NULL || !dm_rows_streamed(km->rows)) st = dm_alloc(s.nearest, rows, "seeding distances");
    DM_TRY_ALL(km->comm, st);
    for (int64_t i = 0; s.nearest != NULL && i < rows; i++) s.nearest[i] = INFINITY;
    switch (o->init) {
    case DM_INIT_PARALLEL:
        DM_TRY(seed_parallel(&s, o, centroids));
        break;
    case DM_INIT_PLUS_PLUS:
        DM_TRY(seed_plus_plus(&s, o->k, centroids));
        break;
    case DM_INIT_RANDOM:
        DM_TRY(seed_random(&s, o->k, centroids));
        break;
    case DM_INIT_GIVEN:
        break;
    }
cleanup:
    dm_free(s.nearest);
    dm_free(s.candidate);
    return st;
}

demarc_status dm_seed(dm_kmeans *km, const dm_kmeans_options *o, int32_t restart, double *centroids)
{
    demarc_status st = DEMARC_OK;
    const double start = dm_clock();
    const int64_t read_before = dm_rows_bytes_read(km->rows);
    DM_TRY(dm_kmeans_edge(km));
    if (o->init == DM_INIT_GIVEN) {
        memcpy(centroids, o->given, (size_t)o->k * (size_t)km->d * sizeof *centroids);
        return DEMARC_OK;
    }
    if (km->positive < o->k) DM_TRY(too_few((int32_t)km->positive, o->k));
    st = seed_rows(km, o, restart, centroids);
    if (st == DEMARC_ERR_IMPOSSIBLE && km->sample != NULL) {
        km->sample = NULL;
        st = seed_rows(km, o, restart, centroids);
    }
cleanup:
    km->seed_seconds += dm_clock() - start;
    km->seed_bytes += dm_rows_bytes_read(km->rows) - read_before;
    return st;
}
