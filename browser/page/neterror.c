#include "browser/page/neterror.h"

#include <string.h>

static const struct {
    const char *reason, *text;
} reasons[] = {
    {"Aborted", "net::ERR_ABORTED"},
    {"TimedOut", "net::ERR_TIMED_OUT"},
    {"AccessDenied", "net::ERR_ACCESS_DENIED"},
    {"ConnectionClosed", "net::ERR_CONNECTION_CLOSED"},
    {"ConnectionReset", "net::ERR_CONNECTION_RESET"},
    {"ConnectionRefused", "net::ERR_CONNECTION_REFUSED"},
    {"ConnectionAborted", "net::ERR_CONNECTION_ABORTED"},
    {"ConnectionFailed", "net::ERR_CONNECTION_FAILED"},
    {"NameNotResolved", "net::ERR_NAME_NOT_RESOLVED"},
    {"InternetDisconnected", "net::ERR_INTERNET_DISCONNECTED"},
    {"AddressUnreachable", "net::ERR_ADDRESS_UNREACHABLE"},
    {"BlockedByClient", "net::ERR_BLOCKED_BY_CLIENT"},
    {"BlockedByResponse", "net::ERR_BLOCKED_BY_RESPONSE"},
};

const char *neterror_of_reason(const char *reason)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strcmp(reasons[i].reason, reason) == 0)
            return reasons[i].text;
    return "net::ERR_FAILED";
}

/* The first row whose word begins the browser's wins: longer words stand before shorter ones. */
static const struct {
    const char *word, *text;
} words[] = {
    {"ERR_NAME_NOT_RESOLVED", "its name cannot be resolved"},
    {"ERR_NAME_RESOLUTION_FAILED", "its name cannot be resolved"},
    {"ERR_DNS_", "its name cannot be resolved"},
    {"ERR_CONNECTION_REFUSED", "the connection was refused: nothing listens there"},
    {"ERR_CONNECTION_RESET", "the connection was reset by the server"},
    {"ERR_CONNECTION_CLOSED", "the server closed the connection before it answered"},
    {"ERR_EMPTY_RESPONSE", "the server closed the connection without an answer"},
    {"ERR_CONNECTION_TIMED_OUT", "the server cannot be reached: no answer to the connection"},
    {"ERR_CONNECTION_", "the connection failed"},
    {"ERR_TIMED_OUT", "the network took too long"},
    {"ERR_ADDRESS_UNREACHABLE", "the address cannot be reached"},
    {"ERR_ADDRESS_INVALID", "the address is not valid"},
    {"ERR_INTERNET_DISCONNECTED", "the page is offline"},
    {"ERR_NETWORK_CHANGED", "the network changed under it"},
    {"ERR_CERT_DATE_INVALID", "the certificate has expired, or is not valid yet"},
    {"ERR_CERT_COMMON_NAME_INVALID", "the certificate is for another name"},
    {"ERR_CERT_AUTHORITY_INVALID", "the certificate is not signed by an authority that is trusted"},
    {"ERR_CERT_REVOKED", "the certificate was revoked"},
    {"ERR_CERT_", "the certificate is not valid"},
    {"ERR_SSL_PROTOCOL_ERROR", "no TLS there: the server answers something else"},
    {"ERR_SSL_", "TLS could not be agreed on"},
    {"ERR_BAD_SSL_CLIENT_AUTH_CERT", "the server wants a certificate of the client"},
    {"ERR_TUNNEL_CONNECTION_FAILED", "the proxy did not open the connection"},
    {"ERR_PROXY_AUTH", "the proxy refused the credentials"},
    {"ERR_PROXY_CONNECTION_FAILED", "the browser cannot reach its member's forwarder"},
    {"ERR_PROXY_", "the proxy failed"},
    {"ERR_SOCKS_", "the proxy failed"},
    {"ERR_TOO_MANY_REDIRECTS", "too many redirects"},
    {"ERR_INVALID_REDIRECT", "it redirects to something that is no URL"},
    {"ERR_UNSAFE_REDIRECT", "it redirects to a place that the web may not lead to"},
    {"ERR_UNSAFE_PORT", "browsers refuse this port"},
    {"ERR_INVALID_URL", "it is no valid URL"},
    {"ERR_UNKNOWN_URL_SCHEME", "nothing here opens such an address"},
    {"ERR_INVALID_RESPONSE", "the answer is no HTTP"},
    {"ERR_INVALID_HTTP_RESPONSE", "the answer is no HTTP"},
    {"ERR_HTTP2_", "the server broke the rules of HTTP/2"},
    {"ERR_QUIC_", "the server broke the rules of HTTP/3"},
    {"ERR_RESPONSE_HEADERS_", "the answer's header is broken"},
    {"ERR_CONTENT_", "the answer's body is broken"},
    {"ERR_INCOMPLETE_CHUNKED_ENCODING", "the answer ended too early"},
    {"ERR_BLOCKED_BY_RESPONSE", "its answer forbids that it is shown here"},
    {"ERR_BLOCKED_BY_CSP", "the page's own policy forbids it"},
    {"ERR_BLOCKED_BY_CLIENT", "the request was blocked"},
    {"ERR_FAILED", "it failed, and the browser did not say why"},
    {"ERR_ABORTED", "the navigation was given up"},
    {"ERR_ACCESS_DENIED", "access was denied"},
    {"ERR_OUT_OF_MEMORY", "the browser is out of memory"},
    {"ERR_INSUFFICIENT_RESOURCES", "the browser is out of resources"},
};

static const char *find(const char *text)
{
    const char *word = strncmp(text, "net::", 5) == 0 ? text + 5 : NULL;

    for (size_t i = 0; word != NULL && i < ARRAY_LEN(words); i++)
        if (strncmp(word, words[i].word, strlen(words[i].word)) == 0)
            return words[i].text;
    return NULL;
}

static bool is_loop(const char *text, unsigned redirects)
{
    return strcmp(text, "net::ERR_TOO_MANY_REDIRECTS") == 0 ||
           (redirects + 1 >= REDIRECTS_MAX && strcmp(text, "net::ERR_FAILED") == 0);
}

bool neterror_is_own(const char *text, unsigned redirects)
{
    static const char *const own[] = {
        "net::ERR_FAILED",
        "net::ERR_ABORTED",
        "net::ERR_PROXY_CONNECTION_FAILED", /* the forwarder, and it is here */
        "net::ERR_OUT_OF_MEMORY",
        "net::ERR_INSUFFICIENT_RESOURCES",
        "net::ERR_ACCESS_DENIED",
        "net::ERR_BLOCKED_BY_CLIENT",
    };

    if (is_loop(text, redirects))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(text, own[i]) == 0)
            return true;
    return false;
}

void neterror_say(const char *text, const char *url, unsigned redirects, const char *first,
                  enum status s, struct err *e)
{
    const char *plain = find(text);

    if (is_loop(text, redirects))
        err_set(e, s, "redirect loop: %u redirects from %s", redirects + 1,
                first != NULL ? first : url);
    else if (strcmp(text, "net::ERR_FAILED") == 0 && strncmp(url, "https:", 6) == 0)
        err_set(e, s,
                "%s: it failed before an answer; with https mostly a certificate that is not "
                "trusted, or no TLS there (%s)",
                url, text);
    else if (plain != NULL)
        err_set(e, s, "%s: %s (%s)", url, plain, text);
    else
        err_set(e, s, "%s: %s", url, text);
}
