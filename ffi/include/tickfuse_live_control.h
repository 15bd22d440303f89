/*
 * tickfuse_live_control.h - the part of tickfuse_live.h that the control thread calls: series are made and freed,
 * models offered, offers looked after. To be included through tickfuse_live.h, which says how the threads meet.
 */
#ifndef TICKFUSE_LIVE_CONTROL_H
#define TICKFUSE_LIVE_CONTROL_H

#include "tickfuse_live.h"

/* ---- Private parts ---------------------------------------------------------------------------------------------- */

/* What the model's answers are, to be given to free(). */
TICKFUSE_INLINE tickfuse_status tickfuse_live_outputs_of_(const tickfuse_model *model, tickfuse_output **out)
    TICKFUSE_NOEXCEPT {
    size_t n = tickfuse_model_n_outputs(model);
    tickfuse_output *outputs = (tickfuse_output *)calloc(n, sizeof *outputs);
    tickfuse_status status = outputs == NULL ? TICKFUSE_ERR_LIVE_MEMORY : TICKFUSE_OK;
    for (size_t i = 0; i < n && status == TICKFUSE_OK; i++) {
        outputs[i].size = sizeof *outputs;
        status = tickfuse_model_output(model, i, &outputs[i]);
    }
    if (status != TICKFUSE_OK) {
        free(outputs);
        return status;
    }
    *out = outputs;
    return TICKFUSE_OK;
}

/* Says whether the model's answers are the series' own. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_compare_outputs_(const tickfuse_live *live,
                                                               const tickfuse_model *model) TICKFUSE_NOEXCEPT {
    if (tickfuse_model_n_outputs(model) != live->n_outputs) {
        return TICKFUSE_ERR_LIVE_OUTPUTS;
    }
    tickfuse_output *outputs = NULL;
    tickfuse_status status = tickfuse_live_outputs_of_(model, &outputs);
    for (size_t i = 0; i < live->n_outputs && status == TICKFUSE_OK; i++) {
        const tickfuse_output *own = &live->outputs[i];
        const tickfuse_output *other = &outputs[i];
        int is_same = own->kind == other->kind && own->step == other->step && !(own->tau < other->tau)
                      && !(own->tau > other->tau) && strcmp(own->name, other->name) == 0
                      && strcmp(own->unit, other->unit) == 0;
        status = is_same ? TICKFUSE_OK : TICKFUSE_ERR_LIVE_OUTPUTS;
    }
    free(outputs);
    return status;
}

/* What the model's rows are, to be given to free(). */
TICKFUSE_INLINE tickfuse_status tickfuse_live_inputs_of_(const tickfuse_model *model, char **out) TICKFUSE_NOEXCEPT {
    size_t needed = 0;
    tickfuse_status status = tickfuse_model_inputs_json(model, NULL, 0, &needed);
    if (status != TICKFUSE_OK) {
        return status;
    }
    char *text = (char *)malloc(needed);
    if (text == NULL) {
        return TICKFUSE_ERR_LIVE_MEMORY;
    }
    status = tickfuse_model_inputs_json(model, text, needed, &needed);
    if (status != TICKFUSE_OK) {
        free(text);
        return status;
    }
    *out = text;
    return TICKFUSE_OK;
}

/* Says whether the model's rows are the series' own. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_compare_inputs_(const tickfuse_live *live,
                                                              const tickfuse_model *model) TICKFUSE_NOEXCEPT {
    char *inputs = NULL;
    tickfuse_status status = tickfuse_live_inputs_of_(model, &inputs);
    if (status == TICKFUSE_OK && strcmp(inputs, live->inputs) != 0) {
        status = TICKFUSE_ERR_LIVE_INPUTS;
    }
    free(inputs);
    return status;
}

/* Whether the model can follow the series' events and answers as its reader expects. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_suits_(const tickfuse_live *live,
                                                     const tickfuse_model *model) TICKFUSE_NOEXCEPT {
    tickfuse_status status = tickfuse_live_compare_outputs_(live, model);
    if (status != TICKFUSE_OK) {
        return status;
    }
    if (live->kind == TICKFUSE_LIVE_BARS) {
        return tickfuse_model_n_bars(model) == 0 ? TICKFUSE_ERR_RUN_NO_BARS : TICKFUSE_OK;
    }
    return tickfuse_live_compare_inputs_(live, model);
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

/* Lets the stream begin with the first event it needs, or the oldest that is not about to be overwritten. */
TICKFUSE_INLINE tickfuse_status tickfuse_live_begin_(const tickfuse_live *live,
                                                     tickfuse_live_offer_ *offer) TICKFUSE_NOEXCEPT {
    uint64_t head = __atomic_load_n(&live->head, __ATOMIC_ACQUIRE);
    uint64_t n = head < live->capacity ? head : live->capacity - live->capacity / 8;
    n = offer->n_needed < n ? offer->n_needed : n;
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

/* ---- What control calls ----------------------------------------------------------------------------------------- */

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
    tickfuse_status status = tickfuse_live_inputs_of_(model, &live->inputs);
    return status == TICKFUSE_OK ? tickfuse_live_outputs_of_(model, &live->outputs) : status;
}

/*
 * A series that begins: no thread is hot or control yet. The model may be freed at once.
 *
 * stream:  of the model, set up (category, contexts, missing bars), without rows; NULL: one as tickfuse_stream_new()
 *          makes it. It belongs to the series from here on, also after a failure.
 * options: may be NULL: a series of rows, everything at its default. A series outlives models: its ring should hold
 *          what the most demanding one to come needs.
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
 * Offers a stream of another model to the series. Takes as long as the replay, of tickfuse_model_lookback() rows
 * or tickfuse_model_n_bars() bars. The model may be freed at once.
 *
 * stream: as for tickfuse_live_new(), of this model.
 * tag:    any number, by which tickfuse_live_tag() tells hot which model answers.
 *
 * Refused is a model whose outputs are not those of the series by name, kind, level and unit; one whose inputs
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
 * Looks after an offer: frees the replaced stream once hot has returned it, and brings an offer up to date that has
 * fallen behind by more rows than hot replays itself. Called every now and then until the state is TICKFUSE_LIVE_TAKEN
 * or _IDLE. After a failure, which the hot thread does not notice, there is no offer and the state is _IDLE.
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
typedef tickfuse_status tickfuse_live_make(void *user, const tickfuse_model *model, size_t index,
                                           tickfuse_stream **out);

/*
 * Offers streams of one model to n series, which take them each at its own next bar: to all of them, or after a
 * failure to none. Every replay is done before the first offer is made.
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
