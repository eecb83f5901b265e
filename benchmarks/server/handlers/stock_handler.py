"""A handler like those of TorchServe's examples: a BaseHandler around an eager fp32 model.

It resizes pictures one by one with torchvision's transforms, pads titles to the maximum length and returns dicts, which
TorchServe turns into JSON. ``model-config.yaml`` names the pickled model, the tokenizer, the labels and this repository
under ``handler``.
"""

import base64
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from tokenizers import Tokenizer
from torchvision import transforms
from ts.torch_handler.base_handler import BaseHandler


class StockHandler(BaseHandler):  # type: ignore[misc]
    """Classifies a picture and a title with an eager fp32 model."""

    def initialize(self, context: Any) -> None:
        """Load the pickled model."""
        settings = context.model_yaml_config["handler"]
        sys.path.insert(0, settings["repository"])
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // context.model_yaml_config["maxWorkers"]))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = torch.load(settings["model"], map_location=self.device, weights_only=False).eval()
        self.labels = settings["labels"]
        self.tokenizer = Tokenizer.from_file(settings["tokenizer"])
        self.tokenizer.enable_truncation(settings["max_tokens"])
        self.tokenizer.enable_padding(length=settings["max_tokens"])
        size = settings["image_size"]
        self.transform = transforms.Compose([transforms.Resize((size, size)), transforms.PILToTensor()])
        self.initialized = True

    def preprocess(self, data: Sequence[dict[str, Any]]) -> tuple[torch.Tensor, ...]:
        """Turn TorchServe's rows into the model's inputs."""
        products = [json.loads(bytes(row["body"])) for row in data]
        images = [Image.open(io.BytesIO(base64.b64decode(product["image"]))).convert("RGB") for product in products]
        encodings = self.tokenizer.encode_batch([product["text"] for product in products])
        inputs = (
            torch.stack([self.transform(image) for image in images]),
            torch.tensor([encoding.ids for encoding in encodings]),
            torch.tensor([encoding.attention_mask for encoding in encodings]),
            torch.ones(len(products), 2, dtype=torch.bool),
            self.letters([product["text"] for product in products]),
        )
        return tuple(tensor.to(self.device) for tensor in inputs)

    def letters(self, titles: Sequence[str]) -> torch.Tensor:
        """Ids of the titles' letters (B, G) for a model with the lexical tower; else padding (B, 1)."""
        from handlers.product_serving.titles.ngrams import PADDING, ngram_ids  # noqa: PLC0415 - found by ``initialize``

        if self.model.lexical_encoder is None:
            return torch.full((len(titles), 1), PADDING)
        ids = [torch.from_numpy(ngram_ids(title)) for title in titles]
        return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=PADDING)

    def inference(self, data: tuple[torch.Tensor, ...], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return probabilities (B, C), float32."""
        with torch.inference_mode():
            return torch.softmax(self.model(*data), dim=1)

    def postprocess(self, data: torch.Tensor) -> list[dict[str, Any]]:
        """Return the five best classes of each product."""
        scores, rows = data.topk(min(5, len(self.labels)))
        return [
            {
                "label": self.labels[best[0]],
                "top": {self.labels[row]: score for row, score in zip(best, values, strict=True)},
            }
            for values, best in zip(scores.tolist(), rows.tolist(), strict=True)
        ]
