#include "boundary/campaign.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

/* "'a', 'b', ..." for error lines. */
static const char *arm_list(const dm_campaign *c, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = 0;
    for (int32_t a = 0; a < c->arms && used + 50 < size; a++) {
        char number[16];
        snprintf(number, sizeof number, "%d", (int)a);
        used += (size_t)snprintf(buf + used, size - used, "%s'%.30s'", a > 0 ? ", " : "",
                                 a < c->name->count ? c->name->item[a] : number);
    }
    return buf;
}

/* Arm of that name, else of that number; -1 if there is none. */
static int32_t find_arm(const dm_campaign *c, const char *text)
{
    const int32_t named = dm_strings_find(c->name, text);
    if (named >= 0) return named;
    if (text[0] == 0 || text[strspn(text, "0123456789")] != 0 || strlen(text) > 9) return -1;
    const long number = strtol(text, NULL, 10);
    return number < c->arms ? (int32_t)number : -1;
}

static demarc_status no_such_arm(const dm_campaign *c, const dm_frozen *f, demarc_status st, const char *where,
                                 const char *text)
{
    char list[400];
    return dm_fail(st, "no such arm: %s '%.80s': %s has %s: name one of them", where, text,
                   dm_customers_path(f->customers), arm_list(c, list, sizeof list));
}

static demarc_status find_control(dm_campaign *c, const dm_frozen *f, const char *option)
{
    const char *said = dm_customers_schema(f->customers)->control;
    c->control = 0;
    if (option != NULL) {
        c->control = find_arm(c, option);
        if (c->control < 0 && strcasecmp(option, "none") != 0) {
            return no_such_arm(c, f, DEMARC_ERR_USAGE, "--control", option);
        }
    } else if (said != NULL) {
        c->control = find_arm(c, said);
        if (c->control < 0 && said[0] != 0) return no_such_arm(c, f, DEMARC_ERR_DATA, "/arm, attribute control", said);
    } else {
        for (int32_t a = c->name->count - 1; a >= 0; a--) {
            if (strcasecmp(c->name->item[a], "control") == 0) c->control = a;
        }
    }
    c->against = c->control;
    for (int32_t a = c->arms - 1; a >= 0 && c->control < 0; a--) {
        if (c->size[a] > 0) c->against = a;
    }
    return DEMARC_OK;
}

static demarc_status find_candidates(dm_campaign *c, const dm_frozen *f, const char *option)
{
    demarc_status st = DEMARC_OK;
    dm_strings list = {0};
    uint8_t *wanted = NULL;
    DM_TRY(dm_strings_split(&list, option, "--arms"));
    DM_TRY(dm_alloc_zero(wanted, c->arms, "arms"));
    DM_TRY(dm_alloc(c->candidate, c->arms, "arms"));
    for (int32_t i = 0; i < list.count; i++) {
        const int32_t a = find_arm(c, list.item[i]);
        if (a < 0) {
            st = no_such_arm(c, f, DEMARC_ERR_USAGE, "--arms", list.item[i]);
            goto cleanup;
        }
        wanted[a] = 1;
    }
    for (int32_t a = 0; a < c->arms; a++) {
        if ((list.count == 0 || wanted[a]) && c->size[a] > 0) c->candidate[c->candidates++] = a;
    }
    if (c->candidates == 0) {
        st = dm_fail(DEMARC_ERR_USAGE, "no arm to choose from: --arms '%.80s': no customer of %s had one of them",
                     option, dm_customers_path(f->customers));
    }
cleanup:
    dm_strings_clear(&list);
    dm_free(wanted);
    return st;
}

/* A number as people write it: not what strtod takes besides, blanks, hexadecimals, words such as inf. */
static bool read_number(const char *text, char **end, double *v)
{
    *v = strtod(text, end);
    return *end > text && strspn(text, "+-.0123456789eE") >= (size_t)(*end - text) && isfinite(*v);
}

