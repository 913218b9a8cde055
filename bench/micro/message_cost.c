/*
 * What a message costs between two ranks, as the LogGP model counts it (Alexandrov, Ionescu, Schauser & Scheiman 1995),
 * and what an all-reduce costs on all ranks of the run.
 *
 * usage: mpirun -n R message_cost [--rounds N]          R >= 2; ranks 0 and 1 play ping-pong
 *
 *   o  overhead: seconds a rank is busy with sending, or with receiving, one small message
 *   g  gap: seconds between small messages of a long one-way stream
 *   G  gap per byte of long messages: slope of half a round trip between 1 and 4 MiB
 *   L  latency: half a round trip of a small message, less 2 o
 *
 * Each figure is measured --rounds times; minimum, median and maximum are printed, a line of JSON a figure to stderr.
 */
#include <jansson.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ROUNDS 101
#define SMALL 8             /* bytes */
#define LONG (4 << 20)      /* bytes */
#define TURNS 1920          /* small messages a round */
#define BURST 32            /* small messages that find room without a receiver */
#define LONG_TURNS 20       /* long messages a round */
#define REDUCED_CELLS 65536 /* largest all-reduce: 512 KiB of 64-bit integers */

typedef struct bench {
    int rank, size, rounds;
    char *out, *in; /* [LONG] */
} bench;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Half a round trip of `bytes`, in seconds, on rank 0. Collective. */
static double half_trip(const bench *b, int bytes, int turns)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    for (int i = 0; i < turns && b->rank < 2; i++) {
        if (b->rank == 0) MPI_Send(b->out, bytes, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(b->in, bytes, MPI_BYTE, 1 - b->rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (b->rank == 1) MPI_Send(b->out, bytes, MPI_BYTE, 0, 0, MPI_COMM_WORLD);
    }
    return (MPI_Wtime() - start) / (2.0 * turns);
}

/* Mean of a send that nobody waits for and of a receive of what has arrived. Collective; valid on rank 0. */
static double overhead(const bench *b, int turns)
{
    double mine = 0.0, both = 0.0;
    for (int i = 0; i < turns; i += BURST) {
        MPI_Barrier(MPI_COMM_WORLD);
        double start = MPI_Wtime();
        for (int j = 0; j < BURST && b->rank == 0; j++) MPI_Send(b->out, SMALL, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
        if (b->rank == 0) mine += MPI_Wtime() - start;
        MPI_Barrier(MPI_COMM_WORLD);
        start = MPI_Wtime();
        for (int j = 0; j < BURST && b->rank == 1; j++) {
            MPI_Recv(b->in, SMALL, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        }
        if (b->rank == 1) mine += MPI_Wtime() - start;
    }
    MPI_Reduce(&mine, &both, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    return both / (2.0 * turns);
}

static double gap(const bench *b, int turns)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    for (int i = 0; i < turns; i++) {
        if (b->rank == 0) MPI_Send(b->out, SMALL, MPI_BYTE, 1, 2, MPI_COMM_WORLD);
        if (b->rank == 1) MPI_Recv(b->in, SMALL, MPI_BYTE, 0, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    if (b->rank == 1) MPI_Send(b->out, SMALL, MPI_BYTE, 0, 2, MPI_COMM_WORLD); /* all have arrived */
    if (b->rank == 0) MPI_Recv(b->in, SMALL, MPI_BYTE, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return (MPI_Wtime() - start) / turns;
}

/* An all-reduce of `cells` 64-bit integers on all ranks. */
static double all_reduce(const bench *b, int cells, int turns)
{
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    for (int i = 0; i < turns; i++) {
        MPI_Allreduce(b->out, b->in, cells, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    }
    return (MPI_Wtime() - start) / turns;
}

static void report(const bench *b, const char *name, int64_t bytes, const char *unit, double scale, double *value)
{
    if (b->rank != 0) return;
    qsort(value, (size_t)b->rounds, sizeof *value, by_value);
    const double low = value[0], mid = value[b->rounds / 2], high = value[b->rounds - 1];
    printf("| %s | %lld | %.4g (%.4g-%.4g) %s |\n", name, (long long)bytes, mid * scale, low * scale, high * scale,
           unit);
    json_t *o = json_pack("{s:s,s:i,s:I,s:f,s:f,s:f}", "figure", name, "ranks", b->size, "bytes", (json_int_t)bytes,
                          "min", low, "median", mid, "max", high);
    json_dumpf(o, stderr, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stderr);
    json_decref(o);
}

static void run(const bench *b)
{
    static const int cells[] = {1, 64, 1024, 8192, REDUCED_CELLS};
    enum { SIZES = sizeof cells / sizeof *cells };
    double o[MOST_ROUNDS], g[MOST_ROUNDS], big_g[MOST_ROUNDS], latency[MOST_ROUNDS], reduce[SIZES][MOST_ROUNDS];
    for (int round = -1; round < b->rounds; round++) { /* round -1 warms up; the figures take turns */
        const int at = round < 0 ? 0 : round;
        o[at] = overhead(b, TURNS);
        const double small = half_trip(b, SMALL, TURNS);
        latency[at] = small > 2.0 * o[at] ? small - 2.0 * o[at] : 0.0;
        g[at] = gap(b, TURNS);
        const double part = half_trip(b, LONG / 4, LONG_TURNS), whole = half_trip(b, LONG, LONG_TURNS);
        big_g[at] = (whole - part) / (LONG - LONG / 4);
        for (int i = 0; i < SIZES; i++) reduce[i][at] = all_reduce(b, cells[i], cells[i] > 1024 ? LONG_TURNS : TURNS);
    }
    if (b->rank == 0) {
        printf("| figure, %d ranks | bytes | median (min-max) |\n| --- | --- | --- |\n", b->size);
    }
    report(b, "L", SMALL, "us", 1e6, latency);
    report(b, "o", SMALL, "us", 1e6, o);
    report(b, "g", SMALL, "us", 1e6, g);
    report(b, "G", LONG, "ns a byte", 1e9, big_g);
    for (int i = 0; i < SIZES; i++) report(b, "all-reduce", 8 * (int64_t)cells[i], "us", 1e6, reduce[i]);
}

int main(int argc, char **argv)
{
    bench b = {.rounds = 9};
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &b.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &b.size);
    const bool help = argc == 2 && strcmp(argv[1], "--help") == 0,
               rounds = argc == 3 && strcmp(argv[1], "--rounds") == 0;
    if (rounds) b.rounds = (int)strtol(argv[2], NULL, 10);
    int status = 0;
    if (b.rounds < 1 || b.rounds > MOST_ROUNDS || b.size < 2 || (argc != 1 && !rounds)) {
        status = help ? 0 : 2;
        if (b.rank == 0) {
            fprintf(help ? stdout : stderr, "usage: mpirun -n R message_cost [--rounds 1..%d], R >= 2\n", MOST_ROUNDS);
        }
    } else {
        b.out = calloc(1, LONG);
        b.in = calloc(1, LONG);
        if (b.out == NULL || b.in == NULL) {
            fprintf(stderr, "message_cost: out of memory\n");
            MPI_Abort(MPI_COMM_WORLD, 5);
        }
        run(&b);
        free(b.out);
        free(b.in);
    }
    MPI_Finalize();
    return status;
}
