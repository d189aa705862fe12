// Include last: from here on, a multiplication and an addition are rounded one after the other, never as one.
#ifdef __clang__
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
