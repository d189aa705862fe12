"""Wall-clock and processor seconds of repeated work, under the names of this library's benchmark."""
import statistics
import time


def timed(work, reps):
    work()
    seconds = []
    processor = time.process_time()
    for _ in range(reps):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    share = (time.process_time() - processor) / sum(seconds)
    return dict(
        min_s=min(seconds), median_s=statistics.median(seconds), max_s=max(seconds), mean_s=statistics.mean(seconds), reps=reps,
        cpu_over_wall=share, all_s=seconds,
    )
