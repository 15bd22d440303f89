/*
 * tickfuse_live.h - replaces the model under a running stream between two bars, without a stall: beside tickfuse.h,
 * header only, for C11 and C++17 with the __atomic builtins of GCC and Clang. For C++ there is tickfuse_live.hpp
 * beside it.
 *
 * A tickfuse_live is one series, such as a symbol: the stream that answers, a ring of the recent rows or bars, and two
 * slots through which two threads hand streams to each other. The HOT thread pushes, peeks and prepares. The CONTROL
 * thread opens a new model, replays the recent rows into a stream of it, and offers that. The hot thread takes the
 * offer when it is between two bars; the stream it had goes back, for the control thread to free.
 *
 *     HOT                                                          CONTROL
 *     tickfuse_live_push_bar(live, &bar, out, n_out, &step);       tickfuse_model_open(path, NULL, &model);
 *     ... act on out ...                                           tickfuse_stream_new(model, &stream);
 *     tickfuse_live_take(live);                                    tickfuse_live_offer(live, model, stream, 7);
 *     tickfuse_live_prepare(live);       (while nothing arrives)   tickfuse_model_free(model);
 *                                                                  do {
 *                                                                      ... pause ...
 *                                                                      tickfuse_live_poll(live, &state);
 *                                                                  } while (state == TICKFUSE_LIVE_OFFERED);
 *
 * What is promised. From the swap on, answers have the bits of a stream of the new model that took every row from the
 * beginning (where its features have exponential averages: up to their roundings, tickfuse_model_n_bars()). The series
 * is what its streams took: a row that one of them refused is no part of it, for the models to come either. All answers
 * about one bar, peeks and push, come from one model. The hot thread frees, locks, allocates and waits for nothing, and
 * calls no system function. Opening with the golden windows, the replay, and the freeing of the old stream, and with it
 * of the old model's mapping, happen on the control thread.
 *
 * What a swap costs the hot thread, in tickfuse_live_take() and so never between a bar and its answer: at most
 * max_missing rows that arrived since the control thread last looked, mostly none, and one peek, which brings the new
 * stream and its weights into this core's caches. Without an offer it is one load.
 *
 * Threads. At most one thread at a time is hot, and at most one is control; the functions say whose they are. Either
 * role may move to another thread if the caller orders the two, as a lock or a join does. Several series share one
 * control thread, and each has its hot thread, or several share one.
 *
 * Memory ordering. No fences: every word that both threads touch is accessed with an __atomic builtin, so that the C11
 * model and ThreadSanitizer see all of it. Per field:
 *
 *   offered   Control stores an offer with RELEASE: what the replay wrote to the stream happens before what hot does
 *             with it. Hot looks with RELAXED and, where there is one, exchanges NULL for it with ACQUIRE. Control
 *             takes an offer back by the same exchange, so that an offer has one owner at any time.
 *   returned  Hot stores the offer it is done with, which now holds the old stream, with RELEASE; control exchanges
 *             NULL for it with ACQUIRE: all that hot did with the old stream happens before it is freed. There is one
 *             offer at a time, so that the slot is empty whenever hot stores.
 *   head      Number of events (rows, bars, resets) recorded. Hot stores it with RELEASE behind the event's words,
 *             control loads it with ACQUIRE before it reads them.
 *   claimed   Number of the event whose words may be changing, plus one. Hot stores it with RELAXED before the words,
 *             which it stores with RELEASE. Control loads words with ACQUIRE and claimed behind them: had it read a
 *             word of the event that comes a whole ring later, it would see that event claimed, and knows it was
 *             lapped.
 *   all else  belongs to one of the threads, or does not change after tickfuse_live_new().
 *
 * Status. The functions return those of tickfuse.h and, of this header's own, numbers in 8xx.
 *
 * All of this is compiled into the caller and is no part of the library's interface: structures have no size, for no
 * other version ever reads them, and threads that share a series are compiled with the same header.
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
    size_t capacity;      /* rows or bars kept, rounded up to a power of two; twice what the model needs unless said */
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
    char *inputs;             /* what its rows are, as tickfuse_model_inputs_json() */
    tickfuse_output *outputs; /* [n_outputs] what its answers are */
    uint64_t *slots;          /* [capacity, 1 + width]: what the event is, and the bits of its values */
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

/* Whether the new model refuses what lies in the row, for reasons of its own, and goes on. */
TICKFUSE_INLINE int tickfuse_live_is_refusal_(tickfuse_status status) TICKFUSE_NOEXCEPT {
    return status == TICKFUSE_ERR_RUN_NON_FINITE || status == TICKFUSE_ERR_RUN_CATEGORY
           || status == TICKFUSE_ERR_RUN_BAR || status == TICKFUSE_ERR_RUN_BAR_TIME;
}

/* Makes the offered stream see the event that lies in its row. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_see_(const tickfuse_live *live, tickfuse_live_offer_ *offer,
                                                   uint64_t what) TICKFUSE_NOEXCEPT {
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
        status = tickfuse_stream_replay_bar(offer->stream, &bar);
    } else {
        status = tickfuse_stream_replay_f64(offer->stream, offer->row, live->width);
    }
    return tickfuse_live_is_refusal_(status) ? TICKFUSE_OK : status;
}

/* ---- Hot thread ------------------------------------------------------------------------------------------------- */

/*
 * tickfuse_stream_push() on the stream that answers. Unlike there neither out nor step overlaps row, which is recorded
 * once the answer is there.
 */
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
                                                       float *out, size_t n_out,
                                                       tickfuse_step *step) TICKFUSE_NOEXCEPT {
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
                                                       float *out, size_t n_out,
                                                       tickfuse_step *step) TICKFUSE_NOEXCEPT {
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

/* Asks the new stream about the last row again, or the last prices an instant later, and drops the answer. */
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

#include "tickfuse_live_control.h"

#endif
