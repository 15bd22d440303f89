/*
 * tickfuse_live.h - replaces the model under a running stream between two bars, without a stall: beside tickfuse.h, header
 * only, for C11 and C++17 with the __atomic builtins of GCC and Clang. For C++ there is tickfuse_live.hpp beside it.
 *
 * A tickfuse_live is one series, such as a symbol: the stream that answers, a ring of the recent rows or bars, and two
 * slots through which two threads hand streams to each other. The HOT thread pushes, peeks and prepares. The CONTROL
 * thread opens a new model, replays the recent rows into a stream of it, and offers that. The hot thread takes the offer
 * when it is between two bars; the stream it had goes back, for the control thread to free.
 *
 *     HOT                                                          CONTROL
 *     tickfuse_live_push_bar(live, &bar, out, n_out, &step);       tickfuse_model_open(path, NULL, &model);
 *     ... act on out ...                                           tickfuse_stream_new(model, &stream);
 *     tickfuse_live_take(live);                                    tickfuse_live_offer(live, model, stream, 7);
 *     tickfuse_live_prepare(live);       (while nothing arrives)   tickfuse_model_free(model);
 *                                                                  do { ... pause ...; tickfuse_live_poll(live, &state);
 *                                                                  } while (state == TICKFUSE_LIVE_OFFERED);
 *
 * What is promised. From the swap on, answers have the bits of a stream of the new model that took every row from the
 * beginning (where its features have exponential averages: up to their roundings, tickfuse_model_n_bars()). All answers
 * about one bar, peeks and push, come from one model. The hot thread frees, locks, allocates and waits for nothing, and
 * calls no system function. Opening with the golden windows, the replay, and the freeing of the old stream, and with it
 * of the old model's mapping, happen on the control thread.
 *
 * What a swap costs the hot thread, in tickfuse_live_take() and so never between a bar and its answer: at most
 * max_missing pushes of rows that arrived since the control thread last looked, mostly none, and one peek, which brings
 * the new stream and its weights into this core's caches. Without an offer it is one load.
 *
 * Threads. At most one thread at a time is hot, and at most one is control; the functions say whose they are. Either role
 * may move to another thread if the caller orders the two, as a lock or a join does. Several series share one control
 * thread, and each has its hot thread, or several share one.
 *
 * Memory ordering. No fences: every word that both threads touch is accessed with an __atomic builtin, so that the C11
 * model and ThreadSanitizer see all of it. Per field:
 *
 *   offered   Control stores an offer with RELEASE: what the replay wrote to the stream happens before what hot does
 *             with it. Hot looks with RELAXED and, where there is one, exchanges NULL for it with ACQUIRE. Control takes an
 *             offer back by the same exchange, so that an offer has one owner at any time.
 *   returned  Hot stores the offer it is done with, which now holds the old stream, with RELEASE; control exchanges NULL
 *             for it with ACQUIRE: all that hot did with the old stream happens before it is freed. There is one offer
 *             at a time, so that the slot is empty whenever hot stores.
 *   head      Number of events (rows, bars, resets) recorded. Hot stores it with RELEASE behind the event's words,
 *             control loads it with ACQUIRE before it reads them.
 *   claimed   Number of the event whose words may be changing, plus one. Hot stores it with RELAXED before the words,
 *             which it stores with RELEASE. Control loads words with ACQUIRE and claimed behind them: had it read a word of
 *             the event that comes a whole ring later, it would see that event claimed, and knows it was lapped.
 *   all else  belongs to one of the threads, or does not change after tickfuse_live_new().
 *
 * Status. The functions return those of tickfuse.h and, of this header's own, numbers in 8xx.
 */
#ifndef TICKFUSE_LIVE_H
#define TICKFUSE_LIVE_H

#include "tickfuse.h"

#include <stdlib.h>
#include <string.h>

#if !defined(__GNUC__)
#error "tickfuse_live.h needs the __atomic builtins of GCC or Clang"
#endif

/* One definition for a program in C++, one per file in C. */
#ifdef __cplusplus
#define TICKFUSE_INLINE inline
#else
#define TICKFUSE_INLINE static inline
#endif

/* ---- Status ----------------------------------------------------------------------------------------------------- */

/* 8xx: a live series. */
#define TICKFUSE_ERR_LIVE_MEMORY 800  /* there is no memory for it */
#define TICKFUSE_ERR_LIVE_KIND 801    /* a row for a series of bars, or a bar for a series of rows */
#define TICKFUSE_ERR_LIVE_INPUTS 802  /* the rows of the series are not the rows of this model */
#define TICKFUSE_ERR_LIVE_OUTPUTS 803 /* the model's answers are not of the series' outputs */
#define TICKFUSE_ERR_LIVE_HISTORY 804 /* the ring holds too few of the series' rows or bars for this model */
#define TICKFUSE_ERR_LIVE_OFFERED 805 /* another offer is under way */
#define TICKFUSE_ERR_LIVE_LAPPED 806  /* rows arrived faster than they could be replayed */

