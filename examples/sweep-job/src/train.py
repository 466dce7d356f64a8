"""Cross-validates a support vector machine on iris and logs the result with MLflow."""

import argparse

import mlflow
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

parser = argparse.ArgumentParser()
parser.add_argument("--C", type=float, default=1.0)
parser.add_argument("--kernel", default="rbf")
arguments = parser.parse_args()

features, labels = load_iris(return_X_y=True)
model = make_pipeline(StandardScaler(), SVC(C=arguments.C, kernel=arguments.kernel))
scores = cross_val_score(model, features, labels, cv=5)
for fold, score in enumerate(scores):
    mlflow.log_metric("fold_accuracy", float(score), step=fold)
mlflow.log_metric("accuracy", float(scores.mean()))
