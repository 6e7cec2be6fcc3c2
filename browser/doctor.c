#include "browser/doctor.h"

#include "browser/chromium/args.h"
#include "browser/chromium/version.h"

static const struct {
    enum browser_kind kind;
    const char *name, *cost, *mend;
} browsers[] = {
    {BROWSER_HEADLESS_SHELL, "headless-shell",
     "the dense tier runs on the full browser: half as many pages in the same memory",
     "apt-get install chromium-headless-shell"},
    {BROWSER_CHROMIUM, "chromium", "campaigns that ask for \"browser\": \"chromium\" cannot run",
     "apt-get install chromium"},
};

/* True when it is there. The other one does in its place, so one alone is not missed. */
static bool find(struct doctor *d, size_t i, const char **found)
{
    struct browser_program program;
    struct err e = ERR_INIT;
    char version[32];

    if (browser_find(doctor_arena(d), browsers[i].kind, &program, &e) != STATUS_OK) {
        *found = "not installed";
        return false;
    }
    if (browser_version_of(program.path, NULL, version, &e) != STATUS_OK) {
        *found = arena_strdup(doctor_arena(d), err_text(&e));
        return false;
    }
    *found = arena_printf(doctor_arena(d), "%s, %s", version, program.path);
    return true;
}

static void check_browsers(struct doctor *d)
{
    const char *found[ARRAY_LEN(browsers)];
    bool there[ARRAY_LEN(browsers)], any = false;

    for (size_t i = 0; i < ARRAY_LEN(browsers); i++) {
        there[i] = find(d, i, &found[i]);
        any = any || there[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(browsers); i++)
        doctor_add(d, &(struct doctor_row){
                          .name = browsers[i].name,
                          .state = there[i] ? DOCTOR_OK
                                   : any    ? DOCTOR_DEGRADED
                                            : DOCTOR_MISSING,
                          .found = found[i],
                          .cost = any ? browsers[i].cost : "no browser campaign can run",
                          .mend = browsers[i].mend,
                      });
}

static void check_proxies(struct doctor *d)
{
    static const char *const programs[] = {"tinyproxy", "microsocks"};

    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const char *path = doctor_find_program(d, programs[i]);

        doctor_add(d, &(struct doctor_row){
                          .name = programs[i],
                          .state = path != NULL ? DOCTOR_OK : DOCTOR_MISSING,
                          .optional = true,
                          .found = path != NULL ? path : "not installed",
                          .cost = "fleet demo has no upstream proxy; your own campaigns do not "
                                  "need it",
                          .mend = arena_printf(doctor_arena(d), "apt-get install %s", programs[i]),
                      });
    }
}

void browser_doctor(struct doctor *d)
{
    check_browsers(d);
    check_proxies(d);
}
