// The one loop that the page spends its time in: a convolution, or a fully connected layer, with what follows it.
//
// Feature maps are [row][pixel][channel], with a border of zeros where the kernel looks beyond the edge. One pass makes
// `height` x `width` output pixels of `n` channels, n a multiple of 8:
//
//     y = leak(scale * sum over taps (x * weight) + shift),   leak(v) = max(v, slope * v)
//
// Weights lie as panels [n / 8][taps * run][8]; `run` is the number of floats in one row of the kernel, which are
// neighbours in x. Strides are in floats, so that one pass can fill every second pixel of a larger map.

typedef float v4 __attribute__((vector_size(16), aligned(4)));
typedef int mask4 __attribute__((vector_size(16)));

#define LOAD(p) (*(const v4 *)(p))
#define SPLAT(f) ((v4){(f), (f), (f), (f)})

static inline v4 leak(v4 v, v4 slope) {
    v4 low = v * slope;
    mask4 above = v > low;
    return (v4)(((mask4)v & above) | ((mask4)low & ~above));
}

static inline __attribute__((always_inline)) void pixels(
    int count, const float *x, int xrow, int xpixel, const float *panel, int taps, int run,
    float *y, int ypixel, const float *scale, const float *shift, float slope
) {
    v4 sum[4][2];
    for (int i = 0; i < count; i++) sum[i][0] = sum[i][1] = SPLAT(0);
    for (int tap = 0; tap < taps; tap++, x += xrow)
        for (int q = 0; q < run; q++, panel += 8) {
            v4 w0 = LOAD(panel), w1 = LOAD(panel + 4);
#pragma clang loop unroll(full)
            for (int i = 0; i < count; i++) {
                v4 value = SPLAT(x[i * xpixel + q]);
                sum[i][0] += value * w0;
                sum[i][1] += value * w1;
            }
        }
    for (int i = 0; i < count; i++)
        for (int half = 0; half < 2; half++)
            *(v4 *)(y + i * ypixel + 4 * half) =
                leak(sum[i][half] * LOAD(scale + 4 * half) + LOAD(shift + 4 * half), SPLAT(slope));
}

__attribute__((export_name("convolve"))) void convolve(
    const float *x, int xrow, int xpixel, const float *panels, int taps, int run,
    float *y, int yrow, int ypixel, const float *scale, const float *shift, float slope,
    int height, int width, int n
) {
    for (int o = 0; o < n; o += 8, panels += 8 * taps * run)
        for (int row = 0; row < height; row++) {
            const float *from = x + row * xrow;
            float *to = y + row * yrow + o;
            int j = 0;
            for (; j + 4 <= width; j += 4, from += 4 * xpixel, to += 4 * ypixel)
                pixels(4, from, xrow, xpixel, panels, taps, run, to, ypixel, scale + o, shift + o, slope);
            for (; j < width; j++, from += xpixel, to += ypixel)
                pixels(1, from, xrow, xpixel, panels, taps, run, to, ypixel, scale + o, shift + o, slope);
        }
}
