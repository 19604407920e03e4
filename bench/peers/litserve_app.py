"""LitServe with dynamic batching: `python litserve_app.py`."""

from __future__ import annotations

import litserve
from reference import MAX_BATCH, PORT, WAIT_SECONDS, Reference


class Classifier(litserve.LitAPI):
    """The model behind POST /predict {"text": …}."""

    def setup(self, device: str) -> None:  # noqa: ARG002  # LitServe's signature
        """Load it."""
        self.model = Reference()

    def decode_request(self, request: dict[str, str]) -> str:
        """The text."""
        return request["text"]

    def predict(self, x: list[str]) -> list[list[float]]:
        """A batch."""
        return self.model(list(x))

    def encode_response(self, output: list[float]) -> dict[str, list[float]]:
        """The answer."""
        return {"probabilities": output}


if __name__ == "__main__":
    api = Classifier(max_batch_size=MAX_BATCH, batch_timeout=WAIT_SECONDS)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning"
    )
