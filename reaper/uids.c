#include "reaper/uids.h"

#include <fcntl.h>
#include <unistd.h>

int uids_open(void)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int fd = open("/run/fleet-uids", flags, 0600);

    return fd >= 0 ? fd : open("/tmp/.fleet-uids", flags, 0600);
}

static bool lock(int fd, uid_t uid, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)uid, .l_len = 1};

    return fcntl(fd, F_SETLK, &l) == 0;
}

bool uids_take(int fd, uid_t uid)
{
    return lock(fd, uid, F_WRLCK);
}

void uids_give(int fd, uid_t uid)
{
    (void)lock(fd, uid, F_UNLCK);
}
