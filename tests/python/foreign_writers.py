"""Real writers of other tools; argument 1 says which."""
import os
import sys

which = sys.argv[1]
if which == "tensorboardx":
    from tensorboardX import SummaryWriter

    with SummaryWriter("logs") as writer:
        for step in range(5):
            writer.add_scalar("acc", step / 10, step)
elif which == "wandb":
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=".")
    import wandb

    with wandb.init(project="p") as run:
        for step in range(5):
            run.log({"acc": step / 10})
elif which == "hypertune":
    import hypertune

    reporter = hypertune.HyperTune()
    for step in range(5):
        reporter.report_hyperparameter_tuning_metric("acc", step / 10, global_step=step)
elif which == "nni":
    import nni

    parameters = nni.get_next_parameter()
    assert parameters == {"lr": 0.5, "units": 3}, parameters
    for step in range(4):
        nni.report_intermediate_result(step / 10)
    nni.report_final_result({"default": 0.4, "loss": 2.0})
elif which == "file_store":
    os.environ.pop("MLFLOW_RUN_ID", None)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    os.environ.pop("MLFLOW_EXPERIMENT_NAME", None)
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    import mlflow

    mlflow.set_tracking_uri("file://" + os.path.abspath("mlruns"))
    for step in range(5):
        mlflow.log_metric("acc", step / 10, step=step)
else:
    raise SystemExit("unknown writer " + which)
