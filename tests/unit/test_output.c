/* Output appears whole or not at all: what is refused, what is replaced, what is left behind. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/output.h"

typedef struct scratch {
    dm_comm *comm;
    char *dir, *home;
} scratch;

/* Every test runs inside a fresh folder. */
static int enter(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    char name[] = "/tmp/demarc-test-output-XXXXXX";
    if (s == NULL || mkdtemp(name) == NULL) return -1;
    s->dir = strdup(name);
    s->home = getcwd(NULL, 0);
    *state = s;
    return chdir(s->dir) == 0 && dm_comm_create(&s->comm) == DEMARC_OK ? 0 : -1;
}

static int leave(void **state)
{
    scratch *s = *state;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    int rc = chdir(s->home) == 0 && system(command) == 0 ? 0 : -1;
    dm_comm_destroy(&s->comm);
    free(s->dir);
    free(s->home);
    free(s);
    return rc;
}

static dm_comm *comm_of(void **state) { return ((scratch *)*state)->comm; }

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void assert_text(const char *path, const char *text)
{
    char buf[64] = {0};
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(buf, 1, sizeof buf - 1, f), strlen(text));
    fclose(f);
    assert_string_equal(buf, text);
}

/* Entries of a folder, hidden ones too. */
static int entries(const char *path)
{
    int count = -2; /* . and .. */
    DIR *d = opendir(path);
    assert_non_null(d);
    while (readdir(d) != NULL) count++;
    closedir(d);
    return count;
}

static void write_whole(void **state, const char *path, dm_output_kind kind, bool force, const char *name,
                        const char *text)
{
    dm_output o;
    char *p = NULL;
    assert_int_equal(dm_output_begin(&o, comm_of(state), path, kind, force), DEMARC_OK);
    assert_int_equal(dm_output_path(&o, name, &p), DEMARC_OK);
    put(p, text);
    free(p);
    assert_int_equal(dm_output_commit(&o, comm_of(state)), DEMARC_OK);
    dm_output_abandon(&o, comm_of(state));
}

static void assert_refused(void **state, const char *path, dm_output_kind kind, bool force, demarc_status expected,
                           const char *words)
{
    dm_output o;
    assert_int_equal(dm_output_begin(&o, comm_of(state), path, kind, force), expected);
    assert_false(o.active);
    assert_null(o.temp_path);
    if (strstr(dm_error_line(), words) == NULL) fail_msg("'%s' does not say '%s'", dm_error_line(), words);
}

