"""Names in a results folder, for those who write it and those who read it.

FOLDER/experiment.json     the experiment as it was last started
FOLDER/runs/NAME/          a run (`rounds`, or `daemons`)
"""

EXPERIMENT_FILE = "experiment.json"
RUNS = "runs"
