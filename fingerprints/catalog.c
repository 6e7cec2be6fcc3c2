#include "fingerprints/catalog.h"

/* Shares of visits in percent: Linux, Windows, macOS. */
const struct catalog_screen catalog_screens[] = {
    {1920, 1080, 1, {44.0, 36.0, 11.0}}, {2560, 1440, 1, {15.0, 9.0, 4.0}},
    {1440, 900, 1, {4.0, 0, 0}},         {1366, 768, 1, {3.5, 9.0, 0}},
    {1680, 1050, 1, {2.5, 0, 0}},        {1600, 900, 1, {2.5, 0, 0}},
    {3840, 2160, 1, {2.5, 1.0, 1.0}},    {1536, 864, 1.25, {1.6, 26.0, 0}},
    {3440, 1440, 1, {2.0, 2.0, 2.0}},    {1280, 720, 1.5, {1.4, 7.0, 0}},
    {1920, 1200, 1, {1.5, 0, 0}},        {1280, 800, 1.5, {0, 2.5, 0}},
    {1440, 900, 2, {0, 1.0, 16.0}},      {1470, 956, 2, {0, 0, 12.0}},
    {1512, 982, 2, {0, 0, 13.0}},        {1680, 1050, 2, {0, 0, 9.0}},
    {1728, 1117, 2, {0, 0, 6.0}},        {1920, 1080, 2, {0, 0, 7.0}},
    {2560, 1440, 2, {0, 0, 4.0}},
};
const size_t catalog_n_screens = ARRAY_LEN(catalog_screens);

/* Logical processors of desktops, in percent: Linux, Windows, macOS. */
const struct catalog_count catalog_cores[] = {
    {8, {21, 35, 48}}, {12, {26, 26, 11}}, {16, {18, 16, 5}}, {4, {15, 23, 0}}, {10, {0, 0, 43}},
    {20, {3, 5, 0}},   {24, {7, 2, 0}},    {14, {0, 2, 9}},   {6, {3, 3, 0}},   {32, {5, 3, 0}},
};
const size_t catalog_n_cores = ARRAY_LEN(catalog_cores);

#define ANGLE_GL(v, r, w)                                                                          \
    {                                                                                              \
        "Google Inc. (" v ")", "ANGLE (" v ", " r ")", w                                           \
    }
#define ANGLE_D3D(v, r, w)                                                                         \
    {                                                                                              \
        "Google Inc. (" v ")", "ANGLE (" v ", " r " Direct3D11 vs_5_0 ps_5_0, D3D11)", w           \
    }
#define ANGLE_METAL(r, w)                                                                          \
    {                                                                                              \
        "Google Inc. (Apple)", "ANGLE (Apple, ANGLE Metal Renderer: " r ", Unspecified Version)",  \
            w                                                                                      \
    }

/* User agents are Chromium's reduced ones (frozen platform, major version only). Macs have only
 * Apple's own processors, so that architecture and GPU agree. */
