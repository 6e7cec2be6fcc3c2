/* Locales with their languages and zones. */
#include "fingerprints/catalog.h"

static const struct catalog_locale locales[] = {
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

const struct catalog_locale *catalog_locale_find(struct str tag)
{
    for (size_t i = 0; i < ARRAY_LEN(locales); i++) {
        struct str t = str_from(locales[i].tag);

        if (str_eq_nocase(t, tag))
            return &locales[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(locales); i++) {
        struct str rest = str_from(locales[i].tag);

        if (str_eq_nocase(str_cut(&rest, '-'), tag))
            return &locales[i];
    }
    return NULL;
}

const struct catalog_locale *catalog_country_find(struct str country)
{
    const struct catalog_locale *best = NULL;

    for (size_t i = 0; i < ARRAY_LEN(locales); i++)
        if (str_eq_nocase(country, str_from(locales[i].country)) &&
            (best == NULL || locales[i].weight > best->weight))
            best = &locales[i];
    return best;
}

bool catalog_zone_in(struct str country, struct str zone)
{
    for (size_t i = 0; i < ARRAY_LEN(locales); i++) {
        const struct catalog_locale *l = &locales[i];

        if (!str_eq_nocase(country, str_from(l->country)))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(l->zones) && l->zones[k] != NULL; k++)
            if (str_eqz(zone, l->zones[k]))
                return true;
    }
    return false;
}
