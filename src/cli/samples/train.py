"""Logistic regression by stochastic gradient descent, in plain Python; prints its validation loss after each epoch."""

import argparse
import math
import random

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, required=True)
parser.add_argument("--momentum", type=float, required=True)
parser.add_argument("--batch_size", type=int, required=True)
arguments = parser.parse_args()

generator = random.Random(0)
truth = [2.0, -1.0, 0.5, 0.0, -3.0]


def sample():
    features = [generator.gauss(0, 1) for _ in truth]
    score = sum(w * x for w, x in zip(truth, features)) + generator.gauss(0, 1)
    return features, 1.0 if score > 0 else 0.0


def probability(weights, features):
    score = sum(w * x for w, x in zip(weights, features))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))


train, validation = [sample() for _ in range(1000)], [sample() for _ in range(500)]
weights, velocity = [0.0] * len(truth), [0.0] * len(truth)
for epoch in range(15):
    generator.shuffle(train)
    for start in range(0, len(train), arguments.batch_size):
        batch = train[start : start + arguments.batch_size]
        gradient = [0.0] * len(truth)
        for features, label in batch:
            error = probability(weights, features) - label
            gradient = [g + error * x / len(batch) for g, x in zip(gradient, features)]
        velocity = [arguments.momentum * v - arguments.learning_rate * g for v, g in zip(velocity, gradient)]
        weights = [w + v for w, v in zip(weights, velocity)]
    loss = 0.0
    for features, label in validation:
        p = min(max(probability(weights, features), 1e-12), 1 - 1e-12)
        loss -= (label * math.log(p) + (1 - label) * math.log(1 - p)) / len(validation)
    print(f"epoch {epoch} loss={loss:.6f}", flush=True)
