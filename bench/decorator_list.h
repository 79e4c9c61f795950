/* SPDX-License-Identifier: MIT
 * decorator_list.h - what can stand before an allocator, spelled NAME:ALLOCATOR wherever an
 * allocator is named. To add one: write decorator_NAME.c that defines decorate_NAME (decorator.h),
 * and add a line D(NAME, "what it does"). */
D(lock, "a lock around every call, so that several threads may share the pool")
D(slab, "slots of fixed sizes up to 112 B without headers, in buckets of 1 KiB")