static void file_appears_with_its_name(void **state)
{
    dm_output o;
    char *p = NULL;
    struct stat st;
    mode_t old = umask(027);
    assert_int_equal(dm_output_begin(&o, comm_of(state), "a.h5", DM_OUTPUT_FILE, false), DEMARC_OK);
    assert_int_equal(dm_output_path(&o, "ignored", &p), DEMARC_OK);
    assert_int_equal(strncmp(p, ".a.h5.", 6), 0);
    assert_string_equal(p + strlen(p) - 4, ".tmp");
    put(p, "rows");
    free(p);
    assert_int_equal(access("a.h5", F_OK), -1);
    assert_int_equal(dm_output_commit(&o, comm_of(state)), DEMARC_OK);
    dm_output_abandon(&o, comm_of(state)); /* after commit it only frees */
    umask(old);
    assert_text("a.h5", "rows");
    assert_int_equal(entries("."), 1);
    assert_int_equal(stat("a.h5", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void directory_appears_with_its_name(void **state)
{
    struct stat st;
    mode_t old = umask(022);
    write_whole(state, "run///", DM_OUTPUT_DIRECTORY, false, "model.h5", "m");
    umask(old);
    assert_text("run/model.h5", "m");
    assert_int_equal(entries("."), 1);
    assert_int_equal(entries("run"), 1);
    assert_int_equal(stat("run", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void paths_of_all_sorts(void **state)
{
    char path[512], longest[256];
    assert_int_equal(mkdir("sub", 0777), 0);
    write_whole(state, "./sub/x", DM_OUTPUT_FILE, false, NULL, "1");
    write_whole(state, "sub//y/", DM_OUTPUT_FILE, false, NULL, "2");
    write_whole(state, "sub/../z", DM_OUTPUT_DIRECTORY, false, "model.h5", "3");
    snprintf(path, sizeof path, "%s/absolute", ((scratch *)*state)->dir);
    write_whole(state, path, DM_OUTPUT_FILE, false, NULL, "4");
    memset(longest, 'n', sizeof longest);
    longest[255] = 0; /* NAME_MAX: the temporary's name must be cut */
    write_whole(state, longest, DM_OUTPUT_FILE, false, NULL, "5");
    assert_text("sub/x", "1");
    assert_text("sub/y", "2");
    assert_text("z/model.h5", "3");
    assert_text("absolute", "4");
    assert_text(longest, "5");
    assert_int_equal(entries("."), 4);
    assert_refused(state, "", DM_OUTPUT_FILE, false, DEMARC_ERR_USAGE, "empty name");
}

static void existing_output_needs_force(void **state)
{
    put("a.h5", "old");
    assert_int_equal(mkdir("run", 0777), 0);
    assert_int_equal(symlink("nowhere", "dangling"), 0);
    assert_refused(state, "a.h5", DM_OUTPUT_FILE, false, DEMARC_ERR_EXISTS,
                   "output exists: a.h5: choose another name or add --force");
    assert_refused(state, "run/", DM_OUTPUT_DIRECTORY, false, DEMARC_ERR_EXISTS,
                   "output exists: run: choose another name or add --force");
    assert_refused(state, "dangling", DM_OUTPUT_FILE, false, DEMARC_ERR_EXISTS, "output exists");
    assert_refused(state, "/", DM_OUTPUT_DIRECTORY, false, DEMARC_ERR_EXISTS, "output exists");
    assert_int_equal(entries("."), 3);
    assert_text("a.h5", "old");
}

static void output_that_comes_meanwhile_is_not_overwritten(void **state)
{
    dm_output o;
    assert_int_equal(dm_output_begin(&o, comm_of(state), "a.h5", DM_OUTPUT_FILE, false), DEMARC_OK);
    put("a.h5", "someone else's");
    assert_int_equal(dm_output_commit(&o, comm_of(state)), DEMARC_ERR_EXISTS);
    dm_output_abandon(&o, comm_of(state));
    assert_text("a.h5", "someone else's");
    assert_int_equal(entries("."), 1);
    assert_int_equal(dm_output_begin(&o, comm_of(state), "run", DM_OUTPUT_DIRECTORY, false), DEMARC_OK);
    assert_int_equal(mkdir("run", 0777), 0);
    assert_int_equal(dm_output_commit(&o, comm_of(state)), DEMARC_ERR_EXISTS);
    dm_output_abandon(&o, comm_of(state));
    assert_int_equal(entries("run"), 0);
    assert_int_equal(entries("."), 2);
}

static void force_replaces_results(void **state)
{
    struct stat st;
    write_whole(state, "a.h5", DM_OUTPUT_FILE, false, NULL, "old");
    assert_int_equal(chmod("a.h5", 0600), 0);
    write_whole(state, "a.h5", DM_OUTPUT_FILE, true, NULL, "new");
    assert_text("a.h5", "new");
    assert_int_equal(stat("a.h5", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);                                /* what was private stays private */
    write_whole(state, "run", DM_OUTPUT_DIRECTORY, true, "model.h5", "first"); /* nothing there yet */
    put("run/manifest.json", "{}");
    write_whole(state, "run", DM_OUTPUT_DIRECTORY, true, "model.h5", "second");
    assert_text("run/model.h5", "second");
    assert_int_equal(entries("run"), 1);
    assert_int_equal(entries("."), 2);
    assert_int_equal(mkdir("empty", 0777), 0);
    write_whole(state, "empty", DM_OUTPUT_DIRECTORY, true, "model.h5", "third");
    assert_text("empty/model.h5", "third");
}

static void force_keeps_other_peoples_files(void **state)
{
    assert_int_equal(mkdir("run", 0777), 0);
    put("run/model.h5", "m");
    put("run/thesis.tex", "years of work");
    assert_refused(state, "run", DM_OUTPUT_DIRECTORY, true, DEMARC_ERR_EXISTS, "thesis.tex");
    assert_int_equal(unlink("run/thesis.tex"), 0);
    assert_int_equal(mkdir("run/manifest.json", 0777), 0); /* right name, not a file */
    assert_refused(state, "run", DM_OUTPUT_DIRECTORY, true, DEMARC_ERR_EXISTS, "manifest.json");
    put("file", "f");
    assert_refused(state, "file", DM_OUTPUT_DIRECTORY, true, DEMARC_ERR_EXISTS, "not a directory");
    assert_refused(state, "run", DM_OUTPUT_FILE, true, DEMARC_ERR_EXISTS, "is a directory");
    assert_int_equal(symlink("file", "link"), 0);
    assert_refused(state, "link", DM_OUTPUT_FILE, true, DEMARC_ERR_EXISTS, "symbolic link");
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_refused(state, "pipe", DM_OUTPUT_FILE, true, DEMARC_ERR_EXISTS, "device, pipe or socket");
    assert_refused(state, "/dev/null", DM_OUTPUT_FILE, true, DEMARC_ERR_EXISTS, "device, pipe or socket");
    assert_refused(state, ".", DM_OUTPUT_DIRECTORY, true, DEMARC_ERR_EXISTS, "name of its own");
    assert_refused(state, "run/..", DM_OUTPUT_DIRECTORY, true, DEMARC_ERR_EXISTS, "name of its own");
    assert_text("run/model.h5", "m");
    assert_int_equal(entries("."), 4);
}

/* A fit and a plan are both ours, but neither is lost to the other. */
static void force_keeps_directories_of_another_kind(void **state)
{
    write_whole(state, "run", DM_OUTPUT_DIRECTORY, false, "model.h5", "m");
    write_whole(state, "plan", DM_OUTPUT_PLAN, false, "experiment.h5", "e");
    put("plan/plan.json", "{}");
    assert_refused(state, "run", DM_OUTPUT_PLAN, true, DEMARC_ERR_EXISTS, "plans: run (model.h5)");
    assert_refused(state, "plan", DM_OUTPUT_DIRECTORY, true, DEMARC_ERR_EXISTS, "results: plan (");
    assert_refused(state, "plan", DM_OUTPUT_PLAN, false, DEMARC_ERR_EXISTS, "output exists");
    write_whole(state, "plan", DM_OUTPUT_PLAN, true, "plan.json", "new");
    assert_text("plan/plan.json", "new");
    assert_text("run/model.h5", "m");
    assert_int_equal(entries("plan"), 1);
    assert_int_equal(entries("."), 2);
}

static void strangers_file_that_comes_meanwhile_survives_force(void **state)
{
    dm_output o;
    write_whole(state, "run", DM_OUTPUT_DIRECTORY, false, "model.h5", "old");
    assert_int_equal(dm_output_begin(&o, comm_of(state), "run", DM_OUTPUT_DIRECTORY, true), DEMARC_OK);
    put("run/notes.txt", "mine");
    assert_int_equal(dm_output_commit(&o, comm_of(state)), DEMARC_ERR_EXISTS);
    dm_output_abandon(&o, comm_of(state));
    assert_text("run/notes.txt", "mine");
    assert_text("run/model.h5", "old");
    assert_int_equal(entries("."), 1);
}

static void no_place_for_the_output(void **state)
{
    put("file", "f");
    assert_refused(state, "missing/a.h5", DM_OUTPUT_FILE, false, DEMARC_ERR_IO, "missing: create the directory first");
    assert_refused(state, "file/a.h5", DM_OUTPUT_FILE, false, DEMARC_ERR_IO, "file is not a directory");
    assert_refused(state, "/proc/demarc", DM_OUTPUT_DIRECTORY, false, DEMARC_ERR_IO, "cannot create the output");
    if (geteuid() != 0) { /* root may write anywhere */
        assert_int_equal(mkdir("locked", 0555), 0);
        assert_refused(state, "locked/a.h5", DM_OUTPUT_FILE, false, DEMARC_ERR_IO, "Permission denied");
    }
}

static void abandoned_output_leaves_nothing(void **state)
{
    dm_output o;
    char *p = NULL;
    assert_int_equal(dm_output_begin(&o, comm_of(state), "run", DM_OUTPUT_DIRECTORY, false), DEMARC_OK);
    assert_int_equal(dm_output_path(&o, "model.h5", &p), DEMARC_OK);
    put(p, "half");
    free(p);
    dm_output_abandon(&o, comm_of(state));
    assert_int_equal(entries("."), 0);
    dm_output_abandon(&o, comm_of(state)); /* a zeroed struct */
    assert_int_equal(dm_output_commit(&o, comm_of(state)), DEMARC_ERR_ARG);
}

static void room_is_measured(void **state)
{
    (void)state;
    assert_int_equal(dm_output_room(".", 0), DEMARC_OK);
    assert_int_equal(dm_output_room("not-there-yet.h5", 4096), DEMARC_OK);
    assert_int_equal(dm_output_room(".", INT64_MAX), DEMARC_ERR_IO);
    assert_non_null(strstr(dm_error_line(), "not enough disk space: . (needs 9.2 EB"));
    assert_int_equal(dm_output_room("missing/a.h5", 1), DEMARC_ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(file_appears_with_its_name, enter, leave),
        cmocka_unit_test_setup_teardown(directory_appears_with_its_name, enter, leave),
        cmocka_unit_test_setup_teardown(paths_of_all_sorts, enter, leave),
        cmocka_unit_test_setup_teardown(existing_output_needs_force, enter, leave),
        cmocka_unit_test_setup_teardown(output_that_comes_meanwhile_is_not_overwritten, enter, leave),
        cmocka_unit_test_setup_teardown(force_replaces_results, enter, leave),
        cmocka_unit_test_setup_teardown(force_keeps_other_peoples_files, enter, leave),
        cmocka_unit_test_setup_teardown(force_keeps_directories_of_another_kind, enter, leave),
        cmocka_unit_test_setup_teardown(strangers_file_that_comes_meanwhile_survives_force, enter, leave),
        cmocka_unit_test_setup_teardown(no_place_for_the_output, enter, leave),
        cmocka_unit_test_setup_teardown(abandoned_output_leaves_nothing, enter, leave),
        cmocka_unit_test_setup_teardown(room_is_measured, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