/* What a status of either header means, in a few words that live for ever. */
TICKFUSE_INLINE const char *tickfuse_live_status_text(tickfuse_status status) TICKFUSE_NOEXCEPT {
    switch (status) {
    case TICKFUSE_ERR_LIVE_MEMORY: return "there is no memory for the live series";
    case TICKFUSE_ERR_LIVE_KIND: return "a row for a series of bars, or a bar for a series of rows";
    case TICKFUSE_ERR_LIVE_INPUTS: return "the rows of the series are not the rows of this model";
    case TICKFUSE_ERR_LIVE_OUTPUTS: return "the model's answers are not of the series' outputs";
    case TICKFUSE_ERR_LIVE_HISTORY: return "the ring holds too few of the series' rows or bars for this model";
    case TICKFUSE_ERR_LIVE_OFFERED: return "another offer is under way";
    case TICKFUSE_ERR_LIVE_LAPPED: return "rows arrived faster than they could be replayed";
    default: return tickfuse_status_text(status);
    }
}

/* ---- A series --------------------------------------------------------------------------------------------------- */

/* What a series is of. */
#define TICKFUSE_LIVE_ROWS 0
#define TICKFUSE_LIVE_BARS 1

/* What came of an offer. */
#define TICKFUSE_LIVE_IDLE 0    /* there is none */
#define TICKFUSE_LIVE_OFFERED 1 /* it is under way */
#define TICKFUSE_LIVE_TAKEN 2   /* its stream answers, and the stream before has been freed */

/* How to keep a series. Zero means the default. */
typedef struct tickfuse_live_options {
    uint32_t kind;        /* TICKFUSE_LIVE_*: rows unless said */
    uint32_t max_missing; /* rows that the hot thread replays itself when it takes an offer; 2 unless said */
    size_t capacity;      /* rows or bars to keep, rounded up to a power of two; twice what the model needs unless said */
} tickfuse_live_options;

/* A stream on its way between the threads: offered, then returned with the stream it replaced. Private. */
typedef struct tickfuse_live_offer_ {
    tickfuse_stream *stream;
    uint64_t tag;
    uint64_t next;          /* the first event that the stream has not seen */
    uint64_t n_seen;        /* rows or bars it has seen since it began or was reset */
    uint64_t n_needed;      /* rows or bars that make its answers independent of where it began */
    uint32_t saw_beginning; /* whether it saw the series begin */
    uint32_t outcome;       /* TICKFUSE_LIVE_TAKEN, or _OFFERED for one that was too far behind */
    tickfuse_status status; /* of a stream that failed */
    float *out;             /* [n_outputs] for answers that nobody reads */
    double *row;            /* [width] for a row on its way from the ring */
} tickfuse_live_offer_;

#define TICKFUSE_LIVE_LINE_ 64 /* bytes that the caches of two cores pass to each other at once */

/* A series. Its fields are private. */
typedef struct tickfuse_live {
    /* Fixed. */
    uint32_t kind;
    uint32_t max_missing;
    size_t width;    /* values of an event */
    size_t capacity; /* events in the ring, a power of two */
    size_t n_outputs;
    char *inputs;  /* of the first model, as tickfuse_model_inputs_json() */
    char *outputs; /* of the first model, as tickfuse_model_outputs_json() */
    uint64_t *slots; /* [capacity, 1 + width]: what the event is, and the bits of its values */
    char pad0[TICKFUSE_LIVE_LINE_];

    /* Hot. */
    tickfuse_stream *stream;
    uint64_t tag;
    uint64_t n_events;
    uint32_t is_forming; /* whether the bar to come was peeked at */
    char pad1[TICKFUSE_LIVE_LINE_];

    /* Written by hot, read by control. */
    uint64_t claimed;
    uint64_t head;
    char pad2[TICKFUSE_LIVE_LINE_];

    /* Written by both. */
    tickfuse_live_offer_ *offered;
    tickfuse_live_offer_ *returned;
    char pad3[TICKFUSE_LIVE_LINE_];

    /* Control. */
    tickfuse_live_offer_ *ready;  /* replayed, not offered yet */
    uint32_t is_offered;          /* whether hot has, or may have, an offer */
    uint64_t offered_next;        /* its `next` */
} tickfuse_live;

/* ---- The ring, private ------------------------------------------------------------------------------------------ */

#define TICKFUSE_LIVE_EVENT_ROW_ 0
#define TICKFUSE_LIVE_EVENT_RESET_ 1

TICKFUSE_INLINE uint64_t *tickfuse_live_slot_(const tickfuse_live *live, uint64_t event) TICKFUSE_NOEXCEPT {
    return live->slots + (size_t)(event & (live->capacity - 1)) * (1 + live->width);
}

