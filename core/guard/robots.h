/* robots.txt (RFC 9309): parser, matcher, and the cache of what was fetched for each authority. */
#ifndef CORE_GUARD_ROBOTS_H
#define CORE_GUARD_ROBOTS_H

#include "core/base/arena.h"
#include "core/base/loop.h"
#include "core/base/str.h"
#include "core/base/url.h"

/* --- rules of one file: pure --- */
struct robots_rules;
/** Parses at most 500 KiB (RFC 9309 §2.5); never fails: lines that are none are skipped. Rules of
 * the groups for `product` ("fleet"), else `*`. */
struct robots_rules *robots_parse(struct str text, struct str product);
void robots_rules_destroy(struct robots_rules **r);
/** `path` with query, as in struct url. Longest match wins, allow on a tie (§2.2.2); `*` and
 * `$`. */
bool robots_rules_allow(const struct robots_rules *r, struct str path);
/** Crawl-delay in ms, 0 when none. Not in the RFC; kept because it is asked for politely. */
uint64_t robots_rules_crawl_delay_ms(const struct robots_rules *r);

/* --- cache --- */
struct robots;
struct member;

/** Fetches the file of an authority: `done(arg, http_status, body)` once, never from inside;
 * http_status 0: unreachable; negative: it was not asked (no proxy, shutting down), so nothing was
 * learned. Up to five redirects are the fetcher's to follow (§2.3.1.2). Given by who has an HTTP
 *  client; goes through the gate itself (op http.robots: policy, breaker, limiter, proxy, receipt).
 */
typedef void robots_done_fn(void *arg, int http_status, struct str body);
typedef void robots_fetch_fn(void *fetch_arg, struct member *m, struct str url,
                             uint64_t deadline_ms, const unsigned char *parent,
                             robots_done_fn *done, void *arg);

struct robots *robots_create(struct loop *l, robots_fetch_fn *fetch, void *fetch_arg);
void robots_destroy(struct robots **r);

enum robots_answer { ROBOTS_ALLOW, ROBOTS_DENY, ROBOTS_UNREACHABLE };
/** Asks for `url`: from the cache (24 h; 1 h for 4xx = allow all; 5xx or unreachable = deny, asked
 * again after 1 min: §2.3.1), or after one fetch that all who wait share. `done` runs once, never
 * from inside. The ticket may be cancelled with robots_cancel. */
struct robots_wait;
typedef void robots_answer_fn(void *arg, enum robots_answer a, uint64_t crawl_delay_ms,
                              const char *why);
struct robots_wait *robots_ask(struct robots *r, struct member *m, const struct url *url,
                               uint64_t deadline_ms, const unsigned char *parent,
                               robots_answer_fn *done, void *arg);
void robots_cancel(struct robots_wait **w);

#endif
