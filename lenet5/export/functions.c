/* Functions that exported networks call. lenet5/export/c_text.py copies those that a network needs into its file. */

//: convolution
typedef struct {
    int maps, height, width, out, out_height, out_width, kernel_height, kernel_width, down, right, top, left;
    const uint16_t *starts, *inputs; /* output map o has kernels starts[o] to starts[o + 1] - 1; null: all kernels */
    const float *weight, *bias;
} convolution;

//: sparse
typedef struct {
    int out, out_height, out_width, width, down, right;
    const uint16_t *starts; /* output map o has weights starts[o] to starts[o + 1] - 1 */
    const uint8_t *inputs;  /* distance of each weight's input from that of the previous weight */
    const float *weight, *bias;
} sparse;

//: pooling
typedef struct {
    int maps, height, width, out_height, out_width, size, stride, maximum;
    const float *scale, *shift;
} pooling;

//: prepare
/* Converts grey levels to step * level + low, and surrounds the image with a frame of the value low. */
static void prepare(const uint8_t *image, float *x, int channels, int height, int width, int top, int left, int bottom,
                    int right, float low, float step)
{
    int c, r, s;
    for (c = 0; c < channels; c++)
        for (r = -top; r < height + bottom; r++)
            for (s = -left; s < width + right; s++, x++) {
                int inside = r >= 0 && r < height && s >= 0 && s < width;
                *x = inside ? step * (float)image[(r * width + s) * channels + c] + low : low;
            }
}

//: convolve
/* y[o] = bias[o] + sum of weight * x over the kernels of output map o; x is padded with zeros. */
static void convolve(const convolution *k, const float *x, float *y)
{
    int o, r, s, n, i, j, taps = k->kernel_height * k->kernel_width;
    for (o = 0; o < k->out; o++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++, y++) {
                float sum = k->bias[o];
                int first = k->starts ? k->starts[o] : o * k->maps, end = k->starts ? k->starts[o + 1] : first + k->maps;
                for (n = first; n < end; n++) {
                    int input = k->inputs ? k->inputs[n] : n - first;
                    const float *map = x + input * k->height * k->width, *w = k->weight + n * taps;
                    for (i = 0; i < k->kernel_height; i++) {
                        int row = r * k->down + i - k->top;
                        if (row < 0 || row >= k->height)
                            continue;
                        for (j = 0; j < k->kernel_width; j++) {
                            int column = s * k->right + j - k->left;
                            if (column >= 0 && column < k->width)
                                sum += w[i * k->kernel_width + j] * map[row * k->width + column];
                        }
                    }
                }
                *y = sum;
            }
}

//: convolve_sparse
/* Like convolve, for single weights instead of kernels; all windows must lie within x. */
static void convolve_sparse(const sparse *k, const float *x, float *y)
{
    int o, r, s, n;
    for (o = 0; o < k->out; o++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++) {
                const float *at = x + r * k->down * k->width + s * k->right;
                float sum = k->bias[o];
                for (n = k->starts[o]; n < k->starts[o + 1]; n++) {
                    at += k->inputs[n];
                    sum += k->weight[n] * *at;
                }
                *y++ = sum;
            }
}

//: pool
/* y[c] = scale[c] * (sum or maximum of each window of x[c]) + shift[c]. Works in place: y overwrites only values of x
   that no later window contains. */
static void pool(const pooling *k, float *x)
{
    int c, r, s, i, j;
    float *y = x;
    for (c = 0; c < k->maps; c++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++) {
                const float *window = x + (c * k->height + r * k->stride) * k->width + s * k->stride;
                float value = k->maximum ? window[0] : 0.0f;
                for (i = 0; i < k->size; i++)
                    for (j = 0; j < k->size; j++) {
                        float cell = window[i * k->width + j];
                        value = k->maximum ? (cell > value ? cell : value) : value + cell;
                    }
                *y++ = k->scale[c] * value + k->shift[c];
            }
}

//: connect
/* y = weight x + bias. */
static void connect(const float *weight, const float *bias, int inputs, int units, const float *x, float *y)
{
    int o, d;
    for (o = 0; o < units; o++) {
        float sum = bias[o];
        for (d = 0; d < inputs; d++)
            sum += weight[o * inputs + d] * x[d];
        y[o] = sum;
    }
}

//: distances
/* y[i] = squared distance of x from code i. */
static void distances(const float *codes, int cells, int classes, const float *x, float *y)
{
    int i, d;
    for (i = 0; i < classes; i++) {
        float sum = 0.0f;
        for (d = 0; d < cells; d++)
            sum += (x[d] - codes[i * cells + d]) * (x[d] - codes[i * cells + d]);
        y[i] = sum;
    }
}

//: normalise
static void normalise(const float *scale, const float *shift, int maps, int cells, float *x)
{
    int c, p;
    for (c = 0; c < maps; c++)
        for (p = 0; p < cells; p++, x++)
            *x = scale[c] * *x + shift[c];
}

//: squash_tanh
static void squash_tanh(int cells, float amplitude, float slope, float *x)
{
    int p;
    for (p = 0; p < cells; p++)
        x[p] = amplitude * tanhf(slope * x[p]);
}

