/* What the files of this folder share. */
#ifndef CORE_CONF_CONF_INTERNAL_H
#define CORE_CONF_CONF_INTERNAL_H

#include "core/conf/campaign.h"

/** A campaign as it is decoded: the keys that name further files are read afterwards. */
struct campaign_file {
    struct campaign_conf conf; /* first: also a struct campaign_conf of its own */
    const struct json *flow, *stages, *targets;
};

/* A campaign on its way in. */
struct load {
    const struct campaign_source *source;
    struct campaign_file *file;
    struct campaign_conf *conf;
    struct json_decode *d;
    struct buf *faults; /* lines of the files that are named */
    bool stdin_taken;
};

/* campaign_files.c: reading */
/** `rel` beside the campaign's file. */
const char *campaign_join(const struct load *l, const char *rel);
/** As it is from the root of the file system. */
const char *campaign_absolute(struct arena *a, const char *path);
/** Borrowed from the source, or in `a`. */
must_check enum status campaign_read_text(struct arena *a, const struct campaign_source *source,
                                          const char *path, size_t max, struct str *out,
                                          struct err *e);
/** Comments are allowed. NULL with *e. The caller owns it. */
must_check struct json *campaign_parse_text(struct str text, struct err *e);
/** Freed with `a`. */
const struct json *campaign_keep_tree(struct arena *a, struct json *j);

/* campaign_named.c: what a campaign names; errors go to l->d and l->faults */
void campaign_load_flows(struct load *l);
void campaign_load_targets(struct load *l);
/** What rows ask for: $flow and $member. */
void campaign_load_rows(struct load *l);
bool campaign_rows_have_flows(const struct campaign_conf *c);
void campaign_load_proxies(struct load *l);

/* campaign_check.c */
/** What must hold between keys. */
void campaign_check(struct load *l);

/* campaign_vars.c */
/** Names that flows ask for and nothing gives. The flows that are named are there. */
void campaign_check_vars(struct load *l);

#endif
