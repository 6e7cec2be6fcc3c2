#include "core/base/clock.h"
#include "core/base/str.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NS_PER_MS = 1000000 };

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) != 0)
        BUG("clock_gettime(%d) failed", (int)id);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t system_mono_ns(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

static uint64_t system_wall_ns(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

const struct clock *clock_system(void)
{
    static const struct clock system_clock = {system_mono_ns, system_wall_ns};

    return &system_clock;
}

static uint64_t fake_mono_ns(const struct clock *c)
{
    return container_of(c, const struct clock_fake, clock)->mono;
}

static uint64_t fake_wall_ns(const struct clock *c)
{
    return container_of(c, const struct clock_fake, clock)->wall;
}

void clock_fake_init(struct clock_fake *f, uint64_t wall_ms)
{
    f->clock = (struct clock){fake_mono_ns, fake_wall_ns};
    f->mono = 1000u * (uint64_t)NS_PER_MS; /* not 0, so that "never" and "now" differ */
    f->wall = wall_ms * NS_PER_MS;
}

void clock_fake_advance_ms(struct clock_fake *f, uint64_t ms)
{
    f->mono += ms * NS_PER_MS;
    f->wall += ms * NS_PER_MS;
}

/* --- calendar: days since 1970-01-01 of the proleptic Gregorian calendar, in eras of 400 years
 * that begin in March --- */

static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t m = mp < 10 ? mp + 3 : mp - 9;

    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)m;
    *year = (int)(yoe + era * 400 + (m <= 2));
}

static void put_digits(char *out, unsigned n, unsigned v)
{
    for (; n > 0; v /= 10)
        out[--n] = (char)('0' + v % 10);
}

char *clock_rfc3339(uint64_t wall_ms, char *out)
{
    const uint64_t last_ms =
        253402300799999u; /* 9999-12-31T23:59:59.999Z: RFC 3339 has four digits */
    uint64_t ms = wall_ms < last_ms ? wall_ms : last_ms;
    unsigned of_day = (unsigned)(ms / 1000 % 86400);
    static const char form[] = "0000-00-00T00:00:00.000Z";
    int y, mo, d;

    civil_from_days((int64_t)(ms / 86400000), &y, &mo, &d);
    memcpy(out, form, sizeof(form));
    put_digits(out, 4, (unsigned)y);
    put_digits(out + 5, 2, (unsigned)mo);
    put_digits(out + 8, 2, (unsigned)d);
    put_digits(out + 11, 2, of_day / 3600);
    put_digits(out + 14, 2, of_day / 60 % 60);
    put_digits(out + 17, 2, of_day % 60);
    put_digits(out + 20, 3, (unsigned)(ms % 1000));
    return out;
}

/* --- HTTP-date (RFC 9110 §5.6.7) --- */

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};

struct date {
    int year, month, day, hour, minute, second;
};

static bool take(const char **p, const char *literal)
{
    size_t n = strlen(literal);

    if (strncmp(*p, literal, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool take_number(const char **p, int digits, int *out)
{
    int v = 0;

    for (int i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (**p - '0');
    }
    *out = v;
    return true;
}

static bool take_month(const char **p, int *out)
{
    for (size_t i = 0; i < ARRAY_LEN(months); i++)
        if (take(p, months[i])) {
            *out = (int)i + 1;
            return true;
        }
    return false;
}

/* A weekday in full or by three letters. Whether it is the right one is not checked: the date says
 * more. */
static bool take_weekday(const char **p, bool full)
{
    for (size_t i = 0; i < ARRAY_LEN(weekdays); i++) {
        size_t n = full ? strlen(weekdays[i]) : 3;

        if (strncmp(*p, weekdays[i], n) == 0) {
            *p += n;
            return true;
        }
    }
    return false;
}

static bool take_time(const char **p, struct date *d)
{
    return take_number(p, 2, &d->hour) && take(p, ":") && take_number(p, 2, &d->minute) &&
           take(p, ":") && take_number(p, 2, &d->second);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf_fixdate(const char *p, struct date *d)
{
    return take_weekday(&p, false) && take(&p, ", ") && take_number(&p, 2, &d->day) &&
           take(&p, " ") && take_month(&p, &d->month) && take(&p, " ") &&
           take_number(&p, 4, &d->year) && take(&p, " ") && take_time(&p, d) && take(&p, " GMT") &&
           !*p;
}

/* Two digits of a year: the century that makes it at most 50 years from now. */
static int full_year(int two_digits, int year_now)
{
    int year = year_now - year_now % 100 + two_digits;

    return year > year_now + 50 ? year - 100 : year;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool parse_rfc850(const char *p, struct date *d)
{
    int now, month, day;

    if (!(take_weekday(&p, true) && take(&p, ", ") && take_number(&p, 2, &d->day) &&
          take(&p, "-") && take_month(&p, &d->month) && take(&p, "-") &&
          take_number(&p, 2, &d->year) && take(&p, " ") && take_time(&p, d) && take(&p, " GMT") &&
          !*p))
        return false;
    civil_from_days((int64_t)(clock_wall_ms(clock_system()) / 86400000), &now, &month, &day);
    d->year = full_year(d->year, now);
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(const char *p, struct date *d)
{
    if (!(take_weekday(&p, false) && take(&p, " ") && take_month(&p, &d->month) && take(&p, " ")))
        return false;
    if (!(take(&p, " ") ? take_number(&p, 1, &d->day) : take_number(&p, 2, &d->day)))
        return false;
    return take(&p, " ") && take_time(&p, d) && take(&p, " ") && take_number(&p, 4, &d->year) &&
           !*p;
}

static bool date_is_valid(const struct date *d)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = d->year % 4 == 0 && (d->year % 100 != 0 || d->year % 400 == 0);
    int length = lengths[d->month - 1] + (leap && d->month == 2);

    return d->day >= 1 && d->day <= length && d->hour <= 23 && d->minute <= 59 &&
           d->second <= 60; /* a leap second counts as the next */
}

int clock_parse_http_date(const char *s, int64_t *out_s)
{
    static bool (*const forms[])(const char *, struct date *) = {parse_imf_fixdate, parse_rfc850,
                                                                 parse_asctime};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct date d = {0};

        if (!forms[i](s, &d) || !date_is_valid(&d))
            continue;
        *out_s = days_from_civil(d.year, d.month, d.day) * 86400 + (int64_t)d.hour * 3600 +
                 (int64_t)d.minute * 60 + d.second;
        return 0;
    }
    return -1;
}
