/*
 * tickfuse.h - the C interface of Tickfuse: open a model file and run it, on whole windows or on rows and bars as they
 * arrive, inside your process.
 *
 * This header is the authority on the interface; the library translates it and adds nothing. It is C11 and C++17. For
 * C++ there is tickfuse.hpp beside it: handles that free themselves, and spans.
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
 * With a stream the caller keeps no window, and nearly all work is done before the row arrives:
 *
 *     tickfuse_stream *stream = NULL;
 *     tickfuse_step step = TICKFUSE_STEP_INIT;
 *     tickfuse_stream_new(model, &stream);
 *     tickfuse_stream_prepare(stream);                                           (while nothing arrives)
 *     if (tickfuse_stream_push(stream, row, n_features, out, n_out, &step) == TICKFUSE_OK
 *         && step.kind == TICKFUSE_STEP_ANSWER) { ... out ... }
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
 * ends with a zero byte, and that a handle came from this library and has not been freed. Only handles outlive
 * the call: nothing else the caller hands in is kept, but for the memory of handles made by an _init function.
 *
 * Memory. Handles of _new functions lie on the heap. A session or stream may lie in the caller's memory instead: ask
 * _size how much that takes and _align how it must be aligned, hand a block to _init, and let go of the handle with
 * _free, as of any other, after which the block is the caller's again. All that the handle ever uses lies in the block,
 * buffers included; making, using and freeing it allocates nothing. Blocks that are not zeroed are fine.
 *
 * Structures lead with their size, which the caller sets, best by their _INIT macro, also where they are outputs.
 * Later versions of this header may add fields at the end. Of an output, fields the library does not know are left
 * alone; in an input they must be zero.
 *
 * Sizes of text are in bytes and count the terminating zero, in both directions. Text is UTF-8.
 *
 * Threads. A tickfuse_model and a tickfuse_contexts are immutable: any number of threads may use one at the same time.
 * A tickfuse_session and a tickfuse_stream belong to one call at a time; a second one meanwhile is refused with
 * TICKFUSE_ERR_BUSY and disturbs nothing. They may move between threads. Freeing a handle while another thread uses it
 * is a defect of the caller. The library starts no thread.
 *
 * Running. The functions tickfuse_session_run*, tickfuse_fast_call() and all of tickfuse_stream_* and tickfuse_streams_*
 * but _new, _clone, _size, _init, _free and _set_contexts allocate nothing, lock nothing and call no system function, whether they answer or
 * refuse. One exception lies outside the library: in a library loaded with dlopen() the C runtime may allocate a
 * thread's storage for the error text when the thread meets its first failure. A thread that cannot afford that calls
 * tickfuse_last_error(NULL, 0) once beforehand.
 * Elsewhere, when memory for a small object cannot be had, the process ends, as is usual in programs written in Rust.
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
#define TICKFUSE_ABI_VERSION 0x00010003

/* The version of the library that is loaded, to compare with the macro. */
uint32_t tickfuse_abi_version(void) TICKFUSE_NOEXCEPT;

/* ---- Status and error text -------------------------------------------------------------------------------------- */

typedef int32_t tickfuse_status;

#define TICKFUSE_OK 0

/* 0xx: the call did what it should. */
#define TICKFUSE_WARMING_UP 1 /* of tickfuse_fast_call() alone: too little was seen yet; out was left alone */

/* 1xx: the call itself is wrong. */
#define TICKFUSE_ERR_NULL 100      /* a pointer is NULL */
#define TICKFUSE_ERR_ALIGNMENT 101 /* a pointer is not aligned for its type */
#define TICKFUSE_ERR_LENGTH 102    /* a length no memory can have, or max_batch or index out of range */
#define TICKFUSE_ERR_BUFFER 103    /* the memory for a text, for weights or for a handle is too small */
#define TICKFUSE_ERR_OPTIONS 104   /* an options structure: its size, a flag, a level or a reserved field */
#define TICKFUSE_ERR_PATH 105      /* a path that this system cannot express */
#define TICKFUSE_ERR_BUSY 106      /* the session or stream is running another call */
#define TICKFUSE_ERR_STRUCTURE 107 /* another structure: its size, or a field that is not known */
#define TICKFUSE_ERR_CHOICE 108    /* a number that stands for none of the choices */
#define TICKFUSE_ERR_SYSTEM 109    /* the system refused; the text says why */

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

/* 3xx: a window, row or bar was not answered, or contexts were not taken. */
#define TICKFUSE_ERR_RUN_INPUT_LENGTH 300     /* n_values is not the number the model needs */
#define TICKFUSE_ERR_RUN_OUTPUT_LENGTH 301    /* n_out is not the number the model gives */
#define TICKFUSE_ERR_RUN_NON_FINITE 302       /* an input is NaN or infinite and the model refuses that */
#define TICKFUSE_ERR_RUN_BATCH 303            /* no windows, or more than the session was made for */
#define TICKFUSE_ERR_RUN_CATEGORY 304         /* an input is no code of its categories */
#define TICKFUSE_ERR_RUN_ROWS 305             /* past or future rows out of range */
#define TICKFUSE_ERR_RUN_CONTEXT_COUNT 306    /* no contexts, or more than the model takes */
#define TICKFUSE_ERR_RUN_NO_CONTEXTS 307      /* the model attends to no contexts */
#define TICKFUSE_ERR_RUN_FOREIGN_CONTEXTS 308 /* contexts of another model, or of this one opened another time */
#define TICKFUSE_ERR_RUN_AHEAD 309            /* the model reads rows of the future, which are missing */
#define TICKFUSE_ERR_RUN_NO_BARS 310          /* the model does not make its rows from bars */
#define TICKFUSE_ERR_RUN_BAR 311              /* a bar's field is out of range */
#define TICKFUSE_ERR_RUN_BAR_TIME 312         /* a bar is not later than the one before it */
#define TICKFUSE_ERR_RUN_STATE 313            /* no saved state, or one that was changed */
#define TICKFUSE_ERR_RUN_FOREIGN_STATE 314    /* a state or stream of another model, or of this one opened another time */
#define TICKFUSE_ERR_RUN_SYMBOL 315           /* the streams have no symbol of this number */
#define TICKFUSE_ERR_RUN_OTHER 399            /* refused for a reason without a number of its own; read the text */

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

