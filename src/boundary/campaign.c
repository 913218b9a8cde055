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
        const double v = strtod(at, &end);
        const bool plain = end > at && strspn(at, "+.0123456789eE-") >= (size_t)(end - at);
        if (!plain || !isfinite(v) || v < 0.0 || (*end != ',' && *end != 0)) break;
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

static demarc_status describe(dm_campaign *c, const dm_frozen *f, const char *control, const char *candidates,
                              const char *shares)
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
    DM_TRY(find_control(c, f, control));
    DM_TRY(find_candidates(c, f, candidates));
    DM_TRY(read_design(c, shares));
cleanup:
    return st;
}

demarc_status dm_campaign_open(dm_campaign *c, const dm_frozen *f, const char *control, const char *candidates,
                               const char *shares)
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
    DM_TRY_ALL(f->comm, describe(c, f, control, candidates, shares));
    if (c->propensity && shares != NULL)
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
    *c = (dm_campaign){0};
}
