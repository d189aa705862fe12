"""The reference's half of the interchange: it loads what this library wrote, and writes what this library loads.

    python reference.py forward CHECKOUT SETTINGS WEIGHTS INPUTS OUT
    python reference.py train   CHECKOUT SETTINGS INPUTS FOLDER

CHECKOUT is the folder `src` of the reference's branch `pytorch_elf`; SETTINGS a JSON file with the sizes of its class ELF;
INPUTS and OUT are safetensors. `forward` loads WEIGHTS with load_state_dict(strict=True). `train` takes three steps of its
train_step and one save_checkpoint into FOLDER; then it writes what its networks say to INPUTS, and where one more update
with given gradients leads.
"""

import json
import logging
import os
import sys

command, checkout, settings_file = sys.argv[1:4]
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.path.insert(0, checkout)
logging.disable(logging.INFO)

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from configs.config import Config
from modules.model import ELF
from train_step import train_step
from utils.checkpoint_utils import save_checkpoint
from utils.train_utils import TrainState, attach_lr_scheduler, create_learning_rate_fn, get_optimizer

with open(settings_file) as file:
    settings = json.load(file)


def outputs(model, inputs):
    model.eval()
    with torch.no_grad():
        out, logits = model(
            torch.cat([inputs["z"], inputs["selfCondition"]], dim=-1), inputs["t"],
            self_cond_cfg_scale=inputs["selfConditionScale"], decoder_step_active=inputs["decoderGate"])
    return {"out": out.contiguous(), "logits": logits.contiguous()}


def forward(weights, inputs, out):
    model = ELF(**settings)
    result = model.load_state_dict(load_file(weights), strict=True)
    print(result)
    save_file(outputs(model, load_file(inputs)), out)


class Table(torch.nn.Module):
    """Latents by token: an encoder that needs no download."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(settings["vocab_size"], settings["text_encoder_dim"])

    def forward(self, input_ids, attention_mask=None, deterministic=True):
        return self.embedding(input_ids)


def scattered(size):
    """Numbers in [-2^-11, 2^-11), the position hashed; uint32 wraps."""
    x = np.arange(1, size + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x85EBCA77)
    x = (x ^ (x >> np.uint32(13))) >> np.uint32(8)
    return torch.from_numpy((x.astype(np.float32) * np.float32(2**-24) - np.float32(0.5)) * np.float32(2**-10))


def train(inputs, folder):
    config = Config()
    config.denoiser_p_mean, config.denoiser_noise_scale, config.decoder_prob = -1.5, 2.0, 0.2
    torch.manual_seed(0)
    model, encoder = ELF(**settings), Table()
    optimizer = get_optimizer(model, config, lr=0.01)
    schedule = attach_lr_scheduler(optimizer, create_learning_rate_fn(10, 0, 0.01))
    state = TrainState(model=model, optimizer=optimizer, lr_scheduler=schedule, ema_params1=TrainState.init_ema(model),
                       dropout_generator=torch.Generator().manual_seed(0))
    rows, length = 4, settings["max_length"]
    for _ in range(3):
        batch = {
            "input_ids": torch.randint(2, settings["vocab_size"], (rows, length)),
            "encoder_attention_mask": torch.ones(rows, length, length), "attention_mask": torch.ones(rows, length),
            "cond_seq_mask": torch.zeros(rows, length),
        }
        state, _ = train_step(state, encoder, batch, config)
    save_checkpoint(state, folder, state.step)

    # Gradients that both sides can make bit for bit, too small to be clipped.
    given = load_file(inputs)
    result = {f"params.{name}": value for name, value in outputs(model, given).items()}
    for parameter in model.parameters():
        parameter.grad = scattered(parameter.numel()).reshape(parameter.shape)
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    result.update({f"next.{name}": parameter.detach().clone() for name, parameter in model.named_parameters()})
    model.load_state_dict(state.ema_params1)
    result.update({f"ema.{name}": value for name, value in outputs(model, given).items()})
    save_file(result, os.path.join(folder, "expected.safetensors"))


if command == "forward":
    forward(*sys.argv[4:7])
else:
    train(*sys.argv[4:6])
