/* What the files of the decoder share. */
#ifndef BROWSER_FLOW_DECODE_INTERNAL_H
#define BROWSER_FLOW_DECODE_INTERNAL_H

#include "browser/flow/flow_internal.h"

struct decoding {
    struct flow *flow;
    struct arena *arena;
    struct json_decode *d;
    size_t root;    /* length of d->path at the flow: steps are named from there */
    size_t index;   /* of the top-level step at hand */
    size_t n_steps; /* so far, at any depth */
};

/* decode.c */
/** The tree lives as long as the flow. Returns it. */
const struct json *decode_keep(struct decoding *dec, struct json *j);
/** A warning at the place at hand. */
void decode_warn(struct decoding *dec, const char *fmt, ...) printf_like(2, 3);

/* decode_params.c: what the op of a step says of its members */
/** The op's parameter of this name, or NULL. */
const struct json_field *op_field(const struct op *op, const char *name);
/** The step's type, its op or every step must know the member. */
void decode_member_name(struct decoding *dec, const struct step_type *t, const struct op *op,
                        const char *name);
/** The {{variables}} of all strings below j are well formed. */
void decode_strings(struct json_decode *d, const struct json *j);
/** The members that are the op's, under the op's names; the caller's. */
struct json *decode_op_params(const struct step_type *t, const struct op *op, const struct json *j);
/** Checks them against the op's schema. Where it wants a number or one of some words, a string with
 *  {{variables}} will do. */
void decode_params(struct decoding *dec, const struct op *op, const struct json *params);

#endif