const struct catalog_os catalog_oses[OS_COUNT] = {
    [OS_LINUX] =
        {.name = "linux",
         .ua_platform = "X11; Linux x86_64",
         .platform = "Linux x86_64",
         .ch_platform = "Linux",
         .ch_architecture = "x86",
         .ch_bitness = "64",
         .ch_form_factor = "Desktop",
         .ch_versions = {""},
         .bars = {{0, 0, 40}, {27, 0, 30}, {32, 0, 20}, {0, 44, 10}},
         .window_chrome = 87,
         .webgl_marks = "Mesa|radeonsi|PCIe/SSE2",
         .gpus = {ANGLE_GL("AMD", "AMD Radeon Graphics (radeonsi renoir ACO), OpenGL ES 3.2", 12),
                  ANGLE_GL("NVIDIA Corporation", "NVIDIA GeForce RTX 3090/PCIe/SSE2, OpenGL 4.5.0",
                           8),
                  ANGLE_GL("Intel", "Mesa Intel(R) UHD Graphics (CML GT2), OpenGL ES 3.2", 8),
                  ANGLE_GL("Intel", "Mesa Intel(R) Iris(R) Xe Graphics (TGL GT2), OpenGL ES 3.2",
                           8),
                  ANGLE_GL("Intel", "Mesa Intel(R) UHD Graphics 620 (KBL GT2), OpenGL ES 3.2", 7),
                  ANGLE_GL("Intel", "Mesa Intel(R) UHD Graphics 620 (WHL GT2), OpenGL 4.6", 5),
                  ANGLE_GL("Intel", "Mesa Intel(R) HD Graphics 620 (KBL GT2), OpenGL ES 3.2", 4),
                  ANGLE_GL("Intel", "Mesa Intel(R) HD Graphics 520 (SKL GT2), OpenGL ES 3.2", 3),
                  ANGLE_GL("Intel", "Mesa Intel(R) Graphics (ADL GT2), OpenGL 4.6", 3)}},
    [OS_WINDOWS] = {.name = "windows",
                    .ua_platform = "Windows NT 10.0; Win64; x64",
                    .platform = "Win32",
                    .ch_platform = "Windows",
                    .ch_architecture = "x86",
                    .ch_bitness = "64",
                    .ch_form_factor = "Desktop",
                    .ch_versions = {"19.0.0", "19.0.0", "10.0.0", "15.0.0"},
                    .bars = {{0, 48, 70}, {0, 40, 25}},
                    .window_chrome = 87,
                    .webgl_marks = "Direct3D11",
                    .gpus = {ANGLE_D3D("Intel", "Intel(R) Iris(R) Xe Graphics (0x00009A49)", 12),
                             ANGLE_D3D("Intel", "Intel(R) UHD Graphics 620 (0x00005917)", 6),
                             ANGLE_D3D("AMD", "AMD Radeon(TM) Graphics (0x00001638)", 5),
                             ANGLE_D3D("Intel", "Intel(R) UHD Graphics (0x00009B41)", 4),
                             ANGLE_D3D("Intel", "Intel(R) HD Graphics 620 (0x00005916)", 3),
                             ANGLE_D3D("Intel", "Intel(R) Iris(R) Xe Graphics (0x0000A7A1)", 3),
                             ANGLE_D3D("Intel", "Intel(R) Iris(R) Xe Graphics (0x000046A8)", 3),
                             ANGLE_D3D("AMD", "AMD Radeon(TM) Graphics (0x00001636)", 3),
                             ANGLE_D3D("Intel", "Intel(R) UHD Graphics 630 (0x00003E9B)", 3),
                             ANGLE_D3D("Intel", "Intel(R) HD Graphics 520 (0x00001916)", 3)}},
    [OS_MACOS] = {.name = "macos",
                  .ua_platform = "Macintosh; Intel Mac OS X 10_15_7",
                  .platform = "MacIntel",
                  .ch_platform = "macOS",
                  .ch_architecture = "arm",
                  .ch_bitness = "64",
                  .ch_form_factor = "Desktop",
                  .ch_versions = {"26.4.1", "26.3.1", "26.2.0", "15.6.1"},
                  .bars = {{33, 0, 50}, {30, 0, 30}, {33, 70, 20}},
                  .window_chrome = 87,
                  .webgl_marks = "Metal",
                  .gpus = {ANGLE_METAL("Apple M4", 27), ANGLE_METAL("Apple M1", 23),
                           ANGLE_METAL("Apple M1 Pro", 16), ANGLE_METAL("Apple M2", 16),
                           ANGLE_METAL("Apple M4 Pro", 11), ANGLE_METAL("Apple M3 Pro", 8),
                           ANGLE_METAL("Apple M3", 8), ANGLE_METAL("Apple M1 Max", 5),
                           ANGLE_METAL("Apple M2 Pro", 5)}},
    [OS_ANDROID] = {.name = "android",
                    .ua_platform = "Linux; Android 10; K",
                    .platform = "Linux armv81",
                    .ch_platform = "Android",
                    .ch_architecture = "",
                    .ch_bitness = "",
                    .ch_form_factor = "Mobile",
                    .webgl_marks = "Adreno|Mali|Xclipse"},
};

/* The model fixes screen, processor and GPU: they are not drawn apart. */
const struct catalog_phone catalog_phones[] = {
    {"Pixel 8", "16.0.0", 412, 915, 784, 2.625, 9, {"ARM", "Mali-G715", 18}},
    {"Pixel 7", "16.0.0", 412, 915, 784, 2.625, 8, {"ARM", "Mali-G710", 12}},
    {"Pixel 6a", "15.0.0", 412, 915, 782, 2.625, 8, {"ARM", "Mali-G78", 10}},
    {"SM-G998B", "15.0.0", 384, 854, 722, 2.8125, 8, {"ARM", "Mali-G78", 12}},
    {"SM-S911B", "16.0.0", 360, 780, 643, 3, 8, {"Qualcomm", "Adreno (TM) 740", 14}},
    {"SM-S928B", "16.0.0", 384, 832, 694, 3.75, 8, {"Qualcomm", "Adreno (TM) 750", 12}},
    {"SM-A536B", "14.0.0", 412, 915, 782, 2.625, 8, {"ARM", "Mali-G68", 10}},
    {"SM-A315F", "12.0.0", 412, 915, 782, 2.625, 8, {"ARM", "Mali-G52 MC2", 8}},
    {"23076RN8DY", "14.0.0", 393, 873, 739, 2.75, 8, {"Qualcomm", "Adreno (TM) 619", 8}},
    {"2311DRK48G", "15.0.0", 407, 904, 770, 3, 8, {"ARM", "Mali-G615 MC6", 6}},
};
const size_t catalog_n_phones = ARRAY_LEN(catalog_phones);

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
