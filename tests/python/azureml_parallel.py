"""Several processes of one trial log at once."""
import multiprocessing
import sys

from azureml.core import Run


def work(rank, count):
    run = Run.get_context()
    for value in range(count):
        run.log("rank %d" % rank, value)


if __name__ == "__main__":
    ranks = [multiprocessing.Process(target=work, args=(rank, int(sys.argv[2]))) for rank in range(int(sys.argv[1]))]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
        assert process.exitcode == 0