TICKFUSE_INLINE uint64_t *tickfuse_live_record_(tickfuse_live *live, uint64_t what) TICKFUSE_NOEXCEPT {
    uint64_t *slot = tickfuse_live_slot_(live, live->n_events);
    __atomic_store_n(&live->claimed, live->n_events + 1, __ATOMIC_RELAXED);
    __atomic_store_n(slot, what, __ATOMIC_RELEASE);
    return slot + 1;
}

TICKFUSE_INLINE void tickfuse_live_recorded_(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    live->n_events++;
    live->is_forming = 0;
    __atomic_store_n(&live->head, live->n_events, __ATOMIC_RELEASE);
}

TICKFUSE_INLINE void tickfuse_live_store_(uint64_t *word, double value) TICKFUSE_NOEXCEPT {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    __atomic_store_n(word, bits, __ATOMIC_RELEASE);
}

/* A bar's time is kept as it is, its prices and volume as those of a row. */
TICKFUSE_INLINE void tickfuse_live_record_bar_(tickfuse_live *live, const tickfuse_bar *bar) TICKFUSE_NOEXCEPT {
    uint64_t *words = tickfuse_live_record_(live, TICKFUSE_LIVE_EVENT_ROW_);
    __atomic_store_n(words, (uint64_t)bar->ts_ns, __ATOMIC_RELEASE);
    tickfuse_live_store_(words + 1, bar->open);
    tickfuse_live_store_(words + 2, bar->high);
    tickfuse_live_store_(words + 3, bar->low);
    tickfuse_live_store_(words + 4, bar->close);
    tickfuse_live_store_(words + 5, bar->volume);
    tickfuse_live_recorded_(live);
}

/* What the event is; its values as the bits of row. */
TICKFUSE_INLINE uint64_t tickfuse_live_load_(const tickfuse_live *live, uint64_t event,
                                           tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    const uint64_t *slot = tickfuse_live_slot_(live, event);
    uint64_t what = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    for (size_t i = 0; i < live->width; i++) {
        uint64_t bits = __atomic_load_n(slot + 1 + i, __ATOMIC_ACQUIRE);
        memcpy(&offer->row[i], &bits, sizeof bits);
    }
    return what;
}

TICKFUSE_INLINE tickfuse_bar tickfuse_live_bar_(const double *row) TICKFUSE_NOEXCEPT {
    tickfuse_bar bar = {sizeof(tickfuse_bar), 0, row[1], row[2], row[3], row[4], row[5]};
    memcpy(&bar.ts_ns, row, sizeof bar.ts_ns);
    return bar;
}

/*
 * Whether a stream kept what it was given. A bar whose row is refused has been seen by the features, and is refused or
 * not by another model for reasons of its own.
 */
TICKFUSE_INLINE int tickfuse_live_is_kept_(const tickfuse_live *live, tickfuse_status status) TICKFUSE_NOEXCEPT {
    return status == TICKFUSE_OK
           || (live->kind == TICKFUSE_LIVE_BARS
               && (status == TICKFUSE_ERR_RUN_NON_FINITE || status == TICKFUSE_ERR_RUN_CATEGORY));
}

/* Makes the offered stream see the event that lies in its row. A refusal is the new model's own and no failure. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_see_(const tickfuse_live *live, tickfuse_live_offer_ *offer,
                                                 uint64_t what) TICKFUSE_NOEXCEPT {
    tickfuse_step step = TICKFUSE_STEP_INIT;
    tickfuse_status status;
    offer->next++;
    if (what == TICKFUSE_LIVE_EVENT_RESET_) {
        offer->n_seen = 0;
        offer->saw_beginning = 1;
        return tickfuse_stream_reset(offer->stream);
    }
    offer->n_seen++;
    if (live->kind == TICKFUSE_LIVE_BARS) {
        tickfuse_bar bar = tickfuse_live_bar_(offer->row);
        status = tickfuse_stream_push_bar(offer->stream, &bar, offer->out, live->n_outputs, &step);
    } else {
        status = tickfuse_stream_push_f64(offer->stream, offer->row, live->width, offer->out, live->n_outputs, &step);
    }
    return status / 100 == 3 ? TICKFUSE_OK : status;
}

/* ---- Hot thread ------------------------------------------------------------------------------------------------- */

