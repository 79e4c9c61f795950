/* SPDX-License-Identifier: MIT
 * gbench_shim.cc - see gbench_shim.h. A run is a benchmark::State under another name. Google
 * Benchmark itself ends with status 0 whatever failed, so failures are remembered here. */
#include "gbench_shim.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <string>

static bool failed;

static benchmark::State &state_of(gbench_run *run) {
    return *reinterpret_cast<benchmark::State *>(run);
}

void gbench_begin(int *argc, char **argv, void (*help)(void)) {
    benchmark::Initialize(argc, argv, help);
}

void gbench_flags_help(void) {
    benchmark::PrintDefaultHelp();
}

void gbench_add(const char *name, gbench_fn *fn, void *ctx, enum gbench_clock clock) {
    auto *added = benchmark::RegisterBenchmark(name, [fn, ctx](benchmark::State &state) {
        fn(reinterpret_cast<gbench_run *>(&state), ctx);
    });
    if (clock == GBENCH_CLOCK_OWN) {
        added->UseManualTime();
    }
}

void gbench_context(const char *key, const char *value) {
    benchmark::AddCustomContext(key, value);
}

int gbench_run_all(void) {
    size_t count = benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return count == 0 ? 2 : failed ? 1 : 0;
}

bool gbench_more(gbench_run *run, uint64_t ops) {
    return state_of(run).KeepRunningBatch(static_cast<benchmark::IterationCount>(ops));
}

void gbench_pause(gbench_run *run) {
    state_of(run).PauseTiming();
}

void gbench_resume(gbench_run *run) {
    state_of(run).ResumeTiming();
}

void gbench_took(gbench_run *run, double seconds) {
    state_of(run).SetIterationTime(seconds);
}

void gbench_count(gbench_run *run, const char *name, double value) {
    if (std::isfinite(value) && value != 0) {
        state_of(run).counters[name] = value;
    }
}

void gbench_fail(gbench_run *run, const char *why) {
    failed = true;
    state_of(run).SkipWithError(why);
}

void gbench_skip(gbench_run *run, const char *why) {
    state_of(run).SkipWithError((std::string("skipped: ") + why).c_str());
}
