/* Checkpoints: what is saved comes back, damage is seen wherever it is, the older generation steps in, nothing is left. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/checkpoint_file.h"

#define FOLDER ".run.checkpoint"

typedef struct scratch {
    char *dir, *home;
} scratch;

static int enter(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    char name[] = "/tmp/demarc-test-checkpoint-XXXXXX";
    if (s == NULL || mkdtemp(name) == NULL) return -1;
    s->dir = strdup(name);
    s->home = getcwd(NULL, 0);
    *state = s;
    return chdir(s->dir);
}

static int leave(void **state)
{
    scratch *s = *state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    int rc = chdir(s->home) == 0 && system(command) == 0 ? 0 : -1;
    free(s->dir);
    free(s->home);
    free(s);
    return rc;
}

static dm_checkpoint_folder *open_folder(const char *path)
{
    dm_checkpoint_folder *c = NULL;
    assert_int_equal(dm_checkpoint_open(&c, path), DEMARC_OK);
    return c;
}

static void save(dm_checkpoint_folder *c, const char *text)
{
    assert_int_equal(dm_checkpoint_save(c, text, (int64_t)strlen(text)), DEMARC_OK);
}

/* What a new process would go on from; NULL = nothing whole. */
static char *load(bool *spared)
{
    char *payload = NULL;
    int64_t bytes = 0;
    dm_checkpoint_folder *c = open_folder("run");
    const demarc_status st = dm_checkpoint_load(c, &payload, &bytes, spared);
    assert_true(st == DEMARC_OK || st == DEMARC_ERR_DATA);
    assert_int_equal(st == DEMARC_OK, payload != NULL);
    if (payload != NULL) payload = realloc(payload, (size_t)bytes + 1);
    if (payload != NULL) payload[bytes] = 0;
    dm_checkpoint_close(&c);
    return payload;
}

static void expect(const char *text, bool spared)
{
    bool other = false;
    char *found = load(&other);
    if (text == NULL) {
        assert_null(found);
    } else {
        assert_non_null(found);
        assert_string_equal(found, text);
        assert_int_equal(other, spared);
    }
    free(found);
}

static int64_t size_of(const char *path)
{
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    return s.st_size;
}

static char *read_file(const char *path)
{
    const int64_t size = size_of(path);
    char *bytes = malloc((size_t)size);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(bytes, 1, (size_t)size, f), size);
    fclose(f);
    return bytes;
}

static void write_file(const char *path, const char *bytes, int64_t count)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, (size_t)count, f), count);
    assert_int_equal(fclose(f), 0);
}

static void newest_comes_back(void **state)
{
    (void)state;
    dm_checkpoint_folder *c = open_folder("run");
    assert_false(dm_checkpoint_present(c));
    assert_string_equal(dm_checkpoint_path(c), FOLDER);
    dm_checkpoint_close(&c);
    assert_int_equal(access(FOLDER, F_OK), -1); /* nothing was saved */
    c = open_folder("run");
    char text[32];
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "state %d", i);
        save(c, text);
        dm_checkpoint_close(&c);
        expect(text, false);
        c = open_folder("./run//"); /* the same output by another spelling */
        char *payload = NULL;
        int64_t bytes = 0;
        bool spared = false;
        assert_int_equal(dm_checkpoint_load(c, &payload, &bytes, &spared), DEMARC_OK);
        assert_int_equal(bytes, strlen(text));
        free(payload);
    }
    struct stat s;
    assert_int_equal(stat(FOLDER, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0700);
    assert_int_equal(access(FOLDER "/new", F_OK), -1);
    assert_int_equal(dm_checkpoint_remove(c), DEMARC_OK);
    assert_int_equal(access(FOLDER, F_OK), -1);
    save(c, "again");
    dm_checkpoint_close(&c);
    expect("again", false);
}

