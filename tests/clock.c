/* A wall clock that the tests can set, for programs that preload it: so many seconds off as a file says. Steady clocks
   and sleeping are left alone. TEST_CLOCK is the file (8 bytes); TEST_CLOCK_OF, if set, the one program it is for. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long long *seconds_off;

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("TEST_CLOCK"), *of = getenv("TEST_CLOCK_OF");
    if (file == NULL || (of != NULL && strcmp(of, program_invocation_short_name) != 0))
        return;
    int opened = open(file, O_RDONLY | O_CLOEXEC);
    if (opened < 0)
        return;
    void *at = mmap(NULL, sizeof(long long), PROT_READ, MAP_SHARED, opened, 0);
    close(opened);
    if (at != MAP_FAILED)
        seconds_off = at;
}

int clock_gettime(clockid_t which, struct timespec *told) {
    int done = (int)syscall(SYS_clock_gettime, which, told);
    if (done == 0 && seconds_off != NULL && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        told->tv_sec += *seconds_off;
    return done;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told != NULL)
        *told = now.tv_sec;
    return now.tv_sec;
}
