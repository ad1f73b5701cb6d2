# The device header of shim/, joined, inside the library: it needs no files of its own where it runs.
    .section .rodata
    .globl  emu_shim, emu_shim_end
    .hidden emu_shim, emu_shim_end
emu_shim:
    .incbin "shim/builtins.h"
    .incbin "shim/vectors.h"
    .incbin "shim/math.h"
    .incbin "shim/warp.h"
    .incbin "shim/atomics.h"
    .incbin "shim/entry.h"
emu_shim_end:
    .byte   0
    .section .note.GNU-stack, "", @progbits