/* Every single flipped bit of the newest file, and every length it may be cut to or grown to. */
static void damage_is_seen(void **state)
{
    (void)state;
    dm_checkpoint_folder *c = open_folder("run");
    save(c, "older");
    save(c, "newer");
    dm_checkpoint_close(&c);
    expect("newer", false);
    const char *newest = FOLDER "/b", *older = FOLDER "/a";
    const int64_t size = size_of(newest);
    char *good = read_file(newest), *bad = malloc((size_t)size + 8);
    for (int64_t bit = 0; bit < 8 * size; bit++) {
        memcpy(bad, good, (size_t)size);
        bad[bit / 8] = (char)(bad[bit / 8] ^ (1 << (bit % 8)));
        write_file(newest, bad, size);
        expect("older", true);
    }
    memcpy(bad, good, (size_t)size);
    memset(bad + size, 0, 8);
    for (int64_t cut = 0; cut < size + 8; cut++) {
        if (cut == size) continue;
        write_file(newest, bad, cut);
        expect("older", true);
    }
    /* A save after that spares the whole one. */
    c = open_folder("run");
    char *payload = NULL;
    int64_t bytes = 0;
    bool spared = false;
    assert_int_equal(dm_checkpoint_load(c, &payload, &bytes, &spared), DEMARC_OK);
    free(payload);
    save(c, "newest");
    dm_checkpoint_close(&c);
    expect("newest", false);
    write_file(newest, "x", 1);
    expect("older", true);
    write_file(older, "y", 1);
    expect(NULL, true);
    assert_int_equal(unlink(newest), 0);
    expect(NULL, true);
    free(good);
    free(bad);
}

/* A generation that is huge, a folder, a pipe or a link is damaged, and nobody waits or allocates for it. */
static void strange_files(void **state)
{
    (void)state;
    dm_checkpoint_folder *c = open_folder("run");
    save(c, "older");
    save(c, "newer");
    dm_checkpoint_close(&c);
    assert_int_equal(rename(FOLDER "/b", "kept"), 0);
    assert_int_equal(symlink("../kept", FOLDER "/b"), 0);
    expect("older", true);
    assert_int_equal(unlink(FOLDER "/b"), 0);
    assert_int_equal(mkfifo(FOLDER "/b", 0600), 0);
    expect("older", true);
    assert_int_equal(unlink(FOLDER "/b"), 0);
    assert_int_equal(mkdir(FOLDER "/b", 0700), 0);
    expect("older", true);
    assert_int_equal(rmdir(FOLDER "/b"), 0);
    write_file(FOLDER "/b", "", 0);
    assert_int_equal(truncate(FOLDER "/b", INT64_C(1) << 43), 0);
    expect("older", true);
}

/* What the system does not let us read is not damaged, whatever the other generation is. User 0 may read all. */
static void unreadable(void **state)
{
    const scratch *s = *state;
    const uid_t user = geteuid();
    bool spared = false;
    char *payload = NULL;
    int64_t bytes = 0;
    assert_int_equal(chmod(s->dir, 0777), 0);
    assert_int_equal(seteuid(user == 0 ? 65534 : user), 0);
    dm_checkpoint_folder *c = open_folder("run");
    save(c, "older");
    save(c, "newer");
    dm_checkpoint_close(&c);
    assert_int_equal(chmod(FOLDER "/b", 0), 0);
    c = open_folder("run");
    assert_int_equal(dm_checkpoint_load(c, &payload, &bytes, &spared), DEMARC_ERR_IO);
    assert_null(payload);
    assert_string_equal(dm_error_line(),
                        "cannot read a checkpoint: " FOLDER ": check its permissions: Permission denied");
    dm_checkpoint_close(&c);
    assert_int_equal(chmod(FOLDER "/b", 0600), 0);
    expect("newer", false);
    assert_int_equal(seteuid(user), 0);
}

static void one_run_at_a_time(void **state)
{
    (void)state;
    dm_checkpoint_folder *first = open_folder("run"), *second = NULL;
    save(first, "mine");
    assert_int_equal(dm_checkpoint_open(&second, "run"), DEMARC_ERR_EXISTS);
    assert_non_null(strstr(dm_error_line(), "another run is at work"));
    assert_null(second);
    dm_checkpoint_close(&first);
    assert_int_equal(access(FOLDER "/a", F_OK), 0);
    /* Also before anything was saved. */
    first = open_folder("new");
    assert_int_equal(dm_checkpoint_open(&second, "new"), DEMARC_ERR_EXISTS);
    dm_checkpoint_close(&first);
    second = open_folder("run");
    assert_true(dm_checkpoint_present(second));
    dm_checkpoint_close(&second);
}

