/*
 * Checkpoints of a fit. The checksums let hardly any changed byte through, so most inputs go in behind them: the first
 * byte says where.
 *
 *   f  generation "a" of a checkpoint, as it lies on disk
 *   s  state of a fit (engine/fit_state.h): what can be unpacked packs to something that can be unpacked
 *   r  the same behind a head that is right: a fit resumes from it
 *   h  head and all
 *   k  bytes of a state (2 bytes), the state, and what is kept of a final pass: behind a head, with a stamp in between,
 *      that are right
 *
 * With FUZZ_SEEDS=FOLDER the states of a fit stopped at each of its edges are written there (make_corpus.py).
 */
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/packing.h"
#include "demarc/demarc.h"
#include "engine/fit_state.h"
#include "fuzz_support.h"
#include "store/checkpoint_file.h"

#define ROWS 5000 /* two blocks */
#define D 2
#define LO 2
#define HI 3
#define MOST_EDGES 500

static char *folder, *data_path, *out_path;
static demarc_context *context;
static struct {
    char *bytes, *temporary; /* a payload, and the name in it */
    int64_t count, head;     /* its bytes; those before the state */
    char *assignments;       /* of the finished fit */
    int64_t assignments_bytes;
} whole;

static void check(bool true_it_is)
{
    if (!true_it_is) abort();
}

static char *path_of(const char *in, const char *name)
{
    char *path = NULL;
    check(asprintf(&path, "%s/%s", in, name) > 0);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *f = fopen(path, "wb");
    check(f != NULL && fwrite(bytes, 1, count, f) == count && fclose(f) == 0);
}

static char *read_file(const char *path, int64_t *count)
{
    struct stat s;
    FILE *f = fopen(path, "rb");
    check(f != NULL && fstat(fileno(f), &s) == 0);
    char *bytes = malloc((size_t)s.st_size + 1);
    check(bytes != NULL && fread(bytes, 1, (size_t)s.st_size, f) == (size_t)s.st_size && fclose(f) == 0);
    *count = s.st_size;
    return bytes;
}

