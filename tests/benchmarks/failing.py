"""A worker of benchmarks that asks for more than it was told."""

from benchmarks import workers

if __name__ == "__main__":
    workers.serve(lambda spec: spec["threads"])
