"""The reference's side of the loss curves: its own train_step, unmodified, on the rows of DATA.

    python reference.py CHECKOUT DATA SEED OUT

CHECKOUT is the folder `src` of the reference's branch `pytorch_elf`; the Python needs what its requirements.txt lists
(torch, transformers, muon-optimizer) and safetensors. Writes the losses of each step to OUT, a line of JSON each.
"""

import json
import logging
import os
import sys

checkout, data, seed, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Threads that spin while they wait make a busy machine crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, checkout)
logging.disable(logging.INFO)

import numpy as np
import torch
from safetensors.numpy import load_file

from configs.config import Config
from modules.model import ELF
from modules.t5_encoder import get_encoder
from train_step import train_step
from utils.data_utils import prepare_batch
from utils.encoder_utils import build_self_attn_cond_masks
from utils.train_utils import TrainState, attach_lr_scheduler, create_learning_rate_fn, get_optimizer

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings.json")) as file:
    settings = json.load(file)

torch.set_num_threads(int(os.environ.get("THREADS", os.cpu_count() or 1)))

config = Config()
for key, value in settings.items():
    if hasattr(config, key):
        setattr(config, key, value)

# Seeds as in the reference's train.py, on one process.
torch.manual_seed(seed)
generator = torch.Generator(device="cpu").manual_seed(seed)

_, encoder = get_encoder(os.path.join(data, "encoder"), torch.float32)
encoder = encoder.eval()
model = ELF(**{key: settings[key] for key in (
    "text_encoder_dim", "max_length", "hidden_size", "depth", "num_heads", "bottleneck_dim", "num_time_tokens",
    "num_self_cond_cfg_tokens", "num_model_mode_tokens", "vocab_size")})
torch.manual_seed(seed)

optimizer = get_optimizer(model, config, lr=config.lr)
schedule = create_learning_rate_fn(settings["steps"], config.warmup_steps, config.lr, config.lr_schedule, config.min_lr)
state = TrainState(
    model=model, optimizer=optimizer, lr_scheduler=attach_lr_scheduler(optimizer, schedule),
    ema_params1=TrainState.init_ema(model), dropout_generator=generator,
)

rows = load_file(os.path.join(data, "rows.safetensors"))
size, positions = settings["batch_size"], np.arange(settings["max_length"])[None, :]

with open(out, "w") as file:
    for step in range(1, settings["steps"] + 1):
        part = slice((step - 1) * size, step * size)
        is_condition = positions < rows["conditionLengths"][part, None]
        is_valid = positions < rows["lengths"][part, None]
        encoder_mask, attention_mask, condition_mask = build_self_attn_cond_masks(is_condition, is_valid)
        batch = {
            "input_ids": rows["ids"][part], "encoder_attention_mask": encoder_mask,
            "attention_mask": attention_mask, "cond_seq_mask": condition_mask,
        }
        state, metrics = train_step(state, encoder, prepare_batch(batch, config, generator), config)
        file.write(json.dumps({
            "step": step, "loss": metrics["loss"].item(),
            "denoiserLoss": metrics["l2_loss"].item(), "decoderLoss": metrics["ce_loss"].item(),
        }) + "\n")
        if step % 100 == 0:
            print(f"reference, seed {seed}: step {step}", file=sys.stderr, flush=True)