/* Rows of a window that lie in the past. Positive; 0 only for a handle that is NULL, misaligned or poisoned. */
size_t tickfuse_model_lookback(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * Rows of a whole window: the past, and behind it the future where the model reads values known in advance. Likewise
 * positive. In future rows only columns of the role "known" are read.
 */
size_t tickfuse_model_n_rows(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Values of a row. Likewise. */
size_t tickfuse_model_n_features(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/* Values of an answer. Likewise. */
size_t tickfuse_model_n_outputs(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * Bars that a stream must have taken before its answers no longer depend on where it began: those that settle the
 * features of the window's first row, and the window. Exponential averages settle to the last bit but for roundings. 0
 * for a model that does not make its rows from bars, and for a handle as above.
 */
size_t tickfuse_model_n_bars(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * What contexts of this model look like: at most *n_contexts, each of *n_rows rows of *n_columns values. The columns
 * are the real inputs in the schema's order and, in the form of the X-Trend paper, the scaled return of the next step
 * behind them. TICKFUSE_ERR_RUN_NO_CONTEXTS for a model that attends to none; only an X-Trend does.
 */
tickfuse_status tickfuse_model_context_shape(const tickfuse_model *model, size_t *n_contexts, size_t *n_rows,
                                             size_t *n_columns) TICKFUSE_NOEXCEPT;

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

/* Size of a name or unit in the structures below, with the zero; longer ones are cut, and whole in the JSON. */
#define TICKFUSE_LABEL_SIZE 128

/* When an input is known. */
#define TICKFUSE_ROLE_OBSERVED 0 /* up to the present */
#define TICKFUSE_ROLE_KNOWN 1    /* also in the future */
#define TICKFUSE_ROLE_STATIC 2   /* constant: read in the first row of a window */

/* What happens to an input that is NaN or infinite. */
#define TICKFUSE_MISSING_REFUSED 0 /* the window or row is: TICKFUSE_ERR_RUN_NON_FINITE */
#define TICKFUSE_MISSING_IMPUTED 1 /* it is replaced by its scaler's centre: TICKFUSE_FLAG_IMPUTED */

/* One column of a row. */
typedef struct tickfuse_input {
    size_t size;                    /* sizeof(tickfuse_input), set by the caller */
    size_t n_categories;            /* codes of a categorical column are below it; 0 for a real one */
    uint32_t role;                  /* TICKFUSE_ROLE_* */
    uint32_t missing;               /* TICKFUSE_MISSING_* */
    uint32_t is_of_bars;            /* 1 where a stream of bars makes the column, otherwise 0 */
    uint32_t reserved;              /* zero */
    char name[TICKFUSE_LABEL_SIZE]; /* ends with a zero */
} tickfuse_input;

#define TICKFUSE_INPUT_INIT {sizeof(tickfuse_input), 0, 0, 0, 0, 0, {0}}

/* Column number index, from 0, below tickfuse_model_n_features(); above, TICKFUSE_ERR_LENGTH. */
tickfuse_status tickfuse_model_input(const tickfuse_model *model, size_t index,
                                     tickfuse_input *out) TICKFUSE_NOEXCEPT;

/* What a number of an answer is. */
#define TICKFUSE_OUTPUT_VALUE 0       /* a value in its unit */
#define TICKFUSE_OUTPUT_PROBABILITY 1 /* in 0 to 1 */
#define TICKFUSE_OUTPUT_POSITION 2    /* in -1 to 1 */
#define TICKFUSE_OUTPUT_QUANTILE 3    /* the predicted value at the level tau */
#define TICKFUSE_OUTPUT_MEAN 4        /* of a Gaussian */
#define TICKFUSE_OUTPUT_DEVIATION 5   /* of a Gaussian */

/* One number of an answer. */
typedef struct tickfuse_output {
    size_t size;                    /* sizeof(tickfuse_output), set by the caller */
    uint32_t kind;                  /* TICKFUSE_OUTPUT_* */
    uint32_t step;                  /* the step it speaks of, from 1 */
    double tau;                     /* level of a quantile; 0 for all else */
    char name[TICKFUSE_LABEL_SIZE]; /* distinct within the model; ends with a zero */
    char unit[TICKFUSE_LABEL_SIZE]; /* such as "log_return"; ends with a zero */
} tickfuse_output;

#define TICKFUSE_OUTPUT_INIT {sizeof(tickfuse_output), 0, 0, 0, {0}, {0}}

/* Number index, from 0, below tickfuse_model_n_outputs(); above, TICKFUSE_ERR_LENGTH. */
tickfuse_status tickfuse_model_output(const tickfuse_model *model, size_t index,
                                      tickfuse_output *out) TICKFUSE_NOEXCEPT;

/* How a row that arrives is answered. */
#define TICKFUSE_ARRIVAL_NONE 0         /* not at all; every model of this library has streams */
#define TICKFUSE_ARRIVAL_WHOLE_WINDOW 1 /* by its whole window, all of it on arrival */
#define TICKFUSE_ARRIVAL_PREPARED 2     /* after tickfuse_stream_prepare(), by its own step alone */

/* TICKFUSE_ARRIVAL_* of the model; TICKFUSE_ARRIVAL_NONE also for a handle as above. */
uint32_t tickfuse_model_arrival(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * What a row is, without what training fitted: a JSON array of the columns that are handed in, each with its name, its
 * role, the feature of bars it is and the labels of its categories. Models of equal texts take the same rows. Sizes as
 * for tickfuse_model_schema_json().
 */
tickfuse_status tickfuse_model_inputs_json(const tickfuse_model *model, char *buf, size_t len,
                                           size_t *needed) TICKFUSE_NOEXCEPT;

/* ---- Machine ---------------------------------------------------------------------------------------------------- */

/*
 * What keeps the first answers after a rest from being late. None of it changes an answer; all of it is done before.
 */

/*
 * Touches every page of the weights, and returns their bytes; 0 for a handle as above. Opening has done so already: of use
 * after a long rest, when the system may have given pages away.
 */
size_t tickfuse_model_prefault(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * Keeps the weights in memory while the model or a session of it lives. TICKFUSE_ERR_SYSTEM where the system refuses,
 * such as by its limit of locked memory, and for a model opened from memory; the model serves as before.
 */
tickfuse_status tickfuse_model_lock(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * Asks the system to lay the weights on large pages: those of a model opened with TICKFUSE_OPEN_COPIED; those of a mapping
 * only on some file systems. TICKFUSE_ERR_SYSTEM likewise.
 */
tickfuse_status tickfuse_model_advise_huge_pages(const tickfuse_model *model) TICKFUSE_NOEXCEPT;

/*
 * From here on the CPU takes denormal numbers of this thread for zeros, until tickfuse_flush_denormals_end(). For other
 * code of the thread, for which they are slow: answers have the same bits with and without. The caller's own code must
 * not depend on which of both a denormal number becomes. Without effect on CPUs other than x86-64.
 *
 * before: the control word as it was, for the call that ends it. Calls of one thread are ended in reverse order.
 */
tickfuse_status tickfuse_flush_denormals_begin(uint64_t *before) TICKFUSE_NOEXCEPT;

/* Gives the control word back as it was. before: as tickfuse_flush_denormals_begin() gave it on this thread. */
void tickfuse_flush_denormals_end(uint64_t before) TICKFUSE_NOEXCEPT;

/* ---- Session ---------------------------------------------------------------------------------------------------- */

/* The working memory for whole windows of one model: one per thread. */
typedef struct tickfuse_session tickfuse_session;

/* Largest max_batch of a session. */
#define TICKFUSE_MAX_BATCH 65536

/* Bits of the flags that come with an answer. */
#define TICKFUSE_FLAG_IMPUTED 1 /* a missing input was replaced by its scaler's centre */
#define TICKFUSE_FLAG_OVERFLOW 2 /* an output is NaN or infinite: inputs far out of range */
#define TICKFUSE_FLAG_UNKNOWN_CATEGORY 4 /* a category that is not listed was replaced by the unknown one */

/*
 * A session for batches of up to max_batch windows, 1 to TICKFUSE_MAX_BATCH. Its memory stops growing after six
 * windows but for one answer each.
 *
 * out: the session, to be given to tickfuse_session_free().
 */
tickfuse_status tickfuse_session_new(const tickfuse_model *model, size_t max_batch,
                                     tickfuse_session **out) TICKFUSE_NOEXCEPT;

/*
 * Bytes of a block for tickfuse_session_init() with this model and max_batch: the same for every call, on every machine
 * of the same level and version of the library. 0 where no such session can be made. Makes one on the heap to find out.
 */
size_t tickfuse_session_size(const tickfuse_model *model, size_t max_batch) TICKFUSE_NOEXCEPT;

/* Bytes to whose multiple the block's address must be aligned. */
size_t tickfuse_session_align(void) TICKFUSE_NOEXCEPT;

/*
 * The session of tickfuse_session_new() in the caller's memory.
 *
 * memory: len bytes that are the library's until the session is freed. Fewer than tickfuse_session_size() are
 *         TICKFUSE_ERR_BUFFER.
 * out:    the session, to be given to tickfuse_session_free().
 */
tickfuse_status tickfuse_session_init(const tickfuse_model *model, size_t max_batch, void *memory, size_t len,
                                      tickfuse_session **out) TICKFUSE_NOEXCEPT;

/*
 * Answers one window of raw (unscaled) inputs.
 *
 * window: [n_rows, n_features], the oldest row first; n_values is the number of values, n_rows times n_features.
 *         Categories are codes: the place of the name in the schema's list.
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
 * windows: [n_windows, n_rows, n_features]; n_values counts all their values.
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

/*
 * Answers n_windows windows that are views of a longer array, such as windows that overlap or leave columns out, each
 * with the bits it has alone. Nothing is copied but some windows at a time.
 *
 * values:        of which n_values may be read.
 * window_stride: values from the first row of one window to that of the next.
 * row_stride:    values from one row of a window to the next; the n_features of a row lie side by side. Views that end
 *                behind n_values are TICKFUSE_ERR_RUN_INPUT_LENGTH.
 * out, flags:    as of tickfuse_session_run_batch().
 */
tickfuse_status tickfuse_session_run_strided(tickfuse_session *session, const float *values, size_t n_values,
                                             size_t n_windows, size_t window_stride, size_t row_stride, float *out,
                                             size_t n_out, uint32_t *flags) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_session_run_strided_f64(tickfuse_session *session, const double *values, size_t n_values,
                                                 size_t n_windows, size_t window_stride, size_t row_stride,
                                                 float *out, size_t n_out, uint32_t *flags) TICKFUSE_NOEXCEPT;

/*
 * Answers one window of n_encoder rows of the past and n_decoder of the future, where the model takes fewer than its
 * schema says: the tft family does. Otherwise TICKFUSE_ERR_RUN_ROWS.
 *
 * window: [n_encoder + n_decoder, n_features].
 * out:    an answer for each of the n_decoder rows, or the one answer of a model that reads no future rows.
 */
tickfuse_status tickfuse_session_run_lengths(tickfuse_session *session, const float *window, size_t n_values,
                                             size_t n_encoder, size_t n_decoder, float *out, size_t n_out,
                                             uint32_t *flags) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_session_run_lengths_f64(tickfuse_session *session, const double *window, size_t n_values,
                                                 size_t n_encoder, size_t n_decoder, float *out, size_t n_out,
                                                 uint32_t *flags) TICKFUSE_NOEXCEPT;

/* Lets go of a session. NULL is fine. */
void tickfuse_session_free(tickfuse_session *session) TICKFUSE_NOEXCEPT;

/* ---- Interpretation --------------------------------------------------------------------------------------------- */

/* Most dimensions of an array of weights, and the size of its name with the zero. */
#define TICKFUSE_MAX_DIMS 4
#define TICKFUSE_NAME_SIZE 64

/*
 * One array of weights of a window's answer. Variable selection, such as "encoder_weights", is [steps, variables] in
 * the order of the schema's variables; "attention" is [queries, heads, rows], and its weights add up to one over the
 * rows.
 */
typedef struct tickfuse_interpretation {
    size_t size;                     /* sizeof(tickfuse_interpretation) */
    size_t n_dims;                   /* dimensions */
    size_t shape[TICKFUSE_MAX_DIMS]; /* of which the first n_dims count; the others are 0 */
    size_t n_values;                 /* their product */
    char name[TICKFUSE_NAME_SIZE];   /* what the weights are; ends with a zero */
} tickfuse_interpretation;

#define TICKFUSE_INTERPRETATION_INIT {sizeof(tickfuse_interpretation), 0, {0}, 0, {0}}

/*
 * How many arrays of weights the last window of this session left: 0 before the first window, for an LSTM stack, and
 * for a handle that is NULL, misaligned, poisoned or busy. The number is the model's and stays the same from then on.
 */
size_t tickfuse_session_n_interpretations(const tickfuse_session *session) TICKFUSE_NOEXCEPT;

/*
 * Array number index, from 0, of the last window run; after a refused run it is of no use. Nothing is computed again,
 * but memory is allocated: this is not for the thread that must answer in time.
 *
 * out:    its name and shape.
 * values: its weights, row after row; fewer than n_values places are TICKFUSE_ERR_BUFFER, and neither is written. With
 *         values NULL and n_values 0 only *out is written.
 */
tickfuse_status tickfuse_session_interpretation(const tickfuse_session *session, size_t index,
                                                tickfuse_interpretation *out, float *values,
                                                size_t n_values) TICKFUSE_NOEXCEPT;

/* ---- Contexts --------------------------------------------------------------------------------------------------- */

/*
 * What the answers of an X-Trend attend to: other markets' recent windows, encoded. A model file brings its own; a
 * caller with fresher ones encodes them beside the thread that answers and hands them over. Immutable and shareable,
 * and of use to sessions and streams of the tickfuse_model that encoded them only.
 */
typedef struct tickfuse_contexts tickfuse_contexts;

/*
 * Encodes contexts. Allocates, and takes as long as two windows per context.
 *
 * rows:     [n_contexts, n_rows, n_columns] of raw values as tickfuse_model_context_shape() says, the oldest row first;
 *           n_values counts them all. A missing value is refused, whatever the model does with one in a window.
 * entities: the code of each context's entity.
 * out:      the contexts, to be given to tickfuse_contexts_free().
 *
 * The same rows as the file's give the same answers, bit for bit.
 */
tickfuse_status tickfuse_contexts_encode(const tickfuse_model *model, const float *rows, size_t n_values,
                                         const uint32_t *entities, size_t n_contexts,
                                         tickfuse_contexts **out) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_contexts_encode_f64(const tickfuse_model *model, const double *rows, size_t n_values,
                                             const uint32_t *entities, size_t n_contexts,
                                             tickfuse_contexts **out) TICKFUSE_NOEXCEPT;

/*
 * Lets go of contexts. NULL is fine. Sessions and streams that were given them keep what they need: the memory is free
 * when the last of them has others.
 */
void tickfuse_contexts_free(tickfuse_contexts *contexts) TICKFUSE_NOEXCEPT;

/*
 * Attends to these contexts from the session's next window on; NULL: to those of the model file. Copies and allocates
 * nothing. The contexts before are freed in this call if their own handle has been freed already: free it afterwards,
 * elsewhere, where the answering thread must not.
 */
tickfuse_status tickfuse_session_set_contexts(tickfuse_session *session,
                                              const tickfuse_contexts *contexts) TICKFUSE_NOEXCEPT;

/* ---- Stream ----------------------------------------------------------------------------------------------------- */

/*
 * A window that slides over one series, row by row or bar by bar: one per symbol. An answer has the bits that
 * tickfuse_session_run() gives for the same window, in whatever order rows were pushed, peeked and prepared.
 */
typedef struct tickfuse_stream tickfuse_stream;

/* One record of one symbol's prices. */
typedef struct tickfuse_bar {
    size_t size;   /* sizeof(tickfuse_bar) */
    int64_t ts_ns; /* open time in nanoseconds since 1970, UTC */
    double open;
    double high;
    double low;
    double close;
    double volume; /* in the unit of the source; 0 is fine */
} tickfuse_bar;

#define TICKFUSE_BAR_INIT {sizeof(tickfuse_bar), 0, 0, 0, 0, 0, 0}

/* Kinds of a step. */
#define TICKFUSE_STEP_WARMING_UP 0 /* too little was seen yet; out was left alone */
#define TICKFUSE_STEP_ANSWER 1     /* out holds the answer */

/* What a row or bar came to. */
typedef struct tickfuse_step {
    size_t size;      /* sizeof(tickfuse_step), set by the caller */
    uint32_t kind;    /* TICKFUSE_STEP_* */
    uint32_t flags;   /* TICKFUSE_FLAG_* of the answer */
    size_t remaining; /* rows or bars still to come, the one with the first answer included; 0 with an answer */
    int64_t ts_ns;    /* the bar's own open time; 0 for a row */
} tickfuse_step;

#define TICKFUSE_STEP_INIT {sizeof(tickfuse_step), 0, 0, 0, 0}

/*
 * A stream that has seen nothing.
 *
 * out: the stream, to be given to tickfuse_stream_free(). It keeps what it needs of the model.
 */
tickfuse_status tickfuse_stream_new(const tickfuse_model *model, tickfuse_stream **out) TICKFUSE_NOEXCEPT;

/* As tickfuse_session_size(), tickfuse_session_align() and tickfuse_session_init(). */
size_t tickfuse_stream_size(const tickfuse_model *model) TICKFUSE_NOEXCEPT;
size_t tickfuse_stream_align(void) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_stream_init(const tickfuse_model *model, void *memory, size_t len,
                                     tickfuse_stream **out) TICKFUSE_NOEXCEPT;

/*
 * Takes one row of raw inputs and answers the window that it ends.
 *
 * row:  [n_features], as a row of tickfuse_session_run(); n_values is their number.
 * out:  [n_outputs], written where the step is an answer.
 * step: what it came to; its size is set before the call.
 *
 * Where tickfuse_model_n_rows() is more than tickfuse_model_lookback() the model reads rows of the future. They lie
 * behind the row as in a window: row is [1 + n, n_features] for n of 1 to that difference, and out holds the answers for
 * these n steps, as of tickfuse_session_run_lengths(). Only columns known in advance are read of the future, and nothing
 * is kept of it: the next row brings its own. A row alone is TICKFUSE_ERR_RUN_AHEAD.
 *
 * A refused row is not taken: the stream is as it was. In the text of TICKFUSE_ERR_RUN_NON_FINITE it is the last row
 * of window 0.
 */
tickfuse_status tickfuse_stream_push(tickfuse_stream *stream, const float *row, size_t n_values, float *out,
                                     size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_stream_push_f64(tickfuse_stream *stream, const double *row, size_t n_values, float *out,
                                         size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;

/* What pushing this row would give, such as one that is still forming. Nothing is kept. */
tickfuse_status tickfuse_stream_peek(tickfuse_stream *stream, const float *row, size_t n_values, float *out,
                                     size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_stream_peek_f64(tickfuse_stream *stream, const double *row, size_t n_values, float *out,
                                         size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;

/*
 * Takes a bar: makes its row with the model's own features and pushes that. TICKFUSE_ERR_RUN_NO_BARS where the model
 * does not make its rows from bars. Rows of the future, where the model reads any, are made of the times at which bars
 * are due, one bar interval after the other: TICKFUSE_ERR_RUN_AHEAD where these do not tell all that is known in advance.
 *
 * Prices lie in 1e-100 to 1e100 with low <= open, close <= high, and volume in 0 to 1e100; otherwise the bar is
 * TICKFUSE_ERR_RUN_BAR. One that is not later than the bar before is TICKFUSE_ERR_RUN_BAR_TIME. Both leave the stream
 * as it was. Where it is the row made of the bar that the model refuses, such as by TICKFUSE_ERR_RUN_NON_FINITE, the
 * series begins anew, for its features have seen the bar.
 *
 * A bar that comes later than the model's bar interval allows (tickfuse_stream_set_max_missing_bars()) begins the
 * series anew and is its first: the step warms up.
 */
tickfuse_status tickfuse_stream_push_bar(tickfuse_stream *stream, const tickfuse_bar *bar, float *out, size_t n_out,
                                         tickfuse_step *step) TICKFUSE_NOEXCEPT;

/* What pushing this bar would give, such as one that is still forming. Nothing is kept, and refusals change nothing. */
tickfuse_status tickfuse_stream_peek_bar(tickfuse_stream *stream, const tickfuse_bar *bar, float *out, size_t n_out,
                                         tickfuse_step *step) TICKFUSE_NOEXCEPT;

/*
 * Takes a row as tickfuse_stream_push() does, without an answer: rows of the past, that a new stream is to have seen and
 * nobody acts on. The work of the answers left out is never done; the first answer behind them has the bits it would have.
 */
tickfuse_status tickfuse_stream_replay(tickfuse_stream *stream, const float *row, size_t n_values) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_stream_replay_f64(tickfuse_stream *stream, const double *row,
                                           size_t n_values) TICKFUSE_NOEXCEPT;

/* Likewise of a bar, which is taken or refused as by tickfuse_stream_push_bar(). */
tickfuse_status tickfuse_stream_replay_bar(tickfuse_stream *stream, const tickfuse_bar *bar) TICKFUSE_NOEXCEPT;

/*
 * Does all that the next answer need not wait for, so that the next push or peek has little left to do. Called while
 * nothing arrives; without it the same is done on arrival, and the answer is the same, later.
 */
tickfuse_status tickfuse_stream_prepare(tickfuse_stream *stream) TICKFUSE_NOEXCEPT;

/*
 * Does some of it: what the very next answer needs, then about budget steps of one window. For threads that must look
 * elsewhere in between.
 *
 * is_done: 1 if nothing is left to prepare, otherwise 0.
 */
tickfuse_status tickfuse_stream_prepare_some(tickfuse_stream *stream, size_t budget,
                                             uint32_t *is_done) TICKFUSE_NOEXCEPT;

/* Forgets every row and bar. */
tickfuse_status tickfuse_stream_reset(tickfuse_stream *stream) TICKFUSE_NOEXCEPT;

/*
 * Rows still to come before an answer, the one with the answer included: 1 when the next row has one. Bars may need a
 * few more for their features; a step counts those too. 0 only for a handle that is NULL, misaligned, poisoned or
 * busy.
 */
size_t tickfuse_stream_remaining(const tickfuse_stream *stream) TICKFUSE_NOEXCEPT;

/*
 * Accepts so many missing bars between two neighbours before the series begins anew; 0 in a new stream. Without effect
 * where the model does not know its bar interval.
 */
tickfuse_status tickfuse_stream_set_max_missing_bars(tickfuse_stream *stream,
                                                     uint32_t max_missing_bars) TICKFUSE_NOEXCEPT;

/* What was set; 0 where nothing was, for a model that takes no bars, and for a handle as above. */
uint32_t tickfuse_stream_max_missing_bars(const tickfuse_stream *stream) TICKFUSE_NOEXCEPT;

/*
 * Says which series the bars are of: the label of one of the model's categories, such as "BTCUSDT" of "symbol", from
 * the next bar on. Until told, and for a label that the model does not know, the series is an unknown one.
 * TICKFUSE_ERR_RUN_CATEGORY for a category that the model does not have, or a label without an unknown one to stand
 * for it.
 *
 * name, label: UTF-8.
 * is_known: 1 if the model knows the label, otherwise 0.
 */
tickfuse_status tickfuse_stream_set_category(tickfuse_stream *stream, const char *name, const char *label,
                                             uint32_t *is_known) TICKFUSE_NOEXCEPT;

/*
 * Attends to these contexts from the stream's next answer on, as tickfuse_session_set_contexts() has it; NULL: to those
 * of the model file.
 */
tickfuse_status tickfuse_stream_set_contexts(tickfuse_stream *stream,
                                             const tickfuse_contexts *contexts) TICKFUSE_NOEXCEPT;

/* Lets go of a stream. NULL is fine. */
void tickfuse_stream_free(tickfuse_stream *stream) TICKFUSE_NOEXCEPT;

/*
 * Bytes that tickfuse_stream_save() writes now: more with every row until windows are full, then always as many. 0 for a
 * handle as above.
 */
size_t tickfuse_stream_saved_len(const tickfuse_stream *stream) TICKFUSE_NOEXCEPT;

/*
 * Writes what the stream remembers: the rows that its windows still need, what its features remember of the bars, and
 * its settings; not its contexts. The bytes mean the same on every machine. Changes nothing.
 *
 * to: len bytes of any alignment; fewer than tickfuse_stream_saved_len() are TICKFUSE_ERR_BUFFER.
 */
tickfuse_status tickfuse_stream_save(const tickfuse_stream *stream, void *to, size_t len) TICKFUSE_NOEXCEPT;

/*
 * Becomes the stream that was saved, by this version of the library or one before, on whatever machine and level: every
 * answer from here on has the bits it would have had. What had been prepared is to be prepared again. Contexts stay.
 *
 * from: len bytes of any alignment, exactly those that were written. Others are TICKFUSE_ERR_RUN_STATE, and those of
 *       another model TICKFUSE_ERR_RUN_FOREIGN_STATE; then the stream is as it was.
 */
tickfuse_status tickfuse_stream_restore(tickfuse_stream *stream, const void *from, size_t len) TICKFUSE_NOEXCEPT;

/*
 * Becomes a copy of source, with all that was prepared: the stream to ask what would be if. Both are of one
 * tickfuse_model, otherwise TICKFUSE_ERR_RUN_FOREIGN_STATE, and both are in this call; a stream that is its own source
 * is TICKFUSE_ERR_BUSY.
 */
tickfuse_status tickfuse_stream_clone_from(tickfuse_stream *stream, const tickfuse_stream *source) TICKFUSE_NOEXCEPT;

/* A copy of source on the heap. out: the stream, to be given to tickfuse_stream_free(). */
tickfuse_status tickfuse_stream_clone(const tickfuse_stream *source, tickfuse_stream **out) TICKFUSE_NOEXCEPT;

/* ---- Streams of many symbols ------------------------------------------------------------------------------------ */

/*
 * The streams of many symbols, numbered from 0: one handle and, where rows of all arrive together, one call. Each symbol
 * is as a tickfuse_stream of its own, whatever happens to the others: the same steps, flags and bits. Rows of an LSTM
 * stack that arrive together share its weights, which is faster than one after the other. Belongs to one call at a time.
 */
typedef struct tickfuse_streams tickfuse_streams;

/* Most symbols of one handle. */
#define TICKFUSE_MAX_SYMBOLS 65536

/*
 * n_symbols streams that have seen nothing, 1 to TICKFUSE_MAX_SYMBOLS.
 *
 * out: the streams, to be given to tickfuse_streams_free(). They keep what they need of the model.
 */
tickfuse_status tickfuse_streams_new(const tickfuse_model *model, size_t n_symbols,
                                     tickfuse_streams **out) TICKFUSE_NOEXCEPT;

/* As tickfuse_session_size(), tickfuse_session_align() and tickfuse_session_init(). */
size_t tickfuse_streams_size(const tickfuse_model *model, size_t n_symbols) TICKFUSE_NOEXCEPT;
size_t tickfuse_streams_align(void) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_init(const tickfuse_model *model, size_t n_symbols, void *memory, size_t len,
                                      tickfuse_streams **out) TICKFUSE_NOEXCEPT;

/* Symbols; 0 for a handle as above. */
size_t tickfuse_streams_n_symbols(const tickfuse_streams *streams) TICKFUSE_NOEXCEPT;

/* As the functions of one stream, of the symbol named by its number; TICKFUSE_ERR_RUN_SYMBOL where there is none. */
tickfuse_status tickfuse_streams_push(tickfuse_streams *streams, size_t symbol, const float *row, size_t n_values,
                                      float *out, size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_push_f64(tickfuse_streams *streams, size_t symbol, const double *row,
                                          size_t n_values, float *out, size_t n_out,
                                          tickfuse_step *step) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_peek(tickfuse_streams *streams, size_t symbol, const float *row, size_t n_values,
                                      float *out, size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_peek_f64(tickfuse_streams *streams, size_t symbol, const double *row,
                                          size_t n_values, float *out, size_t n_out,
                                          tickfuse_step *step) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_push_bar(tickfuse_streams *streams, size_t symbol, const tickfuse_bar *bar,
                                          float *out, size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_peek_bar(tickfuse_streams *streams, size_t symbol, const tickfuse_bar *bar,
                                          float *out, size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT;

/*
 * Takes a row of every symbol and answers those that have seen enough.
 *
 * rows:  [n_symbols, n_features], of a model that reads rows of the future [n_symbols, 1 + n, n_features] with all n of
 *        them behind each row; n_values counts them all.
 * out:   [n_symbols, n_outputs]; n_out counts them all. Written where a symbol's step is an answer.
 * steps: [n_symbols], one behind the other, all of the same size, which is set in each before the call; n_steps is their
 *        number.
 *
 * If one row is refused none is taken; the text names the first symbol whose row is.
 */
tickfuse_status tickfuse_streams_push_all(tickfuse_streams *streams, const float *rows, size_t n_values, float *out,
                                          size_t n_out, tickfuse_step *steps, size_t n_steps) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_streams_push_all_f64(tickfuse_streams *streams, const double *rows, size_t n_values,
                                              float *out, size_t n_out, tickfuse_step *steps,
                                              size_t n_steps) TICKFUSE_NOEXCEPT;

/* What pushing these rows would give. Nothing is kept. */
tickfuse_status tickfuse_streams_peek_all(tickfuse_streams *streams, const float *rows, size_t n_values, float *out,
                                          size_t n_out, tickfuse_step *steps, size_t n_steps) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_streams_peek_all_f64(tickfuse_streams *streams, const double *rows, size_t n_values,
                                              float *out, size_t n_out, tickfuse_step *steps,
                                              size_t n_steps) TICKFUSE_NOEXCEPT;

/* tickfuse_stream_prepare() of every symbol. */
tickfuse_status tickfuse_streams_prepare(tickfuse_streams *streams) TICKFUSE_NOEXCEPT;

/* tickfuse_stream_prepare_some() of every symbol, each with this budget. is_done: 1 if nothing is left of any. */
tickfuse_status tickfuse_streams_prepare_some(tickfuse_streams *streams, size_t budget,
                                              uint32_t *is_done) TICKFUSE_NOEXCEPT;

/* Forgets every row and bar of one symbol, or of all. */
tickfuse_status tickfuse_streams_reset(tickfuse_streams *streams, size_t symbol) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_reset_all(tickfuse_streams *streams) TICKFUSE_NOEXCEPT;

/* tickfuse_stream_remaining() of one symbol; 0 also where there is none of this number. */
size_t tickfuse_streams_remaining(const tickfuse_streams *streams, size_t symbol) TICKFUSE_NOEXCEPT;

/* tickfuse_stream_set_max_missing_bars() of every symbol. */
tickfuse_status tickfuse_streams_set_max_missing_bars(tickfuse_streams *streams,
                                                      uint32_t max_missing_bars) TICKFUSE_NOEXCEPT;

/* tickfuse_stream_set_category() of one symbol. */
tickfuse_status tickfuse_streams_set_category(tickfuse_streams *streams, size_t symbol, const char *name,
                                              const char *label, uint32_t *is_known) TICKFUSE_NOEXCEPT;

/* tickfuse_stream_set_contexts() of every symbol. */
tickfuse_status tickfuse_streams_set_contexts(tickfuse_streams *streams,
                                              const tickfuse_contexts *contexts) TICKFUSE_NOEXCEPT;

/* As the functions of one stream, of one symbol: a state goes from either kind of handle to either. */
size_t tickfuse_streams_saved_len(const tickfuse_streams *streams, size_t symbol) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_save(const tickfuse_streams *streams, size_t symbol, void *to,
                                      size_t len) TICKFUSE_NOEXCEPT;
tickfuse_status tickfuse_streams_restore(tickfuse_streams *streams, size_t symbol, const void *from,
                                         size_t len) TICKFUSE_NOEXCEPT;

/* Lets go of the streams. NULL is fine. */
void tickfuse_streams_free(tickfuse_streams *streams) TICKFUSE_NOEXCEPT;

/* ---- Sliding windows -------------------------------------------------------------------------------------------- */

/*
 * The working memory for every window of a long series, such as a back-test's: what windows share is worked on once.
 * Belongs to one call at a time; several of them, each with its part of a series, give several threads the same bits.
 */
typedef struct tickfuse_sliding tickfuse_sliding;

/*
 * For windows that begin stride rows apart, at least one. Windows of a model that reads the future hold its rows too.
 *
 * out: the handle, to be given to tickfuse_sliding_free(). It keeps what it needs of the model.
 */
tickfuse_status tickfuse_sliding_new(const tickfuse_model *model, size_t stride,
                                     tickfuse_sliding **out) TICKFUSE_NOEXCEPT;

/* Windows of a series of n_rows; 0 where it is shorter than one, and for a handle as above. */
size_t tickfuse_sliding_n_windows(const tickfuse_sliding *sliding, size_t n_rows) TICKFUSE_NOEXCEPT;

/*
 * Answers every window of a series, each with the bits it has alone.
 *
 * series: [n_rows, n_features] of raw inputs, the oldest row first; n_values counts them all. Window w begins at row
 *         w times stride.
 * out:    [n_windows, n_outputs]; n_out counts them all.
 * flags:  [n_windows], TICKFUSE_FLAG_* of each answer; n_flags is their number.
 *
 * Allocates where a series has more windows than any before it, and does nothing else that other calls while running do
 * not. A refusal names the first window that tickfuse_session_run() would refuse.
 */
tickfuse_status tickfuse_sliding_run(tickfuse_sliding *sliding, const float *series, size_t n_values, float *out,
                                     size_t n_out, uint32_t *flags, size_t n_flags) TICKFUSE_NOEXCEPT;

/* The same from doubles. */
tickfuse_status tickfuse_sliding_run_f64(tickfuse_sliding *sliding, const double *series, size_t n_values, float *out,
                                         size_t n_out, uint32_t *flags, size_t n_flags) TICKFUSE_NOEXCEPT;

/* Attends to these contexts from the next series on, as tickfuse_session_set_contexts() has it. */
tickfuse_status tickfuse_sliding_set_contexts(tickfuse_sliding *sliding,
                                              const tickfuse_contexts *contexts) TICKFUSE_NOEXCEPT;

/* Lets go of it. NULL is fine. */
void tickfuse_sliding_free(tickfuse_sliding *sliding) TICKFUSE_NOEXCEPT;

/* ---- Fast handles ----------------------------------------------------------------------------------------------- */

/*
 * A hot call of which all but the addresses was said beforehand: for callers to whom every argument of a call is dear. It
 * does what the call it stands for does, and belongs to its stream or session: it is not to be called after that was
 * freed, and one of several of the same stream or session is refused with TICKFUSE_ERR_BUSY while another runs.
 */
typedef struct tickfuse_fast tickfuse_fast;

/* What it stands for. */
#define TICKFUSE_FAST_PUSH 0 /* tickfuse_stream_push() */
#define TICKFUSE_FAST_PEEK 1 /* tickfuse_stream_peek() */
#define TICKFUSE_FAST_RUN 2  /* tickfuse_session_run() */
#define TICKFUSE_FAST_F64 16 /* added to one of these: from doubles */

/* A fast push or peek. Any other action is TICKFUSE_ERR_CHOICE. out: to be given to tickfuse_fast_free(). */
tickfuse_status tickfuse_fast_of_stream(tickfuse_stream *stream, uint32_t action,
                                        tickfuse_fast **out) TICKFUSE_NOEXCEPT;

/* A fast run of one window. Likewise. */
tickfuse_status tickfuse_fast_of_session(tickfuse_session *session, uint32_t action,
                                         tickfuse_fast **out) TICKFUSE_NOEXCEPT;

/*
 * TICKFUSE_OK where out holds the answer, TICKFUSE_WARMING_UP where a stream has seen too little yet, otherwise the
 * status of the call it stands for.
 *
 * values: floats or doubles: a row of n_features, all rows of the future that the model reads behind it, or a window.
 * out:    [n_outputs].
 */
tickfuse_status tickfuse_fast_call(const tickfuse_fast *fast, const void *values, float *out) TICKFUSE_NOEXCEPT;

/* TICKFUSE_FLAG_* of its last answer; 0 before there was one. */
uint32_t tickfuse_fast_flags(const tickfuse_fast *fast) TICKFUSE_NOEXCEPT;

/* Lets go of a fast handle, not of its stream or session. NULL is fine. */
void tickfuse_fast_free(tickfuse_fast *fast) TICKFUSE_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
