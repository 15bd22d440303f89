/*
 * tickfuse.h - the C interface of Tickfuse: open a model file, run it on whole windows, inside your process.
 *
 * This header is the authority on the interface; the library translates it and adds nothing. It is C11 and C++17.
 *
 *     tickfuse_model *model = NULL;
 *     tickfuse_session *session = NULL;
 *     if (tickfuse_abi_version() >> 16 != TICKFUSE_ABI_VERSION >> 16) { ... another major version ... }
 *     if (tickfuse_model_open("tiny.safetensors", NULL, &model) != TICKFUSE_OK) {
 *         char text[512];
 *         tickfuse_last_error(text, sizeof text);
 *         ...
 *     }
 *     tickfuse_session_new(model, 1, &session);
 *     tickfuse_session_run(session, window, n_values, out, n_out, &flags);      (once per bar)
 *     tickfuse_session_free(session);
 *     tickfuse_model_free(model);
 *
 * RULES THAT HOLD FOR EVERY FUNCTION
 *
 * Status. Functions that can fail return a tickfuse_status: TICKFUSE_OK, which is 0, or one of the numbers below. The
 * few that return a value instead (sizes, names) return 0 or NULL when they fail. A number keeps its meaning for
 * ever; one that is no longer used is not given to anything else. New numbers may appear within a block, so a caller
 * treats a number it does not know by its hundred.
 *
 * Outputs. What a parameter documents as output is written only when the function returns TICKFUSE_OK. After any
 * other status every output is exactly as it was, also when the library found a defect of its own half-way. Output
 * memory needs no initialisation and may overlap inputs.
 *
 * Pointers. None may be NULL unless its description says so. Each is checked for NULL and for the alignment of its
 * type, each length for being one that memory can have. What cannot be checked is the caller's promise: that a
 * pointer leads to as many readable (outputs: writable) elements as stated, for the duration of the call, that text
 * ends with a zero byte, and that a handle came from this library and has not been freed. Only the two handles
 * outlive the call: nothing else the caller hands in is kept.
 *
 * Sizes of text are in bytes and count the terminating zero, in both directions. Text is UTF-8.
 *
 * Threads. A tickfuse_model is immutable: any number of threads may use one at the same time. A tickfuse_session
 * belongs to one call at a time; a second one meanwhile is refused with TICKFUSE_ERR_BUSY and disturbs nothing. A
 * session may move between threads. Freeing a handle while another thread uses it is a defect of the caller. The
 * library starts no thread.
 *
 * Running. The functions tickfuse_session_run* allocate nothing, lock nothing and call no system function, whether
 * they answer or refuse. One exception lies outside the library: in a library loaded with dlopen() the C runtime may
 * allocate a thread's storage for the error text when the thread meets its first failure. A thread that cannot
 * afford that calls tickfuse_last_error(NULL, 0) once beforehand. Elsewhere, when memory for a small object cannot
 * be had, the process ends, as is usual in programs written in Rust.
 *
 * Defects. An internal failure (a Rust panic) does not cross this interface: the call returns TICKFUSE_ERR_PANIC, the
 * handle it ran on is poisoned and answers TICKFUSE_ERR_POISONED from then on, and every other handle goes on. Free
 * the handle and report the text of tickfuse_last_error(); the Rust runtime also writes it to standard error.
 */