/* Remove all but the input; @return how many entries besides input and results there were. */
static int clear_folder(void)
{
    int strange = 0;
    char *const roots[] = {folder, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    const FTSENT *e;
    check(walk != NULL);
    while ((e = fts_read(walk)) != NULL) {
        if (e->fts_level == 0 || strcmp(e->fts_path, data_path) == 0 || e->fts_info == FTS_D) continue;
        if (strncmp(e->fts_path, out_path, strlen(out_path)) != 0) strange++;
        check((e->fts_info == FTS_DP ? rmdir(e->fts_accpath) : unlink(e->fts_accpath)) == 0);
    }
    fts_close(walk);
    return strange;
}

static void forget(void)
{
    (void)clear_folder();
    (void)unlink(data_path);
    (void)rmdir(folder);
}

/* ---- the fit whose checkpoints these are ---- */

static demarc_status fit(bool resume)
{
    demarc_fit_options o;
    demarc_fit_options_default(&o);
    o.data = data_path;
    o.out = out_path;
    o.k_lo = LO;
    o.k_hi = HI;
    o.init = "random"; /* the others are slow under sanitizers */
    o.batch_size = 256;
    o.restarts = 2;
    o.max_epochs = 2;
    o.max_iterations = 3;
    o.checkpoint_every = 0.0;
    o.resume = resume;
    return fuzz_expect(demarc_fit(context, &o, NULL));
}

static void save(const char *payload, int64_t count)
{
    dm_checkpoint_folder *c = NULL;
    check(dm_checkpoint_open(&c, out_path) == DEMARC_OK && dm_checkpoint_save(c, payload, count) == DEMARC_OK);
    dm_checkpoint_close(&c);
}

static void load(char **payload, int64_t *count)
{
    dm_checkpoint_folder *c = NULL;
    bool spared = false;
    if (fuzz_expect(dm_checkpoint_open(&c, out_path)) == DEMARC_OK)
        fuzz_expect(dm_checkpoint_load(c, payload, count, &spared));
    dm_checkpoint_close(&c);
}

/* Where the state begins: after options, data, resumes and the name of the temporary. */
static int64_t head_bytes(const char *payload, int64_t count, char **temporary)
{
    dm_unpacker u = {.bytes = payload, .left = count};
    for (int list = 0; list < 2; list++) {
        for (int64_t lines = dm_unpack_i64(&u); lines > 0; lines--) free(dm_unpack_text(&u));
    }
    (void)dm_unpack_i64(&u);
    *temporary = dm_unpack_text(&u);
    check(!u.bad);
    return count - u.left;
}

static void write_seed(int edge)
{
    char name[32], *path = NULL;
    if (getenv("FUZZ_SEEDS") == NULL) return;
    snprintf(name, sizeof name, "state-%d", edge);
    path = path_of(getenv("FUZZ_SEEDS"), name);
    write_file(path, whole.bytes + whole.head, (size_t)(whole.count - whole.head));
    free(path);
}

/* A checkpoint of the first edge that has one; for seeds, of each edge until there is none. */
static void learn(void)
{
    char edge[16], *path = path_of(out_path, "assignments.h5");
    check(fit(false) == DEMARC_OK);
    whole.assignments = read_file(path, &whole.assignments_bytes);
    free(path);
    check(clear_folder() == 0);
    for (int i = 1; whole.bytes == NULL || getenv("FUZZ_SEEDS") != NULL; i++) {
        snprintf(edge, sizeof edge, "%d", i);
        check(i < MOST_EDGES && setenv("DEMARC_STOP_AFTER", edge, 1) == 0);
        if (fit(false) == DEMARC_OK) break;
        char *payload = NULL;
        load(&payload, &whole.count);
        clear_folder();
        if (payload == NULL) continue;
        free(whole.bytes);
        free(whole.temporary);
        whole.bytes = payload;
        whole.head = head_bytes(payload, whole.count, &whole.temporary);
        write_seed(i);
    }
    check(unsetenv("DEMARC_STOP_AFTER") == 0);
    (void)clear_folder();
}

static void begin(void)
{
    const char *root = getenv("TMPDIR");
    demarc_runtime rt;
    demarc_generate_options g;
    if (folder != NULL) return;
    check(asprintf(&folder, "%s/demarc-fuzz-XXXXXX", root != NULL ? root : "/tmp") > 0 && mkdtemp(folder) != NULL);
    data_path = path_of(folder, "data.h5");
    out_path = path_of(folder, "out");
    (void)atexit(forget);
    demarc_runtime_default(&rt);
    rt.threads = 1;
    rt.verbosity = DEMARC_QUIET;
    rt.progress = DEMARC_PROGRESS_NEVER;
    check(demarc_context_create(&context, &rt) == DEMARC_OK);
    demarc_generate_options_default(&g);
    g.out = data_path;
    g.customers = ROWS;
    g.features = D;
    g.segments = LO;
    check(fuzz_expect(demarc_generate(context, &g)) == DEMARC_OK);
    learn();
}

/* ---- the inputs ---- */

static void try_file(const uint8_t *bytes, size_t count)
{
    char *payload = NULL, *generation = NULL;
    int64_t length = 0;
    save("", 0); /* makes the folder */
    check(asprintf(&generation, "%s/.out.checkpoint/a", folder) > 0);
    write_file(generation, bytes, count);
    load(&payload, &length);
    check(payload == NULL || length < (int64_t)count);
    free(payload);
    free(generation);
}

static demarc_status unpack(dm_fit_state *s, dm_position *at, const void *bytes, int64_t count)
{
    dm_unpacker u = {.bytes = bytes, .left = count};
    return fuzz_expect(dm_fit_state_unpack(s, at, &u, LO, HI, D));
}

static void try_state(const uint8_t *bytes, size_t count)
{
    dm_fit_state s = {0}, again = {0};
    dm_position at = {0}, at_again = {0};
    if (unpack(&s, &at, bytes, (int64_t)count) == DEMARC_OK) {
        dm_packer p = {0};
        dm_fit_state_pack(&s, &at, &p);
        check(!p.failed && unpack(&again, &at_again, p.bytes, p.count) == DEMARC_OK);
        dm_packer_clear(&p);
    }
    dm_fit_state_clear(&s);
    dm_fit_state_clear(&again);
    dm_position_clear(&at);
    dm_position_clear(&at_again);
}

/* The mark and the stamp before what is kept of a final pass, and the files that the stamp is of. */
static void pack_stamp(dm_packer *p)
{
    struct stat s;
    char *temporary = path_of(folder, whole.temporary), *path = path_of(temporary, "assignments.h5");
    check(mkdir(temporary, 0700) == 0 && stat(data_path, &s) == 0);
    write_file(path, whole.assignments, (size_t)whole.assignments_bytes);
    const int64_t stamp[4] = {s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec, whole.assignments_bytes};
    dm_pack_i64(p, 1);
    dm_pack(p, stamp, sizeof stamp);
    free(path);
    free(temporary);
}

/* Resume from these bytes, behind the head that is right or not; success leaves nothing behind. */
static void try_fit(char kind, const uint8_t *bytes, size_t count)
{
    dm_packer p = {0};
    size_t state = 0;
    if (kind != 'h') dm_pack(&p, whole.bytes, whole.head);
    if (kind == 'k' && count >= 2) {
        state = bytes[0] + 256u * bytes[1];
        bytes += 2;
        count -= 2;
        state = state < count ? state : count;
        dm_pack(&p, bytes, (int64_t)state);
        pack_stamp(&p);
    }
    dm_pack(&p, bytes + state, (int64_t)(count - state));
    check(!p.failed);
    save(p.bytes, p.count);
    dm_packer_clear(&p);
    const bool done = fit(true) == DEMARC_OK;
    check(clear_folder() == 0 || !done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    if (size == 0) return 0;
    if (data[0] == 'f') try_file(data + 1, size - 1);
    if (data[0] == 's') try_state(data + 1, size - 1);
    if (data[0] == 'r' || data[0] == 'h' || data[0] == 'k') try_fit((char)data[0], data + 1, size - 1);
    (void)clear_folder();
    return 0;
}
