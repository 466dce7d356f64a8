"""Trains a neural network on scikit-learn's digits and logs its accuracy after each epoch.

Written for Azure ML: it knows `azureml.core` and nothing of overdrive.
"""

import argparse
import os

import joblib
import numpy as np
from azureml.core import Run
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=0.001)
parser.add_argument("--hidden_units", type=int, default=32)
parser.add_argument("--alpha", type=float, default=0.0001)
parser.add_argument("--batch_size", type=int, default=32)
parser.add_argument("--epochs", type=int, default=20)
arguments = parser.parse_args()

run = Run.get_context()

images, labels = load_digits(return_X_y=True)
train_images, test_images, train_labels, test_labels = train_test_split(
    images, labels, test_size=0.3, random_state=0, stratify=labels
)
scaler = StandardScaler().fit(train_images)
train_images, test_images = scaler.transform(train_images), scaler.transform(test_images)

model = MLPClassifier(
    hidden_layer_sizes=(arguments.hidden_units,),
    learning_rate_init=arguments.learning_rate,
    alpha=arguments.alpha,
    batch_size=arguments.batch_size,
    random_state=0,
)
classes = np.unique(labels)
for epoch in range(arguments.epochs):
    model.partial_fit(train_images, train_labels, classes=classes)
    run.log("accuracy", model.score(test_images, test_labels))
    run.log("loss", model.loss_)

os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.pkl")
