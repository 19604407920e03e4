"""Ray Serve with `serve.batch`: `python ray_app.py`. Annotations are evaluated: FastAPI reads those of a class that Ray sends to another process."""

import signal

import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from reference import MAX_BATCH, PORT, WAIT_SECONDS, Reference

app = FastAPI()


class Body(BaseModel):
    """One text."""

    text: str


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0})
@serve.ingress(app)
class Classifier:
    """The model behind POST /classify {"text": …}."""

    def __init__(self) -> None:
        self.model = Reference()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=WAIT_SECONDS)
    async def batch(self, texts: list[str]) -> list[list[float]]:
        """A batch."""
        return self.model(texts)

    @app.post("/classify")
    async def classify(self, body: Body) -> dict[str, list[float]]:
        """One request."""
        return {"probabilities": await self.batch(body.text)}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 << 20, configure_logging=False)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(Classifier.bind())
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
