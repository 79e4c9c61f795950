/* SPDX-License-Identifier: MIT
 *
 * tlsf.c - two-level segregated fit, nothing before it and nothing put off: the tightest bounds.
 * The algorithm: tlsf_index.h.
 */
#include "tlsf_index.h"

extern const struct alloc_ops tlsf_ops;

static const struct heap_index_ops tlsf_index_ops = TLSF_INDEX(tlsf_ops);

HEAP_DEFINE(tlsf, HEAP_OWN, TLSF_CAPS,
            "two-level segregated fit, good fit among 3; all operations in constant time")