static demarc_status read_design(dm_campaign *c, const char *option)
{
    demarc_status st = DEMARC_OK;
    char *end = NULL;
    double total = 0.0;
    int32_t given = 0;
    DM_TRY(dm_alloc(c->design, c->arms, "arms"));
    for (int32_t a = 0; a < c->arms; a++) c->design[a] = 1.0 / (double)c->arms;
    if (option == NULL) goto cleanup;
    for (const char *at = option; given < c->arms; at = end + 1) { /* shares may be equal: no list of names */
        double v = 0.0;
        if (!read_number(at, &end, &v) || v < 0.0 || (*end != ',' && *end != 0)) break;
        c->design[given++] = v;
        total += v;
        if (*end == 0) break;
    }
    if (given != c->arms || end == NULL || *end != 0 || !(total > 0.0) || !isfinite(total)) {
        st = dm_fail(DEMARC_ERR_USAGE,
                     "bad shares: --arm-shares '%.80s': give %d numbers >= 0, one an arm, such as 0.5,0.5", option,
                     (int)c->arms);
        goto cleanup;
    }
    for (int32_t a = 0; a < c->arms; a++) c->design[a] /= total;
cleanup:
    return st;
}

/* ------------------------------------------------------------------------------------------------ a policy, costs */

/* What an item "SEGMENT=ARM" of --policy says. */
static demarc_status read_choice(dm_campaign *c, const dm_frozen *f, const char *item)
{
    const size_t digits = strspn(item, "0123456789");
    const int32_t k = f->model->k;
    if (digits == 0 || digits > 9 || item[digits] != '=') {
        return dm_fail(DEMARC_ERR_USAGE, "bad choice: --policy '%.80s': give SEGMENT=ARM,... such as 0=1,1=0", item);
    }
    const long segment = strtol(item, NULL, 10);
    if (segment >= k) {
        return dm_fail(DEMARC_ERR_USAGE, "no such segment: --policy '%.80s': the model has segments 0 to %d", item,
                       (int)k - 1);
    }
    if (c->policy[segment] >= 0) {
        return dm_fail(DEMARC_ERR_USAGE, "segment %ld named twice: --policy '%.80s': name every segment once", segment,
                       item);
    }
    const int32_t arm = find_arm(c, item + digits + 1);
    if (arm < 0) return no_such_arm(c, f, DEMARC_ERR_USAGE, "--policy", item + digits + 1);
    if (c->size[arm] == 0) {
        return dm_fail(DEMARC_ERR_USAGE,
                       "untried arm: --policy '%.80s': no customer of %s had it, so its value is unknown", item,
                       dm_customers_path(f->customers));
    }
    c->policy[segment] = arm;
    return DEMARC_OK;
}

static demarc_status read_policy(dm_campaign *c, const dm_frozen *f, const char *option)
{
    demarc_status st = DEMARC_OK;
    dm_strings list = {0};
    const int32_t k = f->model->k;
    if (option == NULL) return DEMARC_OK;
    DM_TRY(dm_strings_split(&list, option, "--policy"));
    DM_TRY(dm_alloc(c->policy, k, "policy"));
    for (int32_t j = 0; j < k; j++) c->policy[j] = -1;
    for (int32_t i = 0; i < list.count; i++) DM_TRY(read_choice(c, f, list.item[i]));
    c->candidates = 0;
    for (int32_t a = 0; a < c->arms; a++) {
        bool given = false;
        for (int32_t j = 0; j < k; j++) given = given || c->policy[j] == a;
        if (given) c->candidate[c->candidates++] = a;
    }
    for (int32_t j = 0; j < k; j++) {
        if (c->policy[j] >= 0) continue;
        st = dm_fail(DEMARC_ERR_USAGE, "segment %d has no arm: --policy '%.80s': name every segment once, 0 to %d",
                     (int)j, option, (int)k - 1);
        break;
    }
cleanup:
    dm_strings_clear(&list);
    return st;
}

