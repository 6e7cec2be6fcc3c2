/* What logdb.c (the queue and the writer) and logdb_open.c (opening and closing, errors) share. */
#ifndef CORE_RECORD_LOGDB_INTERNAL_H
#define CORE_RECORD_LOGDB_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "core/record/logdb.h"

struct logdb {
    struct loop *loop;
    char *state_dir, *path;
    int lock_fd;
    size_t outstanding; /* jobs not answered; loop thread */
    void (*closed)(void *arg);
    void *closed_arg;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the queue and `closing` */
    pthread_cond_t wake;
    struct logdb_job *first, *last;
    size_t n_queued; /* jobs of the queue */
    size_t n_lazy;   /* the same when all of them are lazy, else 0 */
    uint64_t due_ms; /* then: when they are written; else 0, at once */
    bool closing;
    bool at_once; /* logdb_close_now waits: nothing is posted */

    sqlite3 *db; /* start-up: loop thread; later the writer's, as all below */
    sqlite3_stmt *begin, *commit;
    struct logdb_hook *hooks;
    struct group *ahead; /* the next one, whose hooks know of it already; NULL: none */
    struct err failed;   /* status OK as long as commits succeed */
};

/* logdb.c: the writer's thread; `arg` is the database */
void *logdb_writer_main(void *arg);
/* logdb_open.c */
void logdb_close_connection(struct logdb *db);
/** Posted by the writer when all is done. */
void logdb_on_writer_end(void *arg);

#endif
