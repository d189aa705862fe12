"""Times the reference's own PyTorch code, unmodified: reference_torch.py CHECKOUT CONFIGURATION.

CHECKOUT is its repository; CONFIGURATION is the JSON of `configuration.ts`. Prints one line of JSON with the same figures
as this library's benchmark.
"""
import json
import logging
import os
import resource
import sys

from repetitions import timed

checkout, c = sys.argv[1], json.loads(sys.argv[2])
os.environ["OMP_NUM_THREADS"] = str(c["threads"])
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.path.insert(0, os.path.join(checkout, "src"))
logging.disable(logging.INFO)

import torch
from configs.config import Config, SamplingConfig
from modules.model import ELF
from train_step import train_step
from utils import generation_utils, sampling_utils, train_utils

torch.set_num_threads(c["threads"])
torch.manual_seed(0)
B, S, D, V = c["batch"], c["seq"], c["text_dim"], c["vocab"]


class GivenLatents(torch.nn.Module):
    """An encoder whose work is free."""

    def __init__(self):
        super().__init__()
        self.latents = torch.randn(B, S, D) * 0.2

    def forward(self, input_ids=None, attention_mask=None, deterministic=True):
        return self.latents


class T5Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        from transformers import T5Config, T5EncoderModel

        self.t5 = T5EncoderModel(T5Config(vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)).eval()

    def forward(self, input_ids=None, attention_mask=None, deterministic=True):
        return self.t5(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


model = ELF(
    text_encoder_dim=D, max_length=S, hidden_size=c["hidden"], depth=c["depth"], num_heads=c["heads"], bottleneck_dim=c["bottleneck"],
    num_time_tokens=4, num_self_cond_cfg_tokens=4, num_model_mode_tokens=4, vocab_size=V,
)
torch.nn.init.xavier_uniform_(model.final_layer.linear.weight)
config = Config()
config.max_length, config.latent_std, config.optimizer, config.lr = S, 0.2, c["optimizer"], 0.002
config.denoiser_p_mean, config.denoiser_noise_scale, config.decoder_prob, config.decoder_noise_scale = -1.5, 2.0, 0.2, 5.0
optimizer = train_utils.get_optimizer(model, config, lr=config.lr)
schedule = train_utils.attach_lr_scheduler(optimizer, train_utils.create_learning_rate_fn(1000, 10, config.lr))
state = train_utils.TrainState(
    model=model, optimizer=optimizer, lr_scheduler=schedule, ema_params1=train_utils.TrainState.init_ema(model),
    dropout_generator=torch.Generator().manual_seed(0),
)
encoder = GivenLatents() if c["encoder"] == "stub" else T5Small()
condition = torch.zeros(B, S)
if c["cond"]:
    condition[:, : S // 2] = 1
batch = dict(
    input_ids=torch.randint(2, min(V, 32000), (B, S)), encoder_attention_mask=torch.ones(B, S, S), cond_seq_mask=condition,
    attention_mask=torch.ones(B, S), label_drop_mask=torch.zeros(B, dtype=torch.bool),
)
losses = []


def step():
    global state
    state, metrics = train_step(state, encoder, batch, config)
    losses.append(float(metrics["loss"]))


def rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


out = dict(config=c, engine=f"PyTorch {torch.__version__}, {c['threads']} threads")
out["train_step"] = timed(step, c["train_reps"])
out["train_max_rss_mb"] = rss()
for p in model.parameters():
    p.grad = torch.randn_like(p) * 1e-3
out["optimizer_step_only"] = timed(optimizer.step, max(2, c["train_reps"] // 2))
optimizer.zero_grad(set_to_none=True)
model.eval()
x, t, scale = torch.randn(B, S, 2 * D), torch.rand(B), torch.full((B,), 3.0)
with torch.no_grad():
    for name, decodes in (("forward_denoise_nograd", False), ("forward_decode_nograd", True)):
        extra = dict(decoder_step_active=True) if decodes else {}
        out[name] = timed(lambda: model(x, t, deterministic=True, self_cond_cfg_scale=scale, **extra), max(3, c["train_reps"]))


def sample():
    steps = sampling_utils.get_sampling_steps(c["sample_steps"], "logit_normal", -1.5, 0.8)
    z = generation_utils._generate_samples_single_batch(
        model=model, generator=torch.Generator().manual_seed(0), z=torch.randn(c["sample_batch"], S, D) * config.denoiser_noise_scale, t_steps=steps,
        cond_seq=None, cond_seq_mask=None, config=config, sampling_config=SamplingConfig(sampling_method="sde", sde_gamma=1.0), cfg_scale=1, self_cond_cfg_scale=3,
    )
    generation_utils._dlm_decode_batch(z=z, model=model, t_final_val=1.0, config=config, self_cond_cfg_scale=3)


out["sample_sde_plus_decode"] = timed(sample, c["sample_reps"])
out["loss_first_last"] = [losses[0], losses[-1]]
out["max_rss_mb"] = rss()
print(json.dumps(out))
