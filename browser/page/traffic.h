/* What pages ask the network for, as the events of DevTools' Network domain tell it: one entry a
 * request, each hop of a redirect its own. For HAR files (har.h) and for response bodies. Pure: no
 * loop, no browser, so that recorded events can be played into it.
 *
 *   entry:  sent -> answered -> over;   sent, answered -> failed
 *
 * Headers as they were on the wire and cookies come in events of their own (…ExtraInfo), before or
 * after those they belong to: the n-th of a request id is that of its n-th hop which had any.
 *
 * Events hold what pages and servers chose: what is missing or of another type is left out, what is
 * too much is left out and counted. Requests that do not go to the network (data:, blob:) are no
 * entries. */
#ifndef BROWSER_PAGE_TRAFFIC_H
#define BROWSER_PAGE_TRAFFIC_H

#include "core/base/json.h"
#include "core/base/list.h"
#include "core/base/map.h"

enum {
    TRAFFIC_ID_MAX = 48, /* DevTools' request and session ids, with their NUL */
    TRAFFIC_ENTRIES_MAX = 5000,
    TRAFFIC_BYTES_MAX = 16 * 1024 * 1024, /* of URLs, headers, cookies and posted data */
    TRAFFIC_URL_MAX = 16 * 1024,
};

enum traffic_kind {
    TRAFFIC_REQUEST,        /* Network.requestWillBeSent */
    TRAFFIC_REQUEST_EXTRA,  /* Network.requestWillBeSentExtraInfo */
    TRAFFIC_RESPONSE,       /* Network.responseReceived */
    TRAFFIC_RESPONSE_EXTRA, /* Network.responseReceivedExtraInfo */
    TRAFFIC_CACHED,         /* Network.requestServedFromCache */
    TRAFFIC_DATA,           /* Network.dataReceived */
    TRAFFIC_FINISHED,       /* Network.loadingFinished */
    TRAFFIC_FAILED_LOAD,    /* Network.loadingFailed */
    TRAFFIC_SOCKET,         /* Network.webSocketCreated */
    TRAFFIC_SOCKET_SENT,    /* Network.webSocketWillSendHandshakeRequest */
    TRAFFIC_SOCKET_ANSWER,  /* Network.webSocketHandshakeResponseReceived */
    TRAFFIC_SOCKET_ERROR,   /* Network.webSocketFrameError */
    TRAFFIC_SOCKET_CLOSED,  /* Network.webSocketClosed */
    TRAFFIC_KIND_COUNT,
};
/** The event's name at its enumerator. */
extern const char *const traffic_methods[TRAFFIC_KIND_COUNT];

enum traffic_state { TRAFFIC_SENT, TRAFFIC_ANSWERED, TRAFFIC_OVER, TRAFFIC_FAILED };

/* Marks of Network.ResourceTiming that are kept: milliseconds after its requestTime, -1: none. */
enum traffic_mark {
    MARK_DNS_START,
    MARK_DNS_END,
    MARK_CONNECT_START,
    MARK_CONNECT_END,
    MARK_SSL_START,
    MARK_SSL_END,
    MARK_SEND_START,
    MARK_SEND_END,
    MARK_HEADERS_END,
    MARK_COUNT,
};

/* One request. Read-only but for body, body_base64 and body_note, which are the owner's to fill.
 * Texts that end in _json are JSON in HAR's form; NULL where nothing is known. */
struct traffic_entry {
    struct list link;  /* of all, in the order they began */
    struct list chain; /* of its request id */
    uint64_t number;   /* from 1, never given twice */
    char id[TRAFFIC_ID_MAX];
    char session[TRAFFIC_ID_MAX]; /* that told of its end, else of its beginning */
    uint32_t page;                /* number of its page, from 1; 0: none */
    enum traffic_state state;
    char type[20]; /* DevTools' word: "Document", "XHR", "WebSocket" */
    char *url, *method;
    double wall_s;                  /* when it was asked for; 0: not told */
    double at_s, answered_s, end_s; /* the browser's own clock; 0: not yet */
    bool has_timing;
    double timing_s; /* requestTime */
    double marks[MARK_COUNT];
    int status;      /* 0: no answer */
    int wire_status; /* of the answer on the wire (304), 0: not told */
    char *status_text, *mime, *redirect_url;
    char protocol[16];
    char address[48]; /* of the server's end of the connection, "" when not known */
    uint64_t connection;
    char *request_headers_json, *request_cookies_json, *post_json;
    char *response_headers_json, *response_cookies_json;
    int64_t request_headers_bytes, response_headers_bytes; /* -1: not known */
    int64_t post_bytes;                                    /* -1: not known */
    int64_t received_bytes; /* on the wire, headers included; -1: not known */
    int64_t head_bytes;     /* of these, when the answer's head was there */
    int64_t body_bytes;     /* decoded */
    bool from_memory, from_disk, from_worker;
    bool request_extra, response_extra; /* came */
    bool no_extra;                      /* and none will */
    char failure[80];                   /* "net::ERR_…", "" when none */
    char *body;
    size_t body_len;
    bool body_base64;
    const char *body_note; /* why there is none; static */
};

/* A document of a tab's main frame. */
struct traffic_page {
    uint32_t tab;
    char loader[TRAFFIC_ID_MAX]; /* "": it was there before */
    char *url;
    double wall_s, at_s;
    double dcl_s, load_s; /* 0: not yet */
};

struct traffic_opts {
    bool headers; /* keeps headers, cookies, posted data, pages: all that a HAR has */
    bool secrets; /* Authorization, cookies: as they are, not "(left out)" */
    bool ring;    /* the oldest that are over go when there are too many */
    size_t entries_max;
};

struct traffic {
    struct traffic_opts opts; /* read-only, all of it */
    struct list entries;
    size_t n_entries;
    struct traffic_page *pages;
    size_t n_pages;
    size_t bytes;
    uint64_t n_left_out;  /* requests that there was no room for */
    uint64_t n_texts_cut; /* texts of entries that there was no room for */
    uint64_t next_number;
    struct map *chains; /* request id -> struct traffic_chain */
};

struct traffic *traffic_create(const struct traffic_opts *opts);
/** Sets *t to NULL; NULL is fine. */
void traffic_destroy(struct traffic **t);

/* Where an event comes from. */
struct traffic_place {
    uint32_t tab;           /* the page's number, from 1 */
    const char *main_frame; /* its main frame's id */
    const char *url;     /* and where that is: for requests of a document that was there before */
    const char *session; /* that the event came on; "" in tests */
    double wall_s;
};

/** Takes an event. The entry that is over (or failed) with it, borrowed; NULL: none is. */
struct traffic_entry *traffic_take(struct traffic *t, const struct traffic_place *at,
                                   enum traffic_kind kind, const struct json *params);
/** DOMContentLoaded, or with `load` the load event, of the document of that loader. */
void traffic_loaded(struct traffic *t, const char *loader, bool load, double at_s);
/** NULL when it is not there any more. */
struct traffic_entry *traffic_find(struct traffic *t, uint64_t number);

#endif
