// What the machine code of a target says of itself: the instruction sets that its compiler was allowed to use, by the
// names of runtime/src/cpu_features.cpp. The runtime compares them with the machine's, whatever the manifest claims.
// Included by one source of an image.
#ifndef GSIC_CODE_FEATURES_H
#define GSIC_CODE_FEATURES_H

extern "C" const char gsic_code_features[] =
    ""
#if defined(__SSE3__)
    " sse3"
#endif
#if defined(__SSSE3__)
    " ssse3"
#endif
#if defined(__SSE4_1__)
    " sse4.1"
#endif
#if defined(__SSE4_2__)
    " sse4.2"
#endif
#if defined(__POPCNT__)
    " popcnt"
#endif
#if defined(__AVX__)
    " avx"
#endif
#if defined(__AVX2__)
    " avx2"
#endif
#if defined(__FMA__)
    " fma"
#endif
#if defined(__F16C__)
    " f16c"
#endif
#if defined(__BMI__)
    " bmi"
#endif
#if defined(__BMI2__)
    " bmi2"
#endif
#if defined(__AVX512F__)
    " avx512f"
#endif
#if defined(__AVX512BW__)
    " avx512bw"
#endif
#if defined(__AVX512VL__)
    " avx512vl"
#endif
#if defined(__AVX512DQ__)
    " avx512dq"
#endif
#if defined(__AVX512CD__)
    " avx512cd"
#endif
#if defined(__AVX512VBMI__)
    " avx512vbmi"
#endif
#if defined(__AVX512VBMI2__)
    " avx512vbmi2"
#endif
#if defined(__AVX512VNNI__)
    " avx512vnni"
#endif
#if defined(__AVX512BF16__)
    " avx512bf16"
#endif
#if defined(__AVX512BITALG__)
    " avx512bitalg"
#endif
#if defined(__AVX512VPOPCNTDQ__)
    " avx512vpopcntdq"
#endif
    ;

#endif