//: squash_sigmoid
static void squash_sigmoid(int cells, float *x)
{
    int p;
    for (p = 0; p < cells; p++)
        x[p] = 0.5f + 0.5f * tanhf(0.5f * x[p]);
}

//: squash_relu
static void squash_relu(int cells, float *x)
{
    int p;
    for (p = 0; p < cells; p++)
        x[p] = x[p] < 0.0f ? 0.0f : x[p];
}

//: squash_leaky_relu
static void squash_leaky_relu(int cells, float alpha, float *x)
{
    int p;
    for (p = 0; p < cells; p++)
        x[p] = x[p] > 0.0f ? x[p] : alpha * x[p];
}

//: squash_elu
static void squash_elu(int cells, float alpha, float *x)
{
    int p;
    for (p = 0; p < cells; p++)
        x[p] = x[p] > 0.0f ? x[p] : alpha * expm1f(x[p]);
}

//: squash_prelu
static void squash_prelu(const float *slopes, int maps, int cells, float *x)
{
    int c, p;
    for (c = 0; c < maps; c++)
        for (p = 0; p < cells; p++, x++)
            *x = *x > 0.0f ? *x : slopes[c] * *x;
}

//: pad
static void pad(int maps, int height, int width, int top, int left, int bottom, int right, const float *x, float *y)
{
    int c, r, s;
    for (c = 0; c < maps; c++)
        for (r = -top; r < height + bottom; r++)
            for (s = -left; s < width + right; s++)
                *y++ = r >= 0 && r < height && s >= 0 && s < width ? x[(c * height + r) * width + s] : 0.0f;
}

//: copy
static void copy(int maps, int copies, int cells, const float *x, float *y)
{
    int c, k, p;
    for (c = 0; c < maps; c++)
        for (k = 0; k < copies; k++)
            for (p = 0; p < cells; p++)
                *y++ = x[c * cells + p];
}

//: finish
typedef struct {
    const int32_t *multiplier, *below, *bias; /* per output map; `below` multiplies negative sums */
    const int8_t *table;                      /* 1024 values of a squashing function, or null */
    int zero, shift;
} finish;

//: convolution_q
typedef struct {
    int maps, height, width, out, out_height, out_width, kernel_height, kernel_width, down, right, top, left;
    const uint16_t *starts, *inputs; /* output map o has kernels starts[o] to starts[o + 1] - 1; null: all kernels */
    const int8_t *weight;
} convolution_q;

//: sparse_q
typedef struct {
    int out, out_height, out_width, width, down, right;
    const uint16_t *starts; /* output map o has weights starts[o] to starts[o + 1] - 1 */
    const uint8_t *inputs;  /* distance of each weight's input from that of the previous weight */
    const int8_t *weight;
} sparse_q;

//: pooling_q
typedef struct {
    int maps, height, width, out_height, out_width, size, stride;
} pooling_q;

//: finished
/* zero + (sum + bias) * multiplier / 2^shift, rounded and clipped to 8 bits. If there is a table, the result is clipped
   to its indices instead, and the entry is returned. */
static int8_t finished(const finish *f, int map, int32_t sum)
{
    const int64_t far = (int64_t)1 << 62, half = (int64_t)1 << (f->shift - 1); /* far: no negative value is shifted */
    const int64_t least = f->table ? 0 : -128, most = f->table ? 1023 : 127;
    int64_t v = (int64_t)sum + f->bias[map];
    v *= v < 0 ? f->below[map] : f->multiplier[map];
    v = ((v + half + far) >> f->shift) - (far >> f->shift) + f->zero;
    v = v < least ? least : v > most ? most : v;
    return f->table ? f->table[v] : (int8_t)v;
}

//: prepare_q
static void prepare_q(const uint8_t *image, int8_t *x, int channels, int height, int width, int top, int left, int bottom,
                      int right, const int8_t *levels)
{
    int c, r, s;
    for (c = 0; c < channels; c++)
        for (r = -top; r < height + bottom; r++)
            for (s = -left; s < width + right; s++) {
                int inside = r >= 0 && r < height && s >= 0 && s < width;
                *x++ = levels[inside ? image[(r * width + s) * channels + c] : 0];
            }
}

//: convolve_q
/* y = finished sums of weight * (x - zero) over the kernels of each output map; `zero` represents 0 in x. */
static void convolve_q(const convolution_q *k, const finish *f, int zero, const int8_t *x, int8_t *y)
{
    int o, r, s, n, i, j, taps = k->kernel_height * k->kernel_width;
    for (o = 0; o < k->out; o++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++) {
                int32_t sum = 0;
                int first = k->starts ? k->starts[o] : o * k->maps, end = k->starts ? k->starts[o + 1] : first + k->maps;
                for (n = first; n < end; n++) {
                    int input = k->inputs ? k->inputs[n] : n - first;
                    const int8_t *map = x + input * k->height * k->width, *w = k->weight + n * taps;
                    for (i = 0; i < k->kernel_height; i++) {
                        int row = r * k->down + i - k->top;
                        if (row < 0 || row >= k->height)
                            continue;
                        for (j = 0; j < k->kernel_width; j++) {
                            int column = s * k->right + j - k->left;
                            if (column >= 0 && column < k->width)
                                sum += w[i * k->kernel_width + j] * (map[row * k->width + column] - zero);
                        }
                    }
                }
                *y++ = finished(f, o, sum);
            }
}

