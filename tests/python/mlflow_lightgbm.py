"""Boosting with autologging: a batch of metrics for each round."""
import lightgbm
import mlflow
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

features, labels = load_iris(return_X_y=True)
train, test, train_labels, test_labels = train_test_split(features, labels, random_state=1)
mlflow.lightgbm.autolog(log_models=False)
data = lightgbm.Dataset(train, label=train_labels)
lightgbm.train(
    {"objective": "multiclass", "num_class": 3, "metric": "multi_logloss", "num_leaves": 4, "verbose": -1, "num_threads": 1},
    data, num_boost_round=16, valid_sets=[data.create_valid(test, label=test_labels)], valid_names=["test"],
)
print("lightgbm ok", mlflow.__version__)