#ifndef TICKFUSE_H
#define TICKFUSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TICKFUSE_NOEXCEPT noexcept
extern "C" {
#else
#define TICKFUSE_NOEXCEPT
#endif

/* ---- Version ---------------------------------------------------------------------------------------------------- */

/*
 * Version of this interface: major number times 65536, plus minor number. A library serves a program when the major
 * numbers are equal and the library's minor number is not below the one the program was compiled with. A minor step
 * adds functions, numbers, flags or fields at the end of a structure led by its size; anything else is a major step.
 */
#define TICKFUSE_ABI_VERSION 0x00010000

/* The version of the library that is loaded, to compare with the macro. */
uint32_t tickfuse_abi_version(void) TICKFUSE_NOEXCEPT;

/* ---- Status and error text -------------------------------------------------------------------------------------- */

typedef int32_t tickfuse_status;

#define TICKFUSE_OK 0

/* 1xx: the call itself is wrong. */
#define TICKFUSE_ERR_NULL 100      /* a pointer is NULL */
#define TICKFUSE_ERR_ALIGNMENT 101 /* a pointer is not aligned for its type */
#define TICKFUSE_ERR_LENGTH 102    /* a length no memory can have, or max_batch out of range */
#define TICKFUSE_ERR_BUFFER 103    /* the buffer for a text is too small */
#define TICKFUSE_ERR_OPTIONS 104   /* an options structure: its size, a flag, a level or a reserved field */
#define TICKFUSE_ERR_PATH 105      /* a path that this system cannot express */
#define TICKFUSE_ERR_BUSY 106      /* the session is running another call */

/* 2xx: a model was not opened. */
#define TICKFUSE_ERR_OPEN_IO 200           /* the file could not be read */
#define TICKFUSE_ERR_OPEN_SIZE 201         /* shorter or longer than its content says */
#define TICKFUSE_ERR_OPEN_HEADER 202       /* the header is not a safetensors header */
#define TICKFUSE_ERR_OPEN_LAYOUT 203       /* tensors overlap, leave holes, are misaligned or missized */
#define TICKFUSE_ERR_OPEN_TENSOR 204       /* a tensor is missing, unknown, or of the wrong type or shape */
#define TICKFUSE_ERR_OPEN_VALUE 205        /* a weight or statistic is NaN or infinite */
#define TICKFUSE_ERR_OPEN_NOT_A_BUNDLE 206 /* a safetensors file, but not a Tickfuse model */
#define TICKFUSE_ERR_OPEN_VERSION 207      /* a format version this library does not read */
#define TICKFUSE_ERR_OPEN_SCHEMA 208       /* the description of the model is malformed or contradicts itself */
#define TICKFUSE_ERR_OPEN_SCALER 209       /* an input has no scaler */
#define TICKFUSE_ERR_OPEN_HASH 210         /* the content hash is absent or does not match */
#define TICKFUSE_ERR_OPEN_GOLDEN 211       /* the model does not reproduce its own golden outputs */
#define TICKFUSE_ERR_OPEN_LEVEL 212        /* this CPU cannot run the level asked for */
#define TICKFUSE_ERR_OPEN_OTHER 299        /* refused for a reason without a number of its own; read the text */

/* 3xx: a window was not answered. */
#define TICKFUSE_ERR_RUN_INPUT_LENGTH 300  /* n_values is not the number the model needs */
#define TICKFUSE_ERR_RUN_OUTPUT_LENGTH 301 /* n_out is not the number the model gives */
#define TICKFUSE_ERR_RUN_NON_FINITE 302    /* an input is NaN or infinite and the model refuses that */
#define TICKFUSE_ERR_RUN_BATCH 303         /* no windows, or more than the session was made for */
#define TICKFUSE_ERR_RUN_OTHER 399         /* refused for a reason without a number of its own; read the text */

/* 9xx: the library has a defect. */
#define TICKFUSE_ERR_PANIC 900    /* it struck in this call */
#define TICKFUSE_ERR_POISONED 901 /* it struck in an earlier call on this handle */

/* What a status means, in a few words that live for ever; a fixed text for numbers without meaning. Never NULL. */
const char *tickfuse_status_text(tickfuse_status status) TICKFUSE_NOEXCEPT;

/*
 * The last failure on the calling thread in full: what was expected, what was found, and where. Successful calls leave
 * it alone, so it means something only directly after a failure. Texts longer than a kilobyte end in "...".
 *
 * Writes at most len bytes to buf, shortened where needed and always ended by a zero, and returns the size that holds
 * the whole text: 1 if there was no failure yet. buf may be NULL: nothing is written. Never fails, never allocates.
 */
size_t tickfuse_last_error(char *buf, size_t len) TICKFUSE_NOEXCEPT;

/* ---- Model ------------------------------------------------------------------------------------------------------ */

/* An opened model file: immutable and shareable. Sessions keep what they need of it, so it may be freed before them. */
typedef struct tickfuse_model tickfuse_model;

/* Flags of tickfuse_open_options. */
#define TICKFUSE_OPEN_COPIED 1         /* read the file into own memory instead of mapping it */
#define TICKFUSE_OPEN_DECLINE_HASH 2   /* do not check the content hash */
#define TICKFUSE_OPEN_DECLINE_GOLDEN 4 /* do not run the golden windows */

/*
 * How to open a model. Zero means the default in every field but the first, so that an older caller, whose structure
 * is shorter, and a newer one, whose additional fields are zero, are both understood. Bits without meaning and
 * non-zero bytes behind the fields the library knows are TICKFUSE_ERR_OPTIONS: no wish is ignored in silence.
 */
typedef struct tickfuse_open_options {
    size_t size;       /* sizeof(tickfuse_open_options) */
    const char *level; /* CPU level: "portable", "avx2", "avx512", "avx512bf16"; NULL: the best of this machine */
    uint32_t flags;    /* TICKFUSE_OPEN_* */
    uint32_t reserved; /* zero */
} tickfuse_open_options;

#define TICKFUSE_OPEN_OPTIONS_INIT {sizeof(tickfuse_open_options), NULL, 0, 0}

/*
 * Opens a model file. options may be NULL: the best level of this machine, mapped, hash checked, golden windows run.
 * A level this CPU cannot run is an error only when it was asked for by name.
 *
 * The file is mapped and its weights are used where they lie. Nobody may shorten or overwrite it while the model or
 * one of its sessions lives: published files are replaced by rename. If it is shortened all the same, the process
 * ends with SIGBUS; if it is overwritten, the answers change. TICKFUSE_OPEN_COPIED is for those who cannot rule that
 * out. path is in the bytes of the file system on Unix and UTF-8 elsewhere.
 *
 * out: the model, to be given to tickfuse_model_free().
 */
tickfuse_status tickfuse_model_open(const char *path, const tickfuse_open_options *options,
                                    tickfuse_model **out) TICKFUSE_NOEXCEPT;

/* The same from len bytes in memory, of any alignment, which are copied. TICKFUSE_OPEN_COPIED changes nothing. */
tickfuse_status tickfuse_model_open_memory(const void *bytes, size_t len, const tickfuse_open_options *options,
                                           tickfuse_model **out) TICKFUSE_NOEXCEPT;

/* Lets go of a model. NULL is fine. */
void tickfuse_model_free(tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Rows of a window. Positive; 0 only for a handle that is NULL, misaligned or poisoned. */
size_t tickfuse_model_lookback(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Values of a row. Likewise. */
size_t tickfuse_model_n_features(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Values of an answer. Likewise. */
size_t tickfuse_model_n_outputs(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Name of the CPU level in use, as in tickfuse_open_options; lives for ever. NULL for a handle as above. */
const char *tickfuse_model_level(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Size of the text of a content hash: 64 hexadecimal digits and the zero. */
#define TICKFUSE_HASH_SIZE 65

/*
 * The content hash of the model file: equal hashes, equal models. Writes TICKFUSE_HASH_SIZE bytes to buf; a smaller
 * len is TICKFUSE_ERR_BUFFER.
 */
tickfuse_status tickfuse_model_hash(const tickfuse_model *model, char *buf, size_t len) TICKFUSE_NOEXCEPT;

/*
 * What the model says about itself (inputs, scalers, outputs, units, provenance) as one JSON document.
 *
 * With buf NULL and len 0 only *needed is written: the size of the text. Otherwise the text goes to buf and its size
 * to *needed; a len below that is TICKFUSE_ERR_BUFFER and writes neither. The size does not change while the model
 * lives.
 */
tickfuse_status tickfuse_model_schema_json(const tickfuse_model *model, char *buf, size_t len,
                                           size_t *needed) TICKFUSE_NOEXCEPT;

/* ---- Session ---------------------------------------------------------------------------------------------------- */

/* The working memory for whole windows of one model: one per thread. */
typedef struct tickfuse_session tickfuse_session;

/* Largest max_batch of a session. */
#define TICKFUSE_MAX_BATCH 65536

/* Bits of the flags that come with an answer. */
#define TICKFUSE_FLAG_IMPUTED 1 /* a missing input was replaced by its scaler's centre */

/*
 * A session for batches of up to max_batch windows, 1 to TICKFUSE_MAX_BATCH. Its memory stops growing after six
 * windows but for one answer each.
 *
 * out: the session, to be given to tickfuse_session_free().
 */
tickfuse_status tickfuse_session_new(const tickfuse_model *model, size_t max_batch,
                                     tickfuse_session **out) TICKFUSE_NOEXCEPT;

/*
 * Answers one window of raw (unscaled) inputs.
 *
 * window: [lookback, n_features], the oldest row first; n_values is the number of values, lookback times n_features.
 * out:    [n_outputs], in the units the schema names; n_out is their number.
 * flags:  TICKFUSE_FLAG_* of the answer.
 *
 * The same model, level and window give the same bits on every machine, alone or in a batch. The text for
 * TICKFUSE_ERR_RUN_NON_FINITE names window, row and column.
 */
tickfuse_status tickfuse_session_run(tickfuse_session *session, const float *window, size_t n_values, float *out,
                                     size_t n_out, uint32_t *flags) TICKFUSE_NOEXCEPT;

/* The same from doubles, scaled in double precision before they are rounded. */
tickfuse_status tickfuse_session_run_f64(tickfuse_session *session, const double *window, size_t n_values,
                                         float *out, size_t n_out, uint32_t *flags) TICKFUSE_NOEXCEPT;

/*
 * Answers n_windows windows that lie one behind the other, each with the bits it has alone.
 *
 * windows: [n_windows, lookback, n_features]; n_values counts all their values.
 * out:     [n_windows, n_outputs]; n_out counts all of them.
 * flags:   the flags of all answers together, one word.
 */
tickfuse_status tickfuse_session_run_batch(tickfuse_session *session, const float *windows, size_t n_values,
                                           size_t n_windows, float *out, size_t n_out,
                                           uint32_t *flags) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_session_run_batch_f64(tickfuse_session *session, const double *windows, size_t n_values,
                                               size_t n_windows, float *out, size_t n_out,
                                               uint32_t *flags) TICKFUSE_NOEXCEPT;

/* Lets go of a session. NULL is fine. */
void tickfuse_session_free(tickfuse_session *session) TICKFUSE_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
