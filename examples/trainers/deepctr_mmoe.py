"""DeepCTR-Torch's MMoE, trained by its own code."""

import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models import MMOE
from encoded_rows import EncodedRows, read_job

job = read_job()
settings = job["config"]
torch.set_num_threads(job["threads"])
rows = EncodedRows(job)
features = [
    SparseFeat(name, count, embedding_dim=settings["dim"]) for name, count in rows.ids.items()
]
features += [DenseFeat(name, 1) for name in rows.numbers]
model = MMOE(
    features,
    num_experts=settings["experts"],
    expert_dnn_hidden_units=(64, 32),
    gate_dnn_hidden_units=(),
    tower_dnn_hidden_units=(16,),
    task_types=["binary"] * len(rows.tasks),
    task_names=rows.tasks,
    init_std=0.01,
    seed=job["seed"],
)
model.compile(
    torch.optim.Adam(model.parameters(), lr=settings["lr"]),
    loss=["binary_crossentropy"] * len(rows.tasks),
)
model.fit(
    rows.inputs("train"), rows.labels(), batch_size=1024, epochs=settings["epochs"], verbose=0
)
for split in job["predict"]:
    rows.answer(job, split, model.predict(rows.inputs(split), batch_size=8192))
