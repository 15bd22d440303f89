/* What the test programs in C share: expectations that end the program, memory, files, and printed answers. */
#ifndef TICKFUSE_TESTS_COMMON_H
#define TICKFUSE_TESTS_COMMON_H

#include "tickfuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))

static inline void fail(const char *file, int line, const char *expected) {
    char text[1024];
    (void)tickfuse_last_error(text, sizeof text);
    fprintf(stderr, "%s:%d: expected %s; last error: %s\n", file, line, expected, text);
    exit(1);
}

static inline void *room(size_t n, size_t size) {
    void *memory = calloc(n, size);
    EXPECT(memory != NULL);
    return memory;
}

static inline void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    EXPECT(file != NULL);
    EXPECT(fseek(file, 0, SEEK_END) == 0);
    long end = ftell(file);
    EXPECT(end > 0);
    rewind(file);
    *size = (size_t)end;
    void *bytes = room(*size, 1);
    EXPECT(fread(bytes, 1, *size, file) == *size);
    fclose(file);
    return bytes;
}

/* The same values as doubles. */
static inline double *widened(const float *values, size_t n) {
    double *wide = room(n, sizeof *wide);
    for (size_t i = 0; i < n; i++) {
        wide[i] = (double)values[i];
    }
    return wide;
}

/* A line of a name, a number and the hexadecimal digits of the values' bits. */
static inline void print_answer(const char *name, const float *out, size_t n, uint32_t flags) {
    printf("%s %u", name, (unsigned)flags);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &out[i], sizeof bits);
        printf(" %08x", (unsigned)bits);
    }
    printf("\n");
}

#endif
