"""What MLflow's client does with a run's artifacts in S3; ends with "all of it".

Arguments: the s3:// location of the experiment's artifacts, a directory for the tracking files and the downloads, a tree of
files to log.
"""

import pathlib
import sys

import mlflow

location, place, tree = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
mlflow.set_tracking_uri((place / "tracking").as_uri())
experiment = mlflow.create_experiment("firn", artifact_location=location)

with mlflow.start_run(experiment_id=experiment) as run:
    mlflow.log_artifacts(str(tree), artifact_path="model")
    mlflow.log_text("learning rate 0.1", "notes/run.txt")
    mlflow.log_dict({"loss": 0.25}, "metrics.json")

client = mlflow.MlflowClient()
listed = client.list_artifacts(run.info.run_id)
assert sorted((found.path, found.is_dir) for found in listed) == [
    ("metrics.json", False),
    ("model", True),
    ("notes", True),
], listed
(note,) = client.list_artifacts(run.info.run_id, "notes")
assert (note.path, note.file_size) == ("notes/run.txt", 17), note
assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/run.txt") == "learning rate 0.1"
assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/metrics.json") == {"loss": 0.25}
(place / "back").mkdir()
mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="model", dst_path=str(place / "back"))
print("all of it")
