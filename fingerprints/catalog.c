#include "fingerprints/catalog.h"

/* Desktop screens, by share of visits (sources: data/README.md). Laptops with fractional scaling
 * are left out: their sizes depend on the desktop's rounding. */
const struct catalog_screen catalog_screens[] = {
    {1920, 1080, 1, 13.6}, {1440, 900, 1, 2.6}, {2560, 1440, 1, 2.4}, {1536, 864, 1.25, 2.2},
    {1280, 720, 1.5, 1.6}, {1366, 768, 1, 1.1}, {1680, 1050, 1, 0.5}, {1920, 1200, 1, 0.3},
};
const size_t catalog_n_screens = ARRAY_LEN(catalog_screens);

const struct catalog_locale catalog_locales[] = {
    {"en-US",
     "en-US",
     "en-US,en",
     "us",
     {"America/New_York", "America/Chicago", "America/Los_Angeles", "America/Denver"},
     40},
    {"en-GB", "en-GB", "en-GB,en-US,en", "gb", {"Europe/London", NULL}, 8},
    {"de-DE", "de", "de-DE,de,en-US,en", "de", {"Europe/Berlin", NULL}, 7},
    {"fr-FR", "fr", "fr-FR,fr,en-US,en", "fr", {"Europe/Paris", NULL}, 6},
    {"es-ES", "es", "es-ES,es", "es", {"Europe/Madrid", NULL}, 5},
    {"it-IT", "it", "it-IT,it,en-US,en", "it", {"Europe/Rome", NULL}, 4},
    {"nl-NL", "nl", "nl-NL,nl,en-US,en", "nl", {"Europe/Amsterdam", NULL}, 3},
    {"pl-PL", "pl", "pl-PL,pl,en-US,en", "pl", {"Europe/Warsaw", NULL}, 3},
    {"sv-SE", "sv", "sv-SE,sv,en-US,en", "se", {"Europe/Stockholm", NULL}, 2},
    {"da-DK", "da", "da-DK,da,en-US,en", "dk", {"Europe/Copenhagen", NULL}, 1},
    {"fi-FI", "fi", "fi-FI,fi,en-US,en", "fi", {"Europe/Helsinki", NULL}, 1},
    {"nb-NO", "nb", "nb-NO,nb,no,nn,en-US,en", "no", {"Europe/Oslo", NULL}, 1},
    {"cs-CZ", "cs", "cs-CZ,cs", "cz", {"Europe/Prague", NULL}, 1},
    {"hu-HU", "hu", "hu-HU,hu,en-US,en", "hu", {"Europe/Budapest", NULL}, 1},
    {"ro-RO", "ro", "ro-RO,ro,en-US,en", "ro", {"Europe/Bucharest", NULL}, 1},
    {"el-GR", "el", "el-GR,el", "gr", {"Europe/Athens", NULL}, 1},
    {"pt-PT", "pt-PT", "pt-PT,pt,en-US,en", "pt", {"Europe/Lisbon", NULL}, 1},
    {"pt-BR", "pt-BR", "pt-BR,pt,en-US,en", "br", {"America/Sao_Paulo", NULL}, 5},
    {"es-MX", "es-419", "es-MX,es,en-US,en", "mx", {"America/Mexico_City", NULL}, 3},
    {"es-AR", "es-419", "es-AR,es,en-US,en", "ar", {"America/Argentina/Buenos_Aires", NULL}, 1},
    {"en-CA", "en-US", "en-CA,en-US,en", "ca", {"America/Toronto", "America/Vancouver", NULL}, 2},
    {"fr-CA", "fr-CA", "fr-CA,fr,en-US,en", "ca", {"America/Toronto", NULL}, 1},
    {"en-AU",
     "en-GB",
     "en-AU,en-GB,en-US,en",
     "au",
     {"Australia/Sydney", "Australia/Melbourne", NULL},
     2},
    {"en-IN", "en-GB", "en-IN,en-GB,en-US,en", "in", {"Asia/Kolkata", NULL}, 3},
    {"ja-JP", "ja", "ja,en-US,en", "jp", {"Asia/Tokyo", NULL}, 4},
    {"ko-KR", "ko", "ko-KR,ko,en-US,en", "kr", {"Asia/Seoul", NULL}, 2},
    {"tr-TR", "tr", "tr-TR,tr,en-US,en", "tr", {"Europe/Istanbul", NULL}, 2},
    {"uk-UA", "uk", "uk-UA,uk,en-US,en", "ua", {"Europe/Kyiv", NULL}, 1},
};
const size_t catalog_n_locales = ARRAY_LEN(catalog_locales);

/* User agents are Chromium's reduced ones (frozen platform, major version only). */
const struct catalog_os catalog_oses[OS_COUNT] = {
    [OS_LINUX] = {"linux", "X11; Linux x86_64", "Linux x86_64", "Linux", "", "x86", "64", 27, 0,
                  87},
    [OS_WINDOWS] = {"windows", "Windows NT 10.0; Win64; x64", "Win32", "Windows", "15.0.0", "x86",
                    "64", 0, 48, 87},
    [OS_MACOS] = {"macos", "Macintosh; Intel Mac OS X 10_15_7", "MacIntel", "macOS", "14.6.1",
                  "arm", "64", 25, 60, 87},
    [OS_ANDROID] = {"android", "Linux; Android 10; K", "Linux armv81", "Android", "14.0.0", "", "",
                    0, 0, 56},
};

const struct catalog_locale *catalog_locale_find(struct str tag)
{
    for (size_t i = 0; i < catalog_n_locales; i++) {
        struct str t = str_from(catalog_locales[i].tag);

        if (str_eq_nocase(t, tag))
            return &catalog_locales[i];
    }
    for (size_t i = 0; i < catalog_n_locales; i++) {
        struct str rest = str_from(catalog_locales[i].tag);

        if (str_eq_nocase(str_cut(&rest, '-'), tag))
            return &catalog_locales[i];
    }
    return NULL;
}

bool catalog_os_find(struct str name, enum identity_os *out)
{
    for (size_t i = 0; i < OS_COUNT; i++) {
        if (!str_eq_nocase(name, str_from(catalog_oses[i].name)))
            continue;
        *out = (enum identity_os)i;
        return true;
    }
    return false;
}
