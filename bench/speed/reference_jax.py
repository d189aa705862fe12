"""Times the reference's own JAX code, unmodified, on one CPU device: reference_jax.py CHECKOUT CONFIGURATION.

Takes and prints what reference_torch.py does. A JAX step is all denoiser rows or all decoder rows, so both are timed;
`train_step` is their mean in the proportion that training meets them.
"""
import json
import os
import resource
import sys
import types
from functools import partial

from repetitions import timed

checkout, c = sys.argv[1], json.loads(sys.argv[2])
if c["cond"] or c["encoder"] != "stub":
    sys.exit("the JAX comparison knows given latents and no condition alone")
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen=true intra_op_parallelism_threads={c['threads']}"
sys.path.insert(0, os.path.join(checkout, "src"))
sys.modules.setdefault("wandb", types.ModuleType("wandb"))

import jax
import jax.numpy as jnp
import numpy as np
from configs.config import Config, SamplingConfig
from flax import jax_utils
from modules.model import ELF
from train_step import train_step
from utils import generation_utils, sampling_utils, train_utils

B, S, D, V = c["batch"], c["seq"], c["text_dim"], c["vocab"]
DECODER_SHARE = 0.2

model = ELF(
    text_encoder_dim=D, max_length=S, hidden_size=c["hidden"], depth=c["depth"], num_heads=c["heads"], bottleneck_dim=c["bottleneck"],
    num_time_tokens=4, num_self_cond_cfg_tokens=4, num_model_mode_tokens=4, vocab_size=V,
)
initialise = jax.jit(lambda key: model.init(key, x=jnp.ones((1, S, 2 * D)), t=jnp.ones((1,)), deterministic=True, self_cond_cfg_scale=jnp.ones((1,))))
parameters = initialise(jax.random.PRNGKey(0))["params"]
latents = jnp.asarray(np.random.default_rng(0).standard_normal((B, S, D)), jnp.float32) * 0.2
ids = np.random.default_rng(1).integers(2, min(V, 32000), (1, B, S)).astype(np.int32)
batch = dict(
    input_ids=jnp.asarray(ids), encoder_attention_mask=jnp.ones((1, B, S, S)), cond_seq_mask=jnp.zeros((1, B, S)),
    attention_mask=jnp.ones((1, B, S)), label_drop_mask=jnp.zeros((1, B), bool),
)


def configuration(decoder_share):
    config = Config()
    config.max_length, config.latent_std, config.optimizer = S, 0.2, c["optimizer"]
    config.denoiser_p_mean, config.denoiser_noise_scale, config.decoder_prob, config.decoder_noise_scale = -1.5, 2.0, decoder_share, 5.0
    return config


def train(config):
    state = train_utils.TrainState.create(
        apply_fn=model.apply, params=parameters, tx=train_utils.get_optimizer(config, train_utils.create_learning_rate_fn(1000, 10, 0.002)),
        dropout_rng=jax.random.PRNGKey(0), ema_params1=jax.tree_util.tree_map(lambda x: x + 0, parameters),
    )
    held = [jax_utils.replicate(state)]
    encode = lambda variables, input_ids, attention_mask, deterministic: latents
    compiled = jax.pmap(partial(train_step, encoder_apply_fn=encode, config=config), axis_name="batch", donate_argnums=(0,))
    encoder = jax_utils.replicate({"none": jnp.zeros(1)})

    def step():
        held[0], metrics = compiled(held[0], encoder, batch=batch)
        jax.block_until_ready((held[0].params, metrics))

    return timed(step, c["train_reps"])


out = dict(config=c, engine=f"JAX {jax.__version__}, {c['threads']} threads")
denoiser, decoder = train(configuration(0.0)), train(configuration(1.0))
mixed = {key: (1 - DECODER_SHARE) * denoiser[key] + DECODER_SHARE * decoder[key] for key in ("min_s", "median_s", "max_s", "mean_s", "cpu_over_wall")}
out.update(train_step_denoiser=denoiser, train_step_decoder=decoder, train_step={**mixed, "reps": c["train_reps"]})
out["train_max_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
generate, decode = generation_utils._make_pmap_pair(model.apply, configuration(1.0), SamplingConfig(sampling_method="sde", sde_gamma=1.0), 1, 3)
replicated, keys = jax_utils.replicate(parameters), jax.random.split(jax.random.PRNGKey(3), 1)


def sample():
    steps = sampling_utils.get_sampling_steps(jax.random.PRNGKey(4), c["sample_steps"], "logit_normal", -1.5, 0.8)[None]
    z = jax.random.normal(jax.random.PRNGKey(5), (1, c["sample_batch"], S, D)) * 2.0
    sampled = generate(model_params=replicated, rng=keys, z=z, t_steps=steps, cond_seq=None, cond_seq_mask=None)
    jax.block_until_ready(decode(z=sampled, model_params=replicated, t_final_val=steps[:, -1]))


out["sample_sde_plus_decode"] = timed(sample, c["sample_reps"])
out["max_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps(out))
