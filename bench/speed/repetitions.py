"""Wall-clock seconds of repeated work, under the names of this library's benchmark."""
import statistics
import time


def timed(work, reps):
    work()
    seconds = []
    for _ in range(reps):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return dict(min_s=min(seconds), median_s=statistics.median(seconds), max_s=max(seconds), mean_s=statistics.mean(seconds), reps=reps, all_s=seconds)