/* tickfuse_stream_push() on the stream that answers. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_push(tickfuse_live *live, const float *row, size_t n_values, float *out,
                                                 size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT {
    if (live->kind != TICKFUSE_LIVE_ROWS) {
        return TICKFUSE_ERR_LIVE_KIND;
    }
    tickfuse_status status = tickfuse_stream_push(live->stream, row, n_values, out, n_out, step);
    if (tickfuse_live_is_kept_(live, status)) {
        uint64_t *words = tickfuse_live_record_(live, TICKFUSE_LIVE_EVENT_ROW_);
        for (size_t i = 0; i < live->width; i++) {
            tickfuse_live_store_(words + i, (double)row[i]);
        }
        tickfuse_live_recorded_(live);
    }
    return status;
}

/* The same from doubles. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_push_f64(tickfuse_live *live, const double *row, size_t n_values,
                                                     float *out, size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT {
    if (live->kind != TICKFUSE_LIVE_ROWS) {
        return TICKFUSE_ERR_LIVE_KIND;
    }
    tickfuse_status status = tickfuse_stream_push_f64(live->stream, row, n_values, out, n_out, step);
    if (tickfuse_live_is_kept_(live, status)) {
        uint64_t *words = tickfuse_live_record_(live, TICKFUSE_LIVE_EVENT_ROW_);
        for (size_t i = 0; i < live->width; i++) {
            tickfuse_live_store_(words + i, row[i]);
        }
        tickfuse_live_recorded_(live);
    }
    return status;
}

/* tickfuse_stream_push_bar(). */
TICKFUSE_INLINE tickfuse_status tickfuse_live_push_bar(tickfuse_live *live, const tickfuse_bar *bar, float *out,
                                                     size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT {
    if (live->kind != TICKFUSE_LIVE_BARS) {
        return TICKFUSE_ERR_LIVE_KIND;
    }
    tickfuse_status status = tickfuse_stream_push_bar(live->stream, bar, out, n_out, step);
    if (tickfuse_live_is_kept_(live, status)) {
        tickfuse_live_record_bar_(live, bar);
    }
    return status;
}

/* tickfuse_stream_peek(). From here to the next push no offer is taken. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_peek(tickfuse_live *live, const float *row, size_t n_values, float *out,
                                                 size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT {
    live->is_forming = 1;
    return tickfuse_stream_peek(live->stream, row, n_values, out, n_out, step);
}

/* The same from doubles. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_peek_f64(tickfuse_live *live, const double *row, size_t n_values,
                                                     float *out, size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT {
    live->is_forming = 1;
    return tickfuse_stream_peek_f64(live->stream, row, n_values, out, n_out, step);
}

/* tickfuse_stream_peek_bar(). From here to the next push no offer is taken. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_peek_bar(tickfuse_live *live, const tickfuse_bar *bar, float *out,
                                                     size_t n_out, tickfuse_step *step) TICKFUSE_NOEXCEPT {
    live->is_forming = 1;
    return tickfuse_stream_peek_bar(live->stream, bar, out, n_out, step);
}

/* tickfuse_stream_reset(): the series begins anew, also for streams that are offered later. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_reset(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    tickfuse_status status = tickfuse_stream_reset(live->stream);
    if (status == TICKFUSE_OK) {
        tickfuse_live_record_(live, TICKFUSE_LIVE_EVENT_RESET_);
        tickfuse_live_recorded_(live);
    }
    return status;
}

/* Asks the new stream about the last event again, or a bar about the same prices an instant later, and drops the answer. */
TICKFUSE_INLINE void tickfuse_live_warm_(const tickfuse_live *live, tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    tickfuse_step step = TICKFUSE_STEP_INIT;
    if (live->n_events == 0
        || tickfuse_live_load_(live, live->n_events - 1, offer) != TICKFUSE_LIVE_EVENT_ROW_) {
        return;
    }
    if (live->kind == TICKFUSE_LIVE_BARS) {
        tickfuse_bar bar = tickfuse_live_bar_(offer->row);
        bar.ts_ns += bar.ts_ns < INT64_MAX;
        (void)tickfuse_stream_peek_bar(offer->stream, &bar, offer->out, live->n_outputs, &step);
    } else {
        (void)tickfuse_stream_peek_f64(offer->stream, offer->row, live->width, offer->out, live->n_outputs, &step);
    }
}

/* Brings an offer up to the last event and makes its stream the one that answers. */
TICKFUSE_INLINE uint32_t tickfuse_live_exchange_(tickfuse_live *live, tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    tickfuse_stream *replaced = live->stream;
    uint64_t tag = live->tag;
    if (live->n_events - offer->next > live->max_missing) {
        offer->outcome = TICKFUSE_LIVE_OFFERED;
        return 0;
    }
    while (offer->next < live->n_events && offer->status == TICKFUSE_OK) {
        uint64_t what = tickfuse_live_load_(live, offer->next, offer);
        offer->status = tickfuse_live_see_(live, offer, what);
    }
    if (offer->status != TICKFUSE_OK) {
        return 0;
    }
    tickfuse_live_warm_(live, offer);
    live->stream = offer->stream;
    live->tag = offer->tag;
    offer->stream = replaced;
    offer->tag = tag;
    offer->outcome = TICKFUSE_LIVE_TAKEN;
    return 1;
}

/*
 * Takes an offer if there is one and no bar is forming: whether the stream that answers is another one from here on.
 * Called between a push, once its answer has been acted on, and the first peek behind it.
 */
TICKFUSE_INLINE uint32_t tickfuse_live_take(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    if (live->is_forming || __atomic_load_n(&live->offered, __ATOMIC_RELAXED) == NULL) {
        return 0;
    }
    tickfuse_live_offer_ *none = NULL;
    tickfuse_live_offer_ *offer = __atomic_exchange_n(&live->offered, none, __ATOMIC_ACQUIRE);
    if (offer == NULL) {
        return 0;
    }
    uint32_t is_taken = tickfuse_live_exchange_(live, offer);
    __atomic_store_n(&live->returned, offer, __ATOMIC_RELEASE);
    return is_taken;
}

/* tickfuse_stream_prepare(), and before it tickfuse_live_take(). */
TICKFUSE_INLINE tickfuse_status tickfuse_live_prepare(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    tickfuse_live_take(live);
    return tickfuse_stream_prepare(live->stream);
}

/* tickfuse_stream_prepare_some(), and before it tickfuse_live_take(). */
TICKFUSE_INLINE tickfuse_status tickfuse_live_prepare_some(tickfuse_live *live, size_t budget,
                                                         uint32_t *is_done) TICKFUSE_NOEXCEPT {
    tickfuse_live_take(live);
    return tickfuse_stream_prepare_some(live->stream, budget, is_done);
}

/* The tag that the stream that answers was offered with; 0 for the first one. */
TICKFUSE_INLINE uint64_t tickfuse_live_tag(const tickfuse_live *live) TICKFUSE_NOEXCEPT {
    return live->tag;
}

/* ---- Control thread: private parts ------------------------------------------------------------------------------ */

typedef tickfuse_status tickfuse_live_text_(const tickfuse_model *model, char *buf, size_t len, size_t *needed);

/* A text about the model, to be given to free(). */
TICKFUSE_INLINE tickfuse_status tickfuse_live_text_of_(const tickfuse_model *model, tickfuse_live_text_ *ask,
                                                     char **out) TICKFUSE_NOEXCEPT {
    size_t needed = 0;
    tickfuse_status status = ask(model, NULL, 0, &needed);
    if (status != TICKFUSE_OK) {
        return status;
    }
    char *text = (char *)malloc(needed);
    if (text == NULL) {
        return TICKFUSE_ERR_LIVE_MEMORY;
    }
    status = ask(model, text, needed, &needed);
    if (status != TICKFUSE_OK) {
        free(text);
        return status;
    }
    *out = text;
    return TICKFUSE_OK;
}

/* Says whether the model's text is the series' own. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_compare_(const tickfuse_model *model, tickfuse_live_text_ *ask,
                                                     const char *own, tickfuse_status otherwise) TICKFUSE_NOEXCEPT {
    char *text = NULL;
    tickfuse_status status = tickfuse_live_text_of_(model, ask, &text);
    if (status == TICKFUSE_OK && strcmp(text, own) != 0) {
        status = otherwise;
    }
    free(text);
    return status;
}

/* Whether the model can follow the series' events and answer as its reader expects. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_suits_(const tickfuse_live *live,
                                                   const tickfuse_model *model) TICKFUSE_NOEXCEPT {
    tickfuse_status status = tickfuse_live_compare_(model, tickfuse_model_outputs_json, live->outputs,
                                                    TICKFUSE_ERR_LIVE_OUTPUTS);
    if (status != TICKFUSE_OK) {
        return status;
    }
    if (tickfuse_model_n_outputs(model) != live->n_outputs) {
        return TICKFUSE_ERR_LIVE_OUTPUTS;
    }
    if (live->kind == TICKFUSE_LIVE_BARS) {
        return tickfuse_model_n_bars(model) == 0 ? TICKFUSE_ERR_RUN_NO_BARS : TICKFUSE_OK;
    }
    return tickfuse_live_compare_(model, tickfuse_model_inputs_json, live->inputs, TICKFUSE_ERR_LIVE_INPUTS);
}

/* Rows or bars after which a stream of the model no longer remembers where it began. */
TICKFUSE_INLINE size_t tickfuse_live_needed_(uint32_t kind, const tickfuse_model *model) TICKFUSE_NOEXCEPT {
    return kind == TICKFUSE_LIVE_BARS ? tickfuse_model_n_bars(model) : tickfuse_model_lookback(model);
}

TICKFUSE_INLINE void tickfuse_live_drop_(tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    if (offer != NULL) {
        tickfuse_stream_free(offer->stream);
        free(offer->out);
        free(offer->row);
        free(offer);
    }
}

/* An offer of a stream that has seen nothing, which it owns from here on, also where there is no memory for it. */
TICKFUSE_INLINE tickfuse_live_offer_ *tickfuse_live_propose_(const tickfuse_live *live, tickfuse_stream *stream,
                                                           size_t n_needed, uint64_t tag) TICKFUSE_NOEXCEPT {
    tickfuse_live_offer_ *offer = (tickfuse_live_offer_ *)calloc(1, sizeof *offer);
    if (offer == NULL) {
        tickfuse_stream_free(stream);
        return NULL;
    }
    offer->stream = stream;
    offer->tag = tag;
    offer->n_needed = n_needed;
    offer->out = (float *)calloc(live->n_outputs, sizeof *offer->out);
    offer->row = (double *)calloc(live->width, sizeof *offer->row);
    if (offer->out == NULL || offer->row == NULL) {
        tickfuse_live_drop_(offer);
        return NULL;
    }
    return offer;
}

/* Lets the stream begin with the oldest event that is not about to be overwritten, or the first that a row needs. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_begin_(const tickfuse_live *live,
                                                   tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    uint64_t head = __atomic_load_n(&live->head, __ATOMIC_ACQUIRE);
    uint64_t n = live->capacity - live->capacity / 8;
    if (live->kind == TICKFUSE_LIVE_ROWS && offer->n_needed < n) {
        n = offer->n_needed;
    }
    offer->next = head > n ? head - n : 0;
    offer->n_seen = 0;
    offer->saw_beginning = offer->next == 0;
    return tickfuse_stream_reset(offer->stream);
}

#define TICKFUSE_LIVE_LAPS_ 4 /* times that a replay begins again before it gives up */

/* Replays what the stream has not seen, up to the last event. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_catch_up_(const tickfuse_live *live,
                                                      tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    tickfuse_status status = TICKFUSE_OK;
    int n_laps = 0;
    while (status == TICKFUSE_OK && offer->next != __atomic_load_n(&live->head, __ATOMIC_ACQUIRE)) {
        uint64_t what = tickfuse_live_load_(live, offer->next, offer);
        if (__atomic_load_n(&live->claimed, __ATOMIC_RELAXED) <= offer->next + live->capacity) {
            status = tickfuse_live_see_(live, offer, what);
        } else if (n_laps++ == TICKFUSE_LIVE_LAPS_) {
            status = TICKFUSE_ERR_LIVE_LAPPED;
        } else {
            status = tickfuse_live_begin_(live, offer);
        }
    }
    return status;
}

/* The same, until nothing arrives while the next answer is prepared: a few times at most. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_settle_(const tickfuse_live *live,
                                                    tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    for (int i = 0; i < TICKFUSE_LIVE_LAPS_; i++) {
        tickfuse_status status = tickfuse_live_catch_up_(live, offer);
        if (status == TICKFUSE_OK) {
            status = tickfuse_stream_prepare(offer->stream);
        }
        if (status != TICKFUSE_OK) {
            return status;
        }
        if (offer->next == __atomic_load_n(&live->head, __ATOMIC_ACQUIRE)) {
            break;
        }
    }
    return offer->saw_beginning || offer->n_seen >= offer->n_needed ? TICKFUSE_OK : TICKFUSE_ERR_LIVE_HISTORY;
}

/* Makes an offer ready: checked, replayed, prepared. Takes over the stream, whatever it returns. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_ready_(tickfuse_live *live, const tickfuse_model *model,
                                                   tickfuse_stream *stream, uint64_t tag) TICKFUSE_NOEXCEPT {
    tickfuse_status status = live->ready != NULL || live->is_offered ? TICKFUSE_ERR_LIVE_OFFERED
                                                                     : tickfuse_live_suits_(live, model);
    if (status == TICKFUSE_OK && stream == NULL) {
        status = tickfuse_stream_new(model, &stream);
    }
    if (status != TICKFUSE_OK) {
        tickfuse_stream_free(stream);
        return status;
    }
    tickfuse_live_offer_ *offer =
        tickfuse_live_propose_(live, stream, tickfuse_live_needed_(live->kind, model), tag);
    if (offer == NULL) {
        return TICKFUSE_ERR_LIVE_MEMORY;
    }
    status = tickfuse_live_begin_(live, offer);
    if (status == TICKFUSE_OK) {
        status = tickfuse_live_settle_(live, offer);
    }
    if (status != TICKFUSE_OK) {
        tickfuse_live_drop_(offer);
        return status;
    }
    live->ready = offer;
    return TICKFUSE_OK;
}

/* Offers what is ready. What arrived since is left to hot or, where that is too much, to the next poll. */
TICKFUSE_INLINE void tickfuse_live_publish_(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    tickfuse_live_offer_ *offer = live->ready;
    live->ready = NULL;
    live->offered_next = offer->next;
    live->is_offered = 1;
    __atomic_store_n(&live->offered, offer, __ATOMIC_RELEASE);
}

/* The offer, if hot has not taken it. */
TICKFUSE_INLINE tickfuse_live_offer_ *tickfuse_live_take_back_(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    tickfuse_live_offer_ *none = NULL;
    tickfuse_live_offer_ *offer = __atomic_exchange_n(&live->offered, none, __ATOMIC_ACQUIRE);
    if (offer != NULL) {
        live->is_offered = 0;
    }
    return offer;
}

/* ---- Control thread --------------------------------------------------------------------------------------------- */

/*
 * Lets go of a series, its stream, and an offer under way. Both threads have ended their calls before, and the caller
 * has ordered this call behind them. NULL is fine.
 */
TICKFUSE_INLINE void tickfuse_live_free(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    if (live != NULL) {
        tickfuse_live_drop_(live->ready);
        tickfuse_live_drop_(live->offered);
        tickfuse_live_drop_(live->returned);
        tickfuse_stream_free(live->stream);
        free(live->inputs);
        free(live->outputs);
        free(live->slots);
        free(live);
    }
}

/* What is fixed, and a ring whose pages are there already. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_lay_out_(tickfuse_live *live, const tickfuse_model *model,
                                                     size_t capacity) TICKFUSE_NOEXCEPT {
    size_t needed = tickfuse_live_needed_(live->kind, model);
    if (needed == 0) {
        return tickfuse_model_lookback(model) == 0 ? TICKFUSE_ERR_NULL : TICKFUSE_ERR_RUN_NO_BARS;
    }
    capacity = capacity != 0 ? capacity : 2 * needed;
    live->width = live->kind == TICKFUSE_LIVE_BARS ? 6 : tickfuse_model_n_features(model);
    live->n_outputs = tickfuse_model_n_outputs(model);
    size_t slot = (1 + live->width) * sizeof(uint64_t);
    live->capacity = 8;
    while (live->capacity < capacity) {
        if (live->capacity > SIZE_MAX / 2 / slot) {
            return TICKFUSE_ERR_LIVE_MEMORY;
        }
        live->capacity *= 2;
    }
    live->slots = (uint64_t *)malloc(live->capacity * slot);
    if (live->slots == NULL) {
        return TICKFUSE_ERR_LIVE_MEMORY;
    }
    memset(live->slots, 0, live->capacity * slot);
    tickfuse_status status = tickfuse_live_text_of_(model, tickfuse_model_inputs_json, &live->inputs);
    return status != TICKFUSE_OK ? status
                                 : tickfuse_live_text_of_(model, tickfuse_model_outputs_json, &live->outputs);
}

/*
 * A series that begins: no thread is hot or control yet. The model may be freed at once.
 *
 * stream:  of the model, set up (category, contexts, missing bars), without rows; NULL: one as tickfuse_stream_new() makes
 *          it. It belongs to the series from here on, also after a failure.
 * options: may be NULL: a series of rows, everything at its default. A series outlives models: its ring should hold what
 *          the most demanding one to come needs.
 * out:     the series, to be given to tickfuse_live_free().
 */
TICKFUSE_INLINE tickfuse_status tickfuse_live_new(const tickfuse_model *model, tickfuse_stream *stream,
                                                const tickfuse_live_options *options,
                                                tickfuse_live **out) TICKFUSE_NOEXCEPT {
    tickfuse_live *live = (tickfuse_live *)calloc(1, sizeof *live);
    if (live == NULL) {
        tickfuse_stream_free(stream);
        return TICKFUSE_ERR_LIVE_MEMORY;
    }
    live->stream = stream;
    live->kind = options == NULL ? TICKFUSE_LIVE_ROWS : options->kind;
    live->max_missing = options == NULL || options->max_missing == 0 ? 2 : options->max_missing;
    tickfuse_status status = live->kind > TICKFUSE_LIVE_BARS ? TICKFUSE_ERR_LIVE_KIND : TICKFUSE_OK;
    if (status == TICKFUSE_OK) {
        status = tickfuse_live_lay_out_(live, model, options == NULL ? 0 : options->capacity);
    }
    if (status == TICKFUSE_OK && stream == NULL) {
        status = tickfuse_stream_new(model, &live->stream);
    }
    if (status != TICKFUSE_OK) {
        tickfuse_live_free(live);
        return status;
    }
    *out = live;
    return TICKFUSE_OK;
}

/*
 * Offers a stream of another model to the series. Takes as long as the replay: of the last lookback rows, or of all bars
 * in the ring. The model may be freed at once.
 *
 * stream: as for tickfuse_live_new(), of this model.
 * tag:    any number, by which tickfuse_live_tag() tells hot which model answers.
 *
 * Refused is a model whose outputs are not those of the series by name, kind, labels, levels and unit; one whose inputs
 * are not, where the series is one of rows (for bars every model makes its own rows); one that needs more rows or bars
 * than the ring holds of a series that is longer; and any model while an offer is under way. A model with a longer
 * lookback than the series warms up as a stream does that saw the same.
 */
TICKFUSE_INLINE tickfuse_status tickfuse_live_offer(tickfuse_live *live, const tickfuse_model *model,
                                                  tickfuse_stream *stream, uint64_t tag) TICKFUSE_NOEXCEPT {
    tickfuse_status status = tickfuse_live_ready_(live, model, stream, tag);
    if (status == TICKFUSE_OK) {
        tickfuse_live_publish_(live);
    }
    return status;
}

/*
 * Looks after an offer: frees the replaced stream once hot has returned it, and brings an offer up to date that has fallen
 * behind by more rows than hot replays itself. Called every now and then until the state is TICKFUSE_LIVE_TAKEN or
 * _IDLE. After a failure, which the hot thread does not notice, there is no offer and the state is _IDLE.
 */
TICKFUSE_INLINE tickfuse_status tickfuse_live_poll(tickfuse_live *live, uint32_t *state) TICKFUSE_NOEXCEPT {
    tickfuse_live_offer_ *none = NULL;
    tickfuse_live_offer_ *offer = __atomic_exchange_n(&live->returned, none, __ATOMIC_ACQUIRE);
    uint64_t head = __atomic_load_n(&live->head, __ATOMIC_ACQUIRE);
    *state = TICKFUSE_LIVE_IDLE;
    if (offer == NULL && live->is_offered) {
        *state = TICKFUSE_LIVE_OFFERED;
        offer = head - live->offered_next > live->max_missing ? tickfuse_live_take_back_(live) : NULL;
    }
    if (offer == NULL) {
        return TICKFUSE_OK;
    }
    live->is_offered = 0;
    tickfuse_status status = offer->status;
    if (status == TICKFUSE_OK && offer->outcome != TICKFUSE_LIVE_TAKEN) {
        status = tickfuse_live_settle_(live, offer);
        if (status == TICKFUSE_OK) {
            *state = TICKFUSE_LIVE_OFFERED;
            live->ready = offer;
            tickfuse_live_publish_(live);
            return status;
        }
    }
    *state = status == TICKFUSE_OK ? TICKFUSE_LIVE_TAKEN : TICKFUSE_LIVE_IDLE;
    tickfuse_live_drop_(offer);
    return status;
}

/* Takes an offer back and frees it: 1 if none is under way any more, 0 if hot has it, which the next poll will tell. */
TICKFUSE_INLINE uint32_t tickfuse_live_withdraw(tickfuse_live *live) TICKFUSE_NOEXCEPT {
    tickfuse_live_drop_(live->ready);
    live->ready = NULL;
    if (live->is_offered) {
        tickfuse_live_drop_(tickfuse_live_take_back_(live));
    }
    return !live->is_offered;
}

/* Makes the stream of a model for series number index of several. */
typedef tickfuse_status tickfuse_live_make(void *user, const tickfuse_model *model, size_t index, tickfuse_stream **out);

/*
 * Offers streams of one model to n series, which take them each at its own next bar: to all of them, or after a failure to
 * none. Every replay is done before the first offer is made.
 *
 * make: makes their streams; NULL: all as tickfuse_stream_new() does. user is handed to it.
 */
TICKFUSE_INLINE tickfuse_status tickfuse_live_offer_all(tickfuse_live *const *lives, size_t n,
                                                      const tickfuse_model *model, tickfuse_live_make *make,
                                                      void *user, uint64_t tag) TICKFUSE_NOEXCEPT {
    tickfuse_status status = TICKFUSE_OK;
    size_t n_ready = 0;
    while (n_ready < n && status == TICKFUSE_OK) {
        tickfuse_stream *stream = NULL;
        status = make == NULL ? TICKFUSE_OK : make(user, model, n_ready, &stream);
        status = status == TICKFUSE_OK ? tickfuse_live_ready_(lives[n_ready], model, stream, tag) : status;
        n_ready += status == TICKFUSE_OK;
    }
    for (size_t i = 0; i < n_ready && status == TICKFUSE_OK; i++) {
        status = tickfuse_live_settle_(lives[i], lives[i]->ready);
    }
    for (size_t i = 0; i < n_ready; i++) {
        if (status == TICKFUSE_OK) {
            tickfuse_live_publish_(lives[i]);
        } else {
            tickfuse_live_drop_(lives[i]->ready);
            lives[i]->ready = NULL;
        }
    }
    return status;
}

/* Polls n series. n_offered: how many have an offer under way still. Returns the first failure. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_poll_all(tickfuse_live *const *lives, size_t n,
                                                     size_t *n_offered) TICKFUSE_NOEXCEPT {
    tickfuse_status first = TICKFUSE_OK;
    *n_offered = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t state = TICKFUSE_LIVE_IDLE;
        tickfuse_status status = tickfuse_live_poll(lives[i], &state);
        first = first == TICKFUSE_OK ? status : first;
        *n_offered += state == TICKFUSE_LIVE_OFFERED;
    }
    return first;
}

#endif
