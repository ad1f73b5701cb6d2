// digits.cuh: a number in mixed radix, such as (tap row, tap column, channel) or (picture, row, column), that is counted up without dividing.
//   cost     two divisions to set it; an addition and a comparison to advance it by less than its last radix
#pragma once
#include "types.cuh"

struct Digits {
    int outer, middle, inner;

    __device__ __forceinline__ void set(int at, int middles, int inners) {
        inner = at % inners;
        middle = at / inners % middles;
        outer = at / inners / middles;
    }

    __device__ __forceinline__ void advance(int by, int middles, int inners) {
        inner += by;
        while (inner >= inners) {
            inner -= inners;
            if (++middle == middles) {
                middle = 0;
                outer++;
            }
        }
    }
};
