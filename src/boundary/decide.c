#include "boundary/decide.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "linalg/small_solve.h"

/* ------------------------------------------------------------------------------------------------ decisions */

__attribute__((format(printf, 2, 3))) static void say(dm_analyze_boundary *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(b->reason, sizeof b->reason, format, args);
    va_end(args);
}

/* The new line when the segment on the other side of `from` is widened into it. */
static void place_line(dm_analyze_boundary *b, int from)
{
    const double sign = from == 0 ? -1.0 : 1.0, x = b->crossing;
    const bool usable = b->crosses && b->slope.value > 0.0 && sign * x > 0.0 && fabs(x) <= b->band;
    b->moves = true;
    b->distance = usable ? x : sign * b->band;
    b->offset_difference = -2.0 * b->gap * b->distance;
    say(b, "%s",
        usable ? "switching helps on one side only: the line moves to where the effect crosses zero"
               : "switching helps on one side only, and the effect is not known to cross zero within the band "
                 "there: the line moves to the edge of the band");
}

/* Both sides are worse off on the other one; the curve within the band may still say that the line is not at its best. */
static void keep_line(dm_analyze_boundary *b)
{
    b->decision = DM_KEEP;
    if (b->crosses && (b->crossing_low > 0.0 || b->crossing_high < 0.0)) {
        say(b,
            "switching hurts on both sides, so the line stays, though the effect crosses zero at %.4g [%.4g, %.4g], "
            "not at "
            "the line",
            b->crossing, b->crossing_low, b->crossing_high);
    } else {
        say(b, "switching hurts on both sides: the line is where it should be");
    }
}

static void decide_one(dm_analyze_boundary *b)
{
    const dm_verdict first = b->side[0].verdict, second = b->side[1].verdict;
    b->decision = DM_LEAVE_OPEN;
    if (first == DM_HELPS && second == DM_HELPS) {
        say(b, "switching helps on both sides: no line between the two segments can serve both");
    } else if (first == DM_HELPS) {
        b->decision = DM_WIDEN_SECOND;
        place_line(b, 0);
    } else if (second == DM_HELPS) {
        b->decision = DM_WIDEN_FIRST;
        place_line(b, 1);
    } else if (first == DM_HURTS && second == DM_HURTS) {
        keep_line(b);
    } else if (first == DM_NOT_ENOUGH && second == DM_NOT_ENOUGH) {
        say(b, "not enough data on either side");
    } else if (first == DM_HURTS || second == DM_HURTS) {
        say(b, "switching hurts on one side, nothing is certain on the other");
    } else {
        say(b, "nothing is certain on either side");
    }
}

void dm_decide(dm_analyze_report *r)
{
    for (int32_t i = 0; i < r->boundaries; i++) {
        if (r->stopped != NULL) {
            say(&r->boundary[i], "stopped: see the checks");
        } else {
            decide_one(&r->boundary[i]);
        }
    }
}

/* ------------------------------------------------------------------------------------------------ offsets */

/* Lowest segment of each segment's component; boundaries without customers join nobody. */
static void find_components(const dm_analyze_report *r, int32_t k, int32_t *component)
{
    for (int32_t j = 0; j < k; j++) component[j] = j;
    for (bool changed = true; changed;) {
        changed = false;
        for (int32_t i = 0; i < r->boundaries; i++) {
            const dm_analyze_boundary *b = &r->boundary[i];
            int32_t *x = &component[b->segments[0]], *y = &component[b->segments[1]];
            if (b->customers == 0 || *x == *y) continue;
            *x = *y = *x < *y ? *x : *y;
            changed = true;
        }
    }
}

/* unknown[j] = number of segment j's unknown, -1 for those that stay: the largest one of each component. */
static int32_t number_unknowns(int32_t k, const int64_t *size, const int32_t *component, int32_t *anchor,
                               int32_t *unknown)
{
    int32_t count = 0;
    for (int32_t j = 0; j < k; j++) anchor[j] = -1;
    for (int32_t j = 0; j < k; j++) {
        int32_t *largest = &anchor[component[j]];
        if (*largest < 0 || (size != NULL && size[j] > size[*largest])) *largest = j;
    }
    for (int32_t j = 0; j < k; j++) unknown[j] = anchor[component[j]] == j ? -1 : count++;
    return count;
}

/* Normal equations of sum customers (change_second - change_first - wish)^2. */
static void add_boundary(const dm_analyze_boundary *b, const int32_t *unknown, int32_t n, double *matrix, double *right)
{
    const double weight = (double)b->customers, wish = b->moves ? b->offset_difference : 0.0;
    const int64_t first = unknown[b->segments[0]], second = unknown[b->segments[1]];
    if (first >= 0) {
        matrix[first * n + first] += weight;
        right[first] -= weight * wish;
    }
    if (second >= 0) {
        matrix[second * n + second] += weight;
        right[second] += weight * wish;
    }
    if (first >= 0 && second >= 0) {
        matrix[first * n + second] -= weight;
        matrix[second * n + first] -= weight;
    }
}

demarc_status dm_decide_offsets(dm_analyze_report *r, int32_t k, const int64_t *size, double *change)
{
    demarc_status st = DEMARC_OK;
    int32_t *component = NULL, *anchor = NULL, *unknown = NULL;
    double *matrix = NULL, *right = NULL, *solution = NULL;
    DM_TRY(dm_alloc(component, k, "offsets"));
    DM_TRY(dm_alloc(anchor, k, "offsets"));
    DM_TRY(dm_alloc(unknown, k, "offsets"));
    find_components(r, k, component);
    const int32_t n = number_unknowns(k, size, component, anchor, unknown);
    DM_TRY(dm_alloc_zero(matrix, (int64_t)n * n, "offsets"));
    DM_TRY(dm_alloc_zero(right, n, "offsets"));
    DM_TRY(dm_alloc_zero(solution, n, "offsets"));
    for (int32_t i = 0; i < r->boundaries; i++) add_boundary(&r->boundary[i], unknown, n, matrix, right);
    DM_TRY(dm_solve_spd(n, matrix, right, solution));
    for (int32_t j = 0; j < k; j++) change[j] = unknown[j] < 0 ? 0.0 : solution[unknown[j]];
    for (int32_t i = 0; i < r->boundaries; i++) {
        dm_analyze_boundary *b = &r->boundary[i];
        b->shift = -(change[b->segments[1]] - change[b->segments[0]]) / (2.0 * b->gap);
    }
cleanup:
    dm_free(component);
    dm_free(anchor);
    dm_free(unknown);
    dm_free(matrix);
    dm_free(right);
    dm_free(solution);
    return st;
}
