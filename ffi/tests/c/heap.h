/*
 * A heap that ends the program when a hot thread calls it, and so does a lock. With -DWATCHED_HEAP the linker puts these
 * functions before those of the system: -Wl,--wrap=NAME for each; otherwise nothing is watched.
 */
#ifndef TICKFUSE_TESTS_HEAP_H
#define TICKFUSE_TESTS_HEAP_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

/* Whether this thread is hot just now. */
static __thread int is_hot;

#if defined(WATCHED_HEAP)
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void __real_free(void *memory);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);
void __wrap_free(void *memory);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static uint64_t n_watched;

static void watch(void) {
    if (is_hot) {
        abort();
    }
    __atomic_add_fetch(&n_watched, 1, __ATOMIC_RELAXED);
}

void *__wrap_malloc(size_t size) {
    watch();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    watch();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size) {
    watch();
    return __real_realloc(old, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size) {
    watch();
    return __real_posix_memalign(out, alignment, size);
}

void __wrap_free(void *memory) {
    watch();
    __real_free(memory);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex) {
    watch();
    return __real_pthread_mutex_lock(mutex);
}
#endif

#endif
