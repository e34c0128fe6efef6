// The lens's epilogue: panels of logits folded into running statistics. Part of kernels_body.h.
// Multiply and add are fused, but at the scalar level.

static inline void lens_offer(etd_lens_row_t *row, float value, int32_t id) {
    if (!(value > row->top_value[ETD_LENS_TOP - 1])) return;
    // Ids ascend, so an equal value that is already there has the lower id and stays ahead.
    int place = ETD_LENS_TOP - 1;
    while (place > 0 && value > row->top_value[place - 1]) {
        row->top_value[place] = row->top_value[place - 1];
        row->top_id[place] = row->top_id[place - 1];
        place--;
    }
    row->top_value[place] = value;
    row->top_id[place] = id;
}

static void lens_take_top(etd_lens_row_t *row, const float *z, int32_t first_id, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        // Most groups hold nothing that ranks.
        v16i ranks = load16(z + i) > row->top_value[ETD_LENS_TOP - 1];
        if (!__builtin_reduce_or(ranks)) continue;
        for (size_t lane = i; lane < i + LANES; lane++)
            lens_offer(row, z[lane], first_id + (int32_t)lane);
    }
    for (; i < count; i++) lens_offer(row, z[i], first_id + (int32_t)i);
}

typedef struct {
    v16f weight, shifted, difference, final_difference;
} lens_sums_t;

// `counts` has ones in the lanes whose weight counts.
static inline void lens_add(lens_sums_t *sums, v16f value, v16f final_value, v16f final_weight,
                            float highest, v16i counts) {
    v16f t = value - highest;
    v16f e = (v16f)((v16i)exp_not_positive16(t) & counts);
    v16f difference = value - final_value;
    sums->weight += e;
    sums->shifted = MULTIPLY_ADD(e, t, sums->shifted);
    sums->difference = MULTIPLY_ADD(e, difference, sums->difference);
    sums->final_difference = MULTIPLY_ADD(final_weight, difference, sums->final_difference);
}

// The first id whose logit is NaN or too large; -1 for none, as in a row whose sums only the final row
// spoils.
static int32_t lens_non_finite(const float *z, int32_t first_id, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!(z[i] <= ETD_LENS_LARGEST && z[i] >= -ETD_LENS_LARGEST)) return first_id + (int32_t)i;
    return -1;
}

static void lens_panel(etd_lens_row_t *states, const float *logits, size_t rows, size_t stride,
                       int32_t first_id, size_t count, int32_t target, float *scratch) {
    const float *final_logits = logits + (rows - 1) * stride;
    etd_lens_row_t *final_state = &states[rows - 1];

    // The final row's weights first: every row's KL(p_final‖p) needs them.
    float final_maximum = row_maximum(final_logits, count);
    if (final_state->maximum > final_maximum) final_maximum = final_state->maximum;
    double final_correction =
        final_state->sum > 0 ? exp((double)final_state->maximum - (double)final_maximum) : 0;
    for (size_t i = 0; i < count; i++) scratch[i] = final_logits[i] - final_maximum;
    exp_row(scratch, scratch, count);

    for (size_t r = 0; r < rows; r++) {
        const float *z = logits + r * stride;
        etd_lens_row_t *row = &states[r];
        float panel_maximum = row_maximum(z, count);
        if (panel_maximum > row->top_value[ETD_LENS_TOP - 1])
            lens_take_top(row, z, first_id, count);
        float highest = panel_maximum > row->maximum ? panel_maximum : row->maximum;
        lens_sums_t sums = {};
        size_t i = 0;
        for (; i + LANES <= count; i += LANES)
            lens_add(&sums, load16(z + i), load16(final_logits + i), load16(scratch + i), highest,
                     (v16i){} - 1);
        if (i < count) {
            size_t rest = count - i;
            v16i counts = lane_numbers < (int32_t)rest;
            lens_add(&sums, load_part(z + i, rest, highest),
                     load_part(final_logits + i, rest, highest), load_part(scratch + i, rest, 0),
                     highest, counts);
        }
        float weight = sum_lanes(sums.weight), shifted = sum_lanes(sums.shifted);
        float difference = sum_lanes(sums.difference);
        float final_difference = sum_lanes(sums.final_difference);
        // A NaN in a row makes its weight NaN, +Inf too, and -Inf makes `shifted` infinite.
        if (row->non_finite_id < 0 && !isfinite(weight + shifted + difference + final_difference))
            row->non_finite_id = lens_non_finite(z, first_id, count);
        double correction = 0;
        if (row->sum > 0)
            correction = highest > row->maximum
                             ? exp((double)row->maximum - (double)highest) : 1;
        double moved = row->sum > 0 ? (double)row->maximum - (double)highest : 0;
        row->sum_shifted =
            correction * (row->sum_shifted + moved * row->sum) + (double)shifted;
        row->sum_difference =
            correction * row->sum_difference + (double)difference;
        row->final_difference =
            final_correction * row->final_difference - (double)final_difference;
        row->sum = correction * row->sum + (double)weight;
        row->maximum = highest;
        if (target >= first_id && (size_t)(target - first_id) < count)
            row->target_logit = z[target - first_id];
    }
}
