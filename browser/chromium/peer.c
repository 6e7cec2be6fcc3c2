#include "browser/chromium/peer.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/file.h"

enum { TABLE_MAX = 64 * 1024 * 1024 /* of /proc/net/tcp: 400,000 sockets */ };

/* Those that have an owner, and two ends. */
static bool is_owned(uint64_t state)
{
    return state != TCP_TIME_WAIT && state != TCP_CLOSE && state != TCP_LISTEN;
}

/* --- sock_diag(7): one socket, by its two ends --- */

struct question {
    struct nlmsghdr head;
    struct inet_diag_req_v2 body;
};

struct answer {
    struct nlmsghdr head;
    union {
        struct inet_diag_msg body;
        struct nlmsgerr error;
    } u;
};

static struct question ask_about(const struct sockaddr_in *peer, const struct sockaddr_in *local)
{
    struct question q = {
        .head = {.nlmsg_len = sizeof q,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = AF_INET,
                 .sdiag_protocol = IPPROTO_TCP,
                 .idiag_states = ~0u,
                 .id = {.idiag_sport = peer->sin_port,
                        .idiag_dport = local->sin_port,
                        .idiag_src = {peer->sin_addr.s_addr},
                        .idiag_dst = {local->sin_addr.s_addr},
                        .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}},
    };

    return q;
}

enum said { SAID_FOUND, SAID_NOT_THERE, SAID_NOTHING };

/* Who listens at the peer's address is found when no connection is: not one with our end. */
static enum said read_answer(const struct answer *a, ssize_t n, const struct sockaddr_in *local,
                             uid_t *out)
{
    const struct inet_diag_msg *m = &a->u.body;

    if (n < (ssize_t)sizeof a->head)
        return SAID_NOTHING;
    if (a->head.nlmsg_type == NLMSG_ERROR)
        return n >= (ssize_t)(sizeof a->head + sizeof a->u.error.error) &&
                       a->u.error.error == -ENOENT
                   ? SAID_NOT_THERE
                   : SAID_NOTHING;
    if (a->head.nlmsg_type != SOCK_DIAG_BY_FAMILY || n < (ssize_t)(sizeof a->head + sizeof *m))
        return SAID_NOTHING;
    if (!is_owned(m->idiag_state) || m->id.idiag_dport != local->sin_port ||
        m->id.idiag_dst[0] != local->sin_addr.s_addr)
        return SAID_NOT_THERE;
    *out = m->idiag_uid;
    return SAID_FOUND;
}

/* The kernel has answered by the time that send returns. */
static enum said ask_kernel(const struct sockaddr_in *peer, const struct sockaddr_in *local,
                            uid_t *out)
{
    const struct question q = ask_about(peer, local);
    struct answer a;
    cleanup_fd int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

    if (fd < 0 || send(fd, &q, sizeof q, 0) != (ssize_t)sizeof q)
        return SAID_NOTHING;
    memset(&a, 0, sizeof a);
    return read_answer(&a, recv(fd, &a, sizeof a, MSG_DONTWAIT), local, out);
}

/* --- /proc/net/tcp --- */

static bool parse_hex(struct str *rest, char until, uint64_t *out)
{
    struct str word = str_cut(rest, until);
    uint64_t v = 0;

    if (word.len == 0 || word.len > 16)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16u;

        if (digit == 16)
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static struct str next_word(struct str *rest)
{
    *rest = str_trim(*rest);
    return str_cut(rest, ' ');
}

/* "0100007F:0C38", the address as the machine has it in memory. */
static bool is_address(struct str word, const struct sockaddr_in *a)
{
    uint64_t ip, port;

    return parse_hex(&word, ':', &ip) && parse_hex(&word, '\0', &port) &&
           ip == a->sin_addr.s_addr && port == ntohs(a->sin_port);
}

/* "  0: 0100007F:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 ..." */
static bool line_uid(struct str line, const struct sockaddr_in *peer,
                     const struct sockaddr_in *local, uid_t *out)
{
    struct str word;
    uint64_t state, uid;

    (void)next_word(&line);
    word = next_word(&line);
    if (!is_address(word, peer))
        return false;
    word = next_word(&line);
    if (!is_address(word, local))
        return false;
    word = next_word(&line);
    if (!parse_hex(&word, '\0', &state) || !is_owned(state)) /* the others show uid 0 */
        return false;
    for (int i = 0; i < 3; i++)
        (void)next_word(&line);
    if (!str_to_u64(next_word(&line), UINT32_MAX, &uid))
        return false;
    *out = (uid_t)uid;
    return true;
}

bool peer_find_uid(struct str table, const struct sockaddr_in *peer,
                   const struct sockaddr_in *local, uid_t *out)
{
    while (table.ptr != NULL)
        if (line_uid(str_cut(&table, '\n'), peer, local, out))
            return true;
    return false;
}

static bool look_it_up(const struct sockaddr_in *peer, const struct sockaddr_in *local, uid_t *out)
{
    struct buf table = BUF_INIT(TABLE_MAX);
    bool found = file_read("/proc/net/tcp", &table, NULL) == STATUS_OK &&
                 peer_find_uid(buf_str(&table), peer, local, out);

    buf_deinit(&table);
    return found;
}

/* Where the kernel has no sock_diag it answers as if the socket were not there: so that is believed
 * only of one that has found a socket before. */
bool peer_uid(struct peers *p, const struct sockaddr_in *peer, const struct sockaddr_in *local,
              uid_t *out)
{
    enum said said = ask_kernel(peer, local, out);

    p->diag = p->diag || said == SAID_FOUND;
    if (said == SAID_FOUND || (said == SAID_NOT_THERE && p->diag))
        return said == SAID_FOUND;
    return look_it_up(peer, local, out);
}