/* Somebody removes the folder while the run goes on: the next save makes it again, but never in another run's. */
static void removed_meanwhile(void **state)
{
    (void)state;
    dm_checkpoint_folder *c = open_folder("run"), *other = NULL;
    save(c, "first");
    assert_int_equal(unlink(FOLDER "/a"), 0);
    assert_int_equal(rmdir(FOLDER), 0);
    save(c, "second");
    save(c, "third");
    assert_int_equal(unlink(FOLDER "/a"), 0);
    assert_int_equal(unlink(FOLDER "/b"), 0);
    assert_int_equal(rmdir(FOLDER), 0);
    other = open_folder("run");
    save(other, "another run's");
    assert_int_equal(dm_checkpoint_save(c, "fourth", 6), DEMARC_ERR_EXISTS);
    dm_checkpoint_close(&other);
    assert_int_equal(dm_checkpoint_save(c, "fifth", 5), DEMARC_ERR_EXISTS);
    dm_checkpoint_close(&c);
    expect("another run's", false);
}

static void strangers_stay(void **state)
{
    (void)state;
    dm_checkpoint_folder *c = open_folder("run");
    save(c, "state");
    write_file(FOLDER "/mine.txt", "precious", 8);
    assert_int_equal(dm_checkpoint_remove(c), DEMARC_ERR_IO);
    dm_checkpoint_close(&c);
    assert_int_equal(size_of(FOLDER "/mine.txt"), 8);
    /* What is no folder of ours is refused. */
    assert_int_equal(symlink("elsewhere", ".link.checkpoint"), 0);
    assert_int_equal(dm_checkpoint_open(&c, "link"), DEMARC_ERR_EXISTS);
    write_file(".file.checkpoint", "x", 1);
    assert_int_equal(dm_checkpoint_open(&c, "file"), DEMARC_ERR_EXISTS);
}

/* No folder to lie in: that is for the output to say. */
static void no_place(void **state)
{
    (void)state;
    write_file("file", "x", 1);
    const char *const path[] = {"file/run", "missing/run"};
    for (int i = 0; i < 2; i++) {
        dm_checkpoint_folder *c = open_folder(path[i]);
        assert_false(dm_checkpoint_present(c));
        assert_int_equal(dm_checkpoint_save(c, "x", 1), DEMARC_ERR_IO);
        dm_checkpoint_close(&c);
    }
}

static void long_names(void **state)
{
    (void)state;
    char a[256] = {0}, b[256] = {0};
    memset(a, 'x', 250);
    memset(b, 'x', 250);
    b[249] = 'y';
    dm_checkpoint_folder *c = open_folder(a), *d = open_folder(b);
    assert_string_not_equal(dm_checkpoint_path(c), dm_checkpoint_path(d));
    save(c, "a");
    save(d, "b");
    assert_int_equal(dm_checkpoint_remove(c), DEMARC_OK);
    assert_int_equal(dm_checkpoint_remove(d), DEMARC_OK);
    dm_checkpoint_close(&c);
    dm_checkpoint_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newest_comes_back, enter, leave),
        cmocka_unit_test_setup_teardown(damage_is_seen, enter, leave),
        cmocka_unit_test_setup_teardown(strange_files, enter, leave),
        cmocka_unit_test_setup_teardown(unreadable, enter, leave),
        cmocka_unit_test_setup_teardown(one_run_at_a_time, enter, leave),
        cmocka_unit_test_setup_teardown(removed_meanwhile, enter, leave),
        cmocka_unit_test_setup_teardown(strangers_stay, enter, leave),
        cmocka_unit_test_setup_teardown(no_place, enter, leave),
        cmocka_unit_test_setup_teardown(long_names, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