static demarc_status read_costs(dm_campaign *c, const dm_frozen *f, const char *option)
{
    demarc_status st = DEMARC_OK;
    dm_strings list = {0};
    uint8_t *told = NULL;
    if (option == NULL) return DEMARC_OK;
    DM_TRY(dm_strings_split(&list, option, "--arm-costs"));
    DM_TRY(dm_alloc_zero(told, c->arms, "arms"));
    DM_TRY(dm_alloc_zero(c->cost, c->arms, "arms"));
    for (int32_t i = 0; i < list.count; i++) {
        char *equal = strrchr(list.item[i], '='), *end = NULL; /* the arm's name may have one too */
        double v = 0.0;
        if (equal == NULL || !read_number(equal + 1, &end, &v) || *end != 0 || !(fabs(v) <= DM_OUTCOME_MAX)) {
            DM_TRY(dm_fail(DEMARC_ERR_USAGE, "bad cost: --arm-costs '%.80s': give ARM=COST,... such as mail=0.5",
                           list.item[i]));
        }
        *equal = 0;
        const int32_t arm = find_arm(c, list.item[i]);
        if (arm < 0) DM_TRY(no_such_arm(c, f, DEMARC_ERR_USAGE, "--arm-costs", list.item[i]));
        if (told[arm]) {
            DM_TRY(dm_fail(DEMARC_ERR_USAGE, "arm named twice: --arm-costs '%.80s': give each arm one cost", option));
        }
        told[arm] = 1;
        c->cost[arm] = v;
    }
cleanup:
    dm_strings_clear(&list);
    dm_free(told);
    return st;
}

/* ------------------------------------------------------------------------------------------------ all of it */

static demarc_status describe(dm_campaign *c, const dm_frozen *f, const demarc_replay_options *o)
{
    demarc_status st = DEMARC_OK;
    const int64_t n = dm_rows_global(f->rows);
    int32_t customers = 0;
    for (int32_t a = 0; a < c->arms; a++) customers += c->size[a] > 0;
    if (customers < 2) {
        return dm_fail(DEMARC_ERR_DATA,
                       "one arm only: %s: all customers had the same: a replay needs a campaign of two or more",
                       dm_customers_path(f->customers));
    }
    DM_TRY(dm_alloc(c->share, c->arms, "arms"));
    for (int32_t a = 0; a < c->arms; a++) c->share[a] = (double)c->size[a] / (double)n;
    DM_TRY(find_control(c, f, o->control));
    DM_TRY(find_candidates(c, f, o->arms));
    DM_TRY(read_design(c, o->arm_shares));
    DM_TRY(read_policy(c, f, o->policy));
    DM_TRY(read_costs(c, f, o->arm_costs));
cleanup:
    return st;
}

demarc_status dm_campaign_open(dm_campaign *c, const dm_frozen *f, const demarc_replay_options *o)
{
    demarc_status st = DEMARC_OK;
    const dm_schema *s = dm_customers_schema(f->customers);
    const int32_t listed = s->arm_name.count > s->propensity ? s->arm_name.count : s->propensity;
    *c = (dm_campaign){.name = &s->arm_name, .propensity = s->propensity > 0, .control = -1, .against = -1};
    if (!s->arm) {
        return dm_fail(DEMARC_ERR_DATA, "no campaign: %s: it has no /arm: name the dataset of arms by --arm PATH",
                       dm_customers_path(f->customers));
    }
    DM_TRY(dm_customers_count_arms(f->customers, f->comm, listed > 0 ? listed : DM_ARMS_MAX, &c->arms, &c->size));
    if (c->arms < listed) c->arms = listed;
    DM_TRY_ALL(f->comm, describe(c, f, o));
    if (c->propensity && o->arm_shares != NULL)
        dm_log_warn(f->log, "--arm-shares is not needed: /propensity tells the design");
cleanup:
    return st;
}

void dm_campaign_close(dm_campaign *c)
{
    dm_free(c->size);
    dm_free(c->share);
    dm_free(c->design);
    dm_free(c->candidate);
    dm_free(c->policy);
    dm_free(c->cost);
    *c = (dm_campaign){0};
}
