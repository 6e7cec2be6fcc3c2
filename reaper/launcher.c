/* fleet-reaper: the spawner, and the init of each member. Small and static: it runs inside
 * containers, chroots and empty roots, and nothing of it depends on what a member can see. Not for
 * people: `fleet` starts it. */
#include <stdio.h>
#include <string.h>

#include "reaper/init.h"
#include "reaper/spawner.h"

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--init") == 0)
        init_main(argc, argv);
    if (argc >= 2 && strcmp(argv[1], "--spawner") == 0)
        return spawner_main(argc, argv);
    fputs("fleet-reaper is started by fleet, which asks it to launch browsers and other members.\n"
          "See fleet(1); `fleet doctor` shows what sandbox it can give here.\n",
          stderr);
    return 2;
}
