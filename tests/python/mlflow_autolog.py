"""scikit-learn autologging, then the score after the autologged run was closed; and a registered model."""
import sys

import mlflow
import mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

features, labels = load_iris(return_X_y=True)
train, test, train_labels, test_labels = train_test_split(features, labels, random_state=1)
mlflow.sklearn.autolog()
model = LogisticRegression(max_iter=200).fit(train, train_labels)
mlflow.log_metric("test accuracy", model.score(test, test_labels))
if "--register" in sys.argv:
    mlflow.sklearn.log_model(model, name="by hand", registered_model_name="iris")
    again = mlflow.sklearn.load_model("models:/iris/1")
    assert (again.predict(test) == model.predict(test)).all()
print("autolog ok", mlflow.__version__)