//: convolve_sparse_q
/* Like convolve_q, for single weights instead of kernels; all windows must lie within x. */
static void convolve_sparse_q(const sparse_q *k, const finish *f, int zero, const int8_t *x, int8_t *y)
{
    int o, r, s, n;
    for (o = 0; o < k->out; o++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++) {
                const int8_t *at = x + r * k->down * k->width + s * k->right;
                int32_t sum = 0;
                for (n = k->starts[o]; n < k->starts[o + 1]; n++) {
                    at += k->inputs[n];
                    sum += k->weight[n] * (*at - zero);
                }
                *y++ = finished(f, o, sum);
            }
}

//: pool_q
/* y = finished sums of x - zero over windows. Works in place, like pool. */
static void pool_q(const pooling_q *k, const finish *f, int zero, int8_t *x)
{
    int c, r, s, i, j;
    int8_t *y = x;
    for (c = 0; c < k->maps; c++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++) {
                const int8_t *window = x + (c * k->height + r * k->stride) * k->width + s * k->stride;
                int32_t sum = 0;
                for (i = 0; i < k->size; i++)
                    for (j = 0; j < k->size; j++)
                        sum += window[i * k->width + j] - zero;
                *y++ = finished(f, c, sum);
            }
}

//: maximum_q
static void maximum_q(const pooling_q *k, int8_t *x)
{
    int c, r, s, i, j;
    int8_t *y = x;
    for (c = 0; c < k->maps; c++)
        for (r = 0; r < k->out_height; r++)
            for (s = 0; s < k->out_width; s++) {
                const int8_t *window = x + (c * k->height + r * k->stride) * k->width + s * k->stride;
                int8_t best = window[0];
                for (i = 0; i < k->size; i++)
                    for (j = 0; j < k->size; j++)
                        best = window[i * k->width + j] > best ? window[i * k->width + j] : best;
                *y++ = best;
            }
}

//: rescale_q
static void rescale_q(const finish *f, int zero, int maps, int cells, int8_t *x)
{
    int c, p;
    for (c = 0; c < maps; c++)
        for (p = 0; p < cells; p++, x++)
            *x = finished(f, c, *x - zero);
}

//: dot_q
static int32_t dot_q(const int8_t *weight, const int8_t *x, int zero, int inputs)
{
    int32_t sum = 0;
    int d;
    for (d = 0; d < inputs; d++)
        sum += weight[d] * (x[d] - zero);
    return sum;
}

//: connect_q
static void connect_q(const int8_t *weight, const finish *f, int zero, int inputs, int units, const int8_t *x, int8_t *y)
{
    int o;
    for (o = 0; o < units; o++)
        y[o] = finished(f, o, dot_q(weight + o * inputs, x, zero, inputs));
}

//: connect_last_q
static void connect_last_q(const int8_t *weight, const float *scale, const float *bias, int zero, int inputs, int units,
                           const int8_t *x, float *out)
{
    int o;
    for (o = 0; o < units; o++)
        out[o] = scale[o] * (float)dot_q(weight + o * inputs, x, zero, inputs) + bias[o];
}

//: distances_q
/* out[i] = scale * squared distance of x - zero from code i; the codes are integers in the units of x. */
static void distances_q(const int8_t *codes, float scale, int zero, int cells, int classes, const int8_t *x, float *out)
{
    int i, d;
    for (i = 0; i < classes; i++) {
        int32_t sum = 0;
        for (d = 0; d < cells; d++) {
            int32_t apart = x[d] - zero - codes[i * cells + d];
            sum += apart * apart;
        }
        out[i] = scale * (float)sum;
    }
}

//: values_q
static void values_q(float scale, int zero, int cells, const int8_t *x, float *out)
{
    int p;
    for (p = 0; p < cells; p++)
        out[p] = scale * (float)(x[p] - zero);
}

//: pad_q
static void pad_q(int maps, int height, int width, int top, int left, int bottom, int right, int zero, const int8_t *x,
                  int8_t *y)
{
    int c, r, s;
    for (c = 0; c < maps; c++)
        for (r = -top; r < height + bottom; r++)
            for (s = -left; s < width + right; s++) {
                int inside = r >= 0 && r < height && s >= 0 && s < width;
                *y++ = inside ? x[(c * height + r) * width + s] : (int8_t)zero;
            }
}

//: copy_q
static void copy_q(int maps, int copies, int cells, const int8_t *x, int8_t *y)
{
    int c, k, p;
    for (c = 0; c < maps; c++)
        for (k = 0; k < copies; k++)
            for (p = 0; p < cells; p++)
                *y++ = x[c * cells + p];
}
