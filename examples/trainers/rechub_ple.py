"""Torch-RecHub's PLE, trained by its own code."""

import tempfile

import torch
from encoded_rows import EncodedRows, read_job
from torch.utils.data import DataLoader
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import PLE
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import PredictDataset, TorchDataset

job = read_job()
settings = job["config"]
torch.set_num_threads(job["threads"])
torch.manual_seed(job["seed"])
rows = EncodedRows(job)
features = [
    SparseFeature(name, count, embed_dim=settings["dim"]) for name, count in rows.ids.items()
]
features += [DenseFeature(name) for name in rows.numbers]
types = ["classification"] * len(rows.tasks)
model = PLE(
    features,
    types,
    n_level=1,
    n_expert_specific=settings["own_experts"],
    n_expert_shared=settings["shared_experts"],
    expert_params={"dims": [64, 32]},
    tower_params_list=[{"dims": [16]}] * len(rows.tasks),
)
train = TorchDataset(rows.inputs("train"), rows.labels())
batches = DataLoader(train, batch_size=1024, shuffle=True)
trainer = MTLTrainer(
    model,
    types,
    optimizer_params={"lr": settings["lr"], "weight_decay": 1e-6},
    n_epoch=settings["epochs"],
    model_path=tempfile.gettempdir(),
)
for _ in range(settings["epochs"]):
    trainer.train_one_epoch(batches)
for split in job["predict"]:
    in_order = DataLoader(PredictDataset(rows.inputs(split)), batch_size=8192)
    rows.answer(job, split, trainer.predict(model, in_order))
