/* What the files of this folder share. */
#ifndef CORE_CONF_CONF_INTERNAL_H
#define CORE_CONF_CONF_INTERNAL_H

#include "core/conf/campaign.h"

/** A campaign as it is decoded: the keys that name further files are read afterwards. */
struct campaign_file {
    struct campaign_conf conf; /* first: also a struct campaign_conf of its own */
    const struct json *flow, *stages, *targets;
};

#endif
