# void emu_switch(void** save, void* to): leaves this stack for another.
#   rdi  where to keep the stack pointer of the one that is left;  rsi  the stack pointer to go on from
# Only what the System V ABI says a callee keeps is saved: six registers and the return address, some 4 ns.
# The floating-point modes are the same in all fibers. A new stack holds six zeros and fiber_main (fibers.cpp).
    .text
    .globl  emu_switch
    .hidden emu_switch
    .type   emu_switch, @function
emu_switch:
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    popq    %rcx
    jmpq    *%rcx
    .size   emu_switch, .-emu_switch
    .section .note.GNU-stack, "", @progbits
