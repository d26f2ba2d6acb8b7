/* A process' own wall clock, ahead of the machine's by what a page of memory says.
 *
 * Loaded by LD_PRELOAD; the file that STORMCELLAR_CLOCK names is the page (faketime.py writes it, at any
 * moment). Every reading of the wall clock is shifted, and every deadline on the wall clock is shifted back
 * before the kernel gets it, so that waiting takes as long as it should. Monotonic clocks, timers on them and
 * the times of files are not touched. Left out: what does not go through the C library (Go, static binaries).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define MILLION 1000000LL
#define STATES 64

/* `since` is on CLOCK_MONOTONIC. A strobe is forth in its first period, back in the second, and so on. */
struct state {
    int64_t offset_ns, rate_ppm, since_ns, delta_ns, period_ns;
};

/* The writer fills the next state before it says that this is the current one. */
struct page {
    volatile uint8_t current, unused[63];
    struct state states[STATES];
};

static const struct page *page;

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static int kernel_clock(clockid_t clock, struct timespec *at)
{
    REAL(clock_gettime);
    return real(clock, at);
}

static int64_t nanoseconds(const struct timespec *at)
{
    return at->tv_sec * SECOND + at->tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    struct timespec at = {ns / SECOND, ns % SECOND};
    if (at.tv_nsec < 0) {
        at.tv_nsec += SECOND;
        at.tv_sec -= 1;
    }
    return at;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("STORMCELLAR_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(struct page), PROT_READ, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) page = mapped;
    close(file);
}

/* How far ahead of the machine's wall clock this process' is now. */
static int64_t ahead(void)
{
    struct timespec now;
    if (!page || kernel_clock(CLOCK_MONOTONIC, &now)) return 0;
    struct state state = page->states[page->current % STATES];
    int64_t passed = nanoseconds(&now) - state.since_ns;
    int64_t gained = passed / MILLION * state.rate_ppm + passed % MILLION * state.rate_ppm / MILLION;
    int forth = state.period_ns > 0 && passed / state.period_ns % 2 == 0;
    return state.offset_ns + gained + (forth ? state.delta_ns : 0);
}

static struct timespec shown(void)
{
    struct timespec now;
    kernel_clock(CLOCK_REALTIME, &now);
    return timespec_of(nanoseconds(&now) + ahead());
}

/* A deadline as the kernel must get it. Whether it is on the wall clock is seen from what it is closer to. */
static const struct timespec *deadline(const struct timespec *asked, struct timespec *room)
{
    struct timespec monotonic;
    if (!page || !asked || kernel_clock(CLOCK_MONOTONIC, &monotonic)) return asked;
    struct timespec wall = shown();
    int64_t at = nanoseconds(asked);
    if (llabs(at - nanoseconds(&wall)) > llabs(at - nanoseconds(&monotonic))) return asked;
    *room = timespec_of(at - ahead());
    return room;
}

/* Readings ------------------------------------------------------------------------------------------------ */

int clock_gettime(clockid_t clock, struct timespec *at)
{
    int result = kernel_clock(clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI))
        *at = timespec_of(nanoseconds(at) + ahead());
    return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    REAL(gettimeofday);
    int result = real(at, zone);
    if (result == 0) {
        struct timespec now = shown();
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return result;
}

time_t time(time_t *at)
{
    time_t now = shown().tv_sec;
    if (at) *at = now;
    return now;
}

int timespec_get(struct timespec *at, int base)
{
    REAL(timespec_get);
    int result = real(at, base);
    if (result == TIME_UTC) *at = shown();
    return result;
}

/* Deadlines ----------------------------------------------------------------------------------------------- */

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    REAL(pthread_cond_timedwait);
    struct timespec room;
    return real(cond, mutex, deadline(until, &room));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    REAL(pthread_mutex_timedlock);
    struct timespec room;
    return real(mutex, deadline(until, &room));
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until)
{
    REAL(sem_timedwait);
    struct timespec room;
    return real(semaphore, deadline(until, &room));
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left)
{
    REAL(clock_nanosleep);
    struct timespec room;
    int on_wall = clock == CLOCK_REALTIME && flags & TIMER_ABSTIME;
    return real(clock, flags, on_wall ? deadline(until, &room) : until, left);
}

int timerfd_settime(int file, int flags, const struct itimerspec *timer, struct itimerspec *before)
{
    REAL(timerfd_settime);
    struct itimerspec moved;
    struct timespec room;
    if (timer && flags & TFD_TIMER_ABSTIME && (timer->it_value.tv_sec || timer->it_value.tv_nsec)) {
        moved = *timer;
        moved.it_value = *deadline(&timer->it_value, &room);
        timer = &moved;
    }
    return real(file, flags, timer, before);
}
