"""What TensorBoard itself reads of a run's event files: python bench/reliability/read_events.py FOLDER [TAG] (pip install tensorboard)"""
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder, *tags = sys.argv[1:]
accumulator = EventAccumulator(folder, size_guidance={"scalars": 0})
accumulator.Reload()
for tag in tags or accumulator.Tags()["scalars"]:
    scalars = accumulator.Scalars(tag)
    print(tag, len(scalars), "values, steps", scalars[0].step, "to", scalars[-1].step, "last", scalars[-1].value)
