/* A wall clock that can be set for one process: preloaded into nodes by `clocks.py`.

   libfaketime 0.9.10 makes CPython's sleep fail with EINVAL (clock_nanosleep with an
   absolute monotonic time). Here nothing but the wall clock is touched. The file that
   CHAOS_CLOCK names holds nanoseconds to add, as eight bytes of this machine's order. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BILLION 1000000000LL
static volatile long long *ahead;

__attribute__((constructor)) static void find(void) {
  const char *path = getenv("CHAOS_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *there = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (there != MAP_FAILED) ahead = there;
}

int clock_gettime(clockid_t which, struct timespec *now) {
  int said = (int)syscall(SYS_clock_gettime, which, now);
  if (said == 0 && ahead && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
    long long whole = now->tv_sec * BILLION + now->tv_nsec + *ahead;
    now->tv_sec = whole / BILLION;
    now->tv_nsec = whole % BILLION;
  }
  return said;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec exact;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *out) {
  struct timespec exact;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  if (out) *out = exact.tv_sec;
  return exact.tv_sec;
}
